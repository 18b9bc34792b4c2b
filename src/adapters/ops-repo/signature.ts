import { randomUUID } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Oid } from '../../domain/ids.ts';
import { TransientError } from '../../errors.ts';
import type { AllowedSigner, SignatureVerdict } from '../../ports/ops-repo.ts';
import type { ParsedCommit } from './commit-object.ts';
import { GitFailure } from './failure.ts';
import type { Git } from './git.ts';

/**
 * Has git check the commit's SSH signature against these keys only. A signature of another kind (OpenPGP, X.509) is not
 * looked at: no key for it can be given.
 */
export async function verifySignature(
  git: Git,
  commit: ParsedCommit,
  keys: readonly AllowedSigner[],
): Promise<SignatureVerdict> {
  const signers = keys.filter(isUsable);
  if (commit.signature === null) return { kind: 'unsigned' };
  if (commit.signature !== 'ssh' || signers.length === 0) return { kind: 'unknown-key' };
  const folder = path.join(path.dirname(git.repo), `signers-${randomUUID()}`);
  const file = path.join(folder, 'allowed');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  try {
    const lines = signers.map(({ principal, key }) => `${principal} namespaces="git" ${key}\n`);
    await writeFile(file, lines.join(''), { mode: 0o600 });
    return await askGit(git, commit.oid, file, new Set(signers.map(({ principal }) => principal)));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** One line each, and a principal that is no pattern: anything else could widen what the file allows. */
function isUsable({ principal, key }: AllowedSigner): boolean {
  return /^[^\s,*?!"#]+$/.test(principal) && /^(?:ssh-|ecdsa-|sk-)[a-z0-9@.-]+ [A-Za-z0-9+/]+=*$/.test(key.trim());
}

async function askGit(git: Git, commit: Oid, file: string, principals: ReadonlySet<string>): Promise<SignatureVerdict> {
  const settings = [
    'gpg.format=ssh',
    'gpg.ssh.program=ssh-keygen',
    `gpg.ssh.allowedSignersFile=${file}`,
    'gpg.program=false',
    'gpg.x509.program=false',
  ];
  const config = settings.flatMap((setting) => ['-c', setting]);
  const args = [...config, 'log', '--no-walk', '-z', '--format=%G?%x00%GF%x00%GS', commit];
  const { code, stdout, stderr } = await git.run(args);
  const [status = '', fingerprint = '', principal = ''] = stdout.toString('utf8').split('\0');
  if (/ssh-keygen.*(?:No such file|needed|not found)|cannot run/i.test(stderr)) throw noSshKeygen();
  if (code !== 0) throw new GitFailure('damaged', `git log (exit ${code})`);
  switch (status) {
    case 'G':
      return principals.has(principal) ? { kind: 'good', principal, fingerprint } : { kind: 'unknown-key' };
    case 'U':
      return { kind: 'unknown-key' };
    default:
      return { kind: 'bad' };
  }
}

function noSshKeygen(): TransientError {
  const hint = 'Install OpenSSH 8.2 or newer where the dispatcher runs.';
  return new TransientError('ERR_GIT_UNAVAILABLE', 'ssh-keygen, which checks signatures, could not be run', { hint });
}
