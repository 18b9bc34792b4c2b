import { isSshKeyType, sshKeyProblem, sshKeyTypes } from './ssh-key.ts';

/** A line of allowed_signers, of which only the plain form is taken: `principal [namespaces="git"] type base64 [comment]`. */

export interface SignerKey {
  /** Who signs, as allowed_signers names it; never a pattern. */
  readonly principal: string;
  /** Key type and base64, with one space between them. */
  readonly key: string;
}

/** `rule` says what the line must be or is; it quotes nothing of the line. */
export type SignerLine =
  | { readonly ok: true; readonly signer: SignerKey }
  | { readonly ok: false; readonly rule: string };

export function readSignerLine(line: string): SignerLine {
  const [principal = '', ...words] = line.trim().split(/[ \t]+/);
  const options = words.slice(0, words.findIndex(isSshKeyType));
  const [type = '', base64 = ''] = words.slice(options.length);
  const rule =
    lineProblem(line, principal) ?? principalProblem(principal) ?? typeProblem(words) ?? optionsProblem(options);
  if (rule !== null) return { ok: false, rule };
  const broken = base64 === '' ? 'has no key after its type' : sshKeyProblem(type, base64);
  return broken === null ? { ok: true, signer: { principal, key: `${type} ${base64}` } } : { ok: false, rule: broken };
}

function lineProblem(line: string, principal: string): string | null {
  if (line.includes('PRIVATE KEY')) return 'is a private key: revoke it now, and write the public one (.pub) here';
  if (/[\r\n]/.test(line)) return 'must be one line';
  if (principal === '') return 'must not be blank';
  return isSshKeyType(principal) ? 'has no principal: write an address or a name before the type of the key' : null;
}

function principalProblem(principal: string): string | null {
  if (/[*?!]/.test(principal)) return 'must not name its principal by a pattern (* ? !)';
  if (principal.includes(',')) return 'must name one principal; write a line for each';
  return /^[^\s"'#=]{1,255}$/.test(principal) ? null : 'must begin with a principal: an address or a name';
}

function typeProblem(words: readonly string[]): string | null {
  if (words.some(isSshKeyType)) return null;
  if (words.some((word) => /-cert-v\d+@/.test(word))) return 'must not be a certificate; write the key itself';
  return `must name a type of key that is taken: ${sshKeyTypes}`;
}

function optionsProblem(options: readonly string[]): string | null {
  const text = options.join(' ').toLowerCase();
  if (text === '' || text === 'namespaces="git"') return null;
  if (text.includes('cert-authority')) return 'must not be a certificate authority; write each key itself';
  if (/valid-(?:after|before)/.test(text)) return 'must not be limited in time; remove the key when its time is over';
  return 'may have no option but namespaces="git"';
}
