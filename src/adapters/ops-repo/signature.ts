import { randomUUID } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Oid } from '../../domain/ids.ts';
import { TransientError } from '../../errors.ts';
import type { AllowedSigner, SignatureVerdict } from '../../ports/ops-repo.ts';
import { parseCommit } from './commit-object.ts';
import { GitFailure } from './failure.ts';
import type { Git } from './git.ts';
import { noSshKeygen } from './signing-key.ts';
import { tagSignature } from './tag-object.ts';

interface SignedObject {
  readonly oid: Oid;
  readonly type: 'commit' | 'tag';
  readonly raw: Uint8Array;
}

/**
 * Has git check the SSH signature of a commit or an annotated tag against these keys only. A signature of another kind
 * (OpenPGP, X.509) is not looked at: no key for it can be given.
 */
export async function verifySignature(
  git: Git,
  object: SignedObject,
  keys: readonly AllowedSigner[],
): Promise<SignatureVerdict> {
  const { oid, type, raw } = object;
  const signature = type === 'commit' ? parseCommit(oid, raw).signature : tagSignature(raw);
  if (signature === null) return { kind: 'unsigned' };
  if (signature !== 'ssh') return { kind: 'unknown-key', fingerprint: null };
  const signers = keys.filter(isUsable);
  const folder = path.join(path.dirname(git.repo), `signers-${randomUUID()}`);
  const file = path.join(folder, 'allowed');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  try {
    const lines = signers.map(({ principal, key }) => `${principal} namespaces="git" ${key}\n`);
    await writeFile(file, lines.join(''), { mode: 0o600 });
    const said = await (type === 'commit' ? askOfCommit : askOfTag)(git, oid, settings(file));
    if (said === null) return { kind: 'bad' };
    const { principal, fingerprint } = said;
    const isGiven = signers.some((signer) => signer.principal === principal);
    return isGiven ? { kind: 'good', principal, fingerprint } : { kind: 'unknown-key', fingerprint };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** One line each, and a principal that is no pattern: anything else could widen what the file allows. */
function isUsable({ principal, key }: AllowedSigner): boolean {
  return /^[^\s,*?!"#]+$/.test(principal) && /^(?:ssh-|ecdsa-|sk-)[a-z0-9@.-]+ [A-Za-z0-9+/]+=*$/.test(key.trim());
}

function settings(file: string): readonly string[] {
  const all = [
    'gpg.format=ssh',
    'gpg.ssh.program=ssh-keygen',
    `gpg.ssh.allowedSignersFile=${file}`,
    'gpg.program=false',
    'gpg.x509.program=false',
  ];
  return all.flatMap((setting) => ['-c', setting]);
}

/** Who made a signature that holds; the principal is empty where the key is none of the given ones. */
interface Signer {
  readonly principal: string;
  readonly fingerprint: string;
}

/** null: the signature does not hold. */
async function askOfCommit(git: Git, commit: Oid, config: readonly string[]): Promise<Signer | null> {
  const args = [...config, 'log', '--no-walk', '-z', '--format=%G?%x00%GF%x00%GS', commit];
  const { code, stdout, stderr } = await git.run(args);
  throwIfNotAsked(stderr);
  if (code !== 0) throw new GitFailure('damaged', `git log (exit ${code})`);
  const [status = '', fingerprint = '', principal = ''] = stdout.toString('utf8').split('\0');
  if (status === 'G') return { principal, fingerprint };
  return status === 'U' ? { principal: '', fingerprint } : null;
}

/** Git has no format for tags: what ssh-keygen said is the first line on stderr, and the exit code what git made of it. */
async function askOfTag(git: Git, tag: Oid, config: readonly string[]): Promise<Signer | null> {
  const { code, stderr } = await git.run([...config, 'verify-tag', '--raw', tag]);
  throwIfNotAsked(stderr);
  const [, , principal = '', fingerprint = ''] = GOOD.exec(stderr) ?? [];
  if (fingerprint === '') return null;
  return { principal: code === 0 ? principal : '', fingerprint };
}

const GOOD = /^Good "git" signature (for (\S+) )?with \S+ key (SHA256:\S+)$/m;

/** Where ssh-keygen could not be asked, nothing is known of the signature. */
function throwIfNotAsked(stderr: string): void {
  if (/ssh-keygen.*(?:No such file|needed|not found)|cannot run/i.test(stderr)) throw noSshKeygen();
  if (/could not create temporary file|failed writing detached signature/.test(stderr)) {
    throw new TransientError(
      'ERR_GIT_UNAVAILABLE',
      'the temporary file that checking a signature takes can not be written',
    );
  }
}
