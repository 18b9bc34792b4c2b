import { Buffer } from 'node:buffer';

/** Public keys as `authorized_keys`, `allowed_signers` and `.pub` files hold them: type and base64 of a blob. */

/** Types that may sign commits and tags, with the fields of their blob after the type. */
const KEY_FIELDS: Partial<Record<string, readonly Field[]>> = {
  'ssh-ed25519': ['ed25519'],
  'ssh-rsa': ['exponent', 'modulus'],
  'ecdsa-sha2-nistp256': ['curve', 'point'],
  'ecdsa-sha2-nistp384': ['curve', 'point'],
  'ecdsa-sha2-nistp521': ['curve', 'point'],
  'sk-ssh-ed25519@openssh.com': ['ed25519', 'application'],
  'sk-ecdsa-sha2-nistp256@openssh.com': ['curve', 'point', 'application'],
};
type Field = 'ed25519' | 'exponent' | 'modulus' | 'curve' | 'point' | 'application';

export const sshKeyTypes = Object.keys(KEY_FIELDS).join(', ');

export function isSshKeyType(text: string): boolean {
  return Object.hasOwn(KEY_FIELDS, text);
}

/** What is wrong with the blob of a key of a known type, as words for a person that quote none of it; null: nothing. */
export function sshKeyProblem(type: string, base64: string): string | null {
  const blob = Buffer.from(base64, 'base64');
  if (blob.length === 0 || blob.toString('base64') !== base64) return 'is no base64: was it cut or wrapped?';
  const [inner, ...fields] = readStrings(blob) ?? [];
  if (inner === undefined) return 'is cut short or holds more than one key';
  if (inner.toString('latin1') !== type) return 'is of another type than the line says';
  const expected = KEY_FIELDS[type] ?? [];
  if (fields.length !== expected.length) return 'is cut short or holds more than one key';
  for (const [index, field] of expected.entries()) {
    const problem = FIELD_PROBLEMS[field](fields[index] ?? Buffer.alloc(0), type);
    if (problem !== null) return problem;
  }
  return null;
}

const MIN_RSA_BYTES = 2048 / 8;
const POINT_BYTES: Partial<Record<string, number>> = { nistp256: 65, nistp384: 97, nistp521: 133 };
const curveOf = (type: string) => /nistp\d+/.exec(type)?.[0] ?? '';
const damaged = (ok: boolean) => (ok ? null : 'is damaged');

const FIELD_PROBLEMS: Record<Field, (bytes: Buffer, type: string) => string | null> = {
  ed25519: (bytes) => damaged(bytes.length === 32),
  exponent: (bytes) => damaged(bytes.length > 0 && bytes.length <= 8),
  modulus: (bytes) => (bytes.length > MIN_RSA_BYTES ? null : 'is an RSA key of less than 2048 bits'),
  curve: (bytes, type) => damaged(bytes.toString('latin1') === curveOf(type)),
  point: (bytes, type) => damaged(bytes.length === POINT_BYTES[curveOf(type)] && bytes[0] === 4),
  application: (bytes) => damaged(bytes.length > 0),
};

/** The length-prefixed strings that make up all of `blob`; null when they don't end where it ends. */
function readStrings(blob: Buffer): Buffer[] | null {
  const strings: Buffer[] = [];
  let at = 0;
  while (at < blob.length) {
    if (at + 4 > blob.length) return null;
    const end = at + 4 + blob.readUInt32BE(at);
    if (end > blob.length) return null;
    strings.push(blob.subarray(at + 4, end));
    at = end;
  }
  return strings;
}
