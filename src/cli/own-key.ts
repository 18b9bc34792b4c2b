import { readFile } from 'node:fs/promises';
import { readSignerLine } from '../domain/signer-line.ts';
import { isSshKeyType } from '../domain/ssh-key.ts';
import type { Io } from './io.ts';
import { runQuietly, userGit } from './user-git.ts';

/** The person at the keyboard as an approver: by what git and ssh-agent know of them. */
export interface OwnIdentity {
  readonly name: string;
  /** A line of allowed_signers; null: no key was found. */
  readonly key: string | null;
  /** Where the key comes from, for people. */
  readonly source: string;
  /** False: it is only a guess that commits are signed with it. */
  readonly signs: boolean;
}

/** Null: git knows neither name nor address. Reads public keys only. */
export async function findOwnIdentity(io: Io, dir: string): Promise<OwnIdentity | null> {
  const ask = async (key: string, ...type: string[]) =>
    (await userGit(io, dir, ['config', ...type, '--get', key])) ?? '';
  const [name, email] = [await ask('user.name'), await ask('user.email')];
  if (name === '' || email === '') return null;
  const configured = await ask('user.signingkey', '--type=path');
  if (configured !== '' && (await ask('gpg.format')) === 'ssh') {
    const key = signerLine(email, await publicKey(configured));
    if (key !== null) return { name, key, source: 'user.signingkey of your git configuration', signs: true };
  }
  const offered = (io.env['SSH_AUTH_SOCK'] ?? '') === '' ? null : await agentKeys(io, dir);
  const key = (offered ?? '').split('\n').flatMap((line) => signerLine(email, line) ?? [])[0] ?? null;
  return { name, key, source: 'your ssh-agent', signs: false };
}

/** The value is a key itself, or the path of one; of a private key only its neighbour `.pub` is read. */
async function publicKey(configured: string): Promise<string> {
  const literal = configured.replace(/^key::/, '');
  if (isSshKeyType(literal.split(' ')[0] ?? '')) return literal;
  const file = configured.endsWith('.pub') ? configured : `${configured}.pub`;
  return readFile(file, 'utf8').catch(() => '');
}

/** No agent, or no program to ask it with: no key. */
async function agentKeys(io: Io, dir: string): Promise<string | null> {
  const out = await runQuietly(io, 'ssh-add', ['-L'], dir).catch(() => null);
  return out?.toString('utf8') ?? null;
}

function signerLine(email: string, text: string): string | null {
  const [type = '', base64 = ''] = text.trim().split(/\s+/);
  const line = `${email} ${type} ${base64}`;
  return readSignerLine(line).ok ? line : null;
}
