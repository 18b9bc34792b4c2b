import type { Oid } from '../../domain/ids.ts';
import { classify, GitFailure } from './failure.ts';
import type { Git, RunResult } from './git.ts';

/**
 * What became of a push. `unknown` is settled by reading back, never by believing: the server may have taken it and the
 * answer was lost.
 *
 * - `moved`: somebody else was quicker; nothing of ours is there.
 * - `no-force`: the server takes no other than fast-forward pushes to this ref.
 * - `forbidden`: the server's rules say no. A person has to change them.
 * - `trouble`: the server tried and could not (a full disk).
 */
export type PushAnswer =
  | { readonly kind: 'landed' }
  | { readonly kind: 'refused'; readonly why: 'moved' | 'no-force' | 'forbidden' | 'trouble' }
  | { readonly kind: 'unknown' };

export interface PushRequest {
  readonly commit: Oid;
  readonly ref: string;
  /** What the ref has to be at, null for "must not be there"; absent: a plain fast-forward. */
  readonly lease?: Oid | null;
}

/** Throws GitFailure when it is certain that nothing was sent and asking again won't help by itself (credentials, address). */
export async function push(git: Git, request: PushRequest): Promise<PushAnswer> {
  const { commit, ref, lease } = request;
  const options = ['--porcelain', '--no-verify', '--no-signed', '--no-follow-tags', '--recurse-submodules=no'];
  const leases = lease === undefined ? [] : [`--force-with-lease=${ref}:${lease ?? ''}`];
  try {
    return classifyPush(await git.talk((url) => ['push', ...options, ...leases, url, `${commit}:${ref}`]));
  } catch (error) {
    if (error instanceof GitFailure && error.kind === 'timeout') return { kind: 'unknown' };
    throw error;
  }
}

/** From exit code, porcelain lines and, where there are none, stderr. Throws GitFailure, see `push`. */
export function classifyPush(
  result: Pick<RunResult, 'code' | 'stderr'> & { readonly stdout: Buffer | string },
): PushAnswer {
  const status = /^([ *+=!-])\t[^\t]*\t(.*)$/m.exec(result.stdout.toString('utf8'));
  const [, flag = '', summary = ''] = status ?? [];
  if (flag === '!') return rejection(summary, result.stderr);
  if (flag !== '' && result.code === 0) return { kind: 'landed' };
  if (result.code === 0) return { kind: 'unknown' };
  return withoutStatus(result.code, result.stderr);
}

function rejection(summary: string, stderr: string): PushAnswer {
  if (summary.startsWith('[rejected]')) return { kind: 'refused', why: 'moved' };
  if (summary.startsWith('[remote rejected]')) return { kind: 'refused', why: remoteReason(summary, stderr) };
  // `[remote failure] (remote failed to report status)`
  return { kind: 'unknown' };
}

function remoteReason(summary: string, stderr: string): 'moved' | 'no-force' | 'forbidden' | 'trouble' {
  if (summary.includes('(non-fast-forward)') || summary.includes('(deletion prohibited)')) return 'no-force';
  const lostRace = /failed to update ref|cannot lock ref|failed to lock|reference already exists|incorrect old value/;
  if (lostRace.test(summary) || /cannot lock ref .* (?:but expected|reference already exists)/.test(stderr))
    return 'moved';
  if (/unpacker error|missing necessary objects|unable to migrate objects/.test(summary)) {
    // Git sends half a pack where it can't read its own objects, and the server refuses that.
    if (classify(stderr, false) === 'damaged') throw new GitFailure('damaged', 'git push');
    return 'trouble';
  }
  return 'forbidden';
}

/** The whole push failed. Of a cut connection nobody can say when it was cut. */
function withoutStatus(code: number, stderr: string): PushAnswer {
  const kind = classify(stderr, true);
  if (kind === 'forbidden') return { kind: 'refused', why: 'forbidden' };
  if (kind === 'denied' || kind === 'not-found' || kind === 'host-key' || kind === 'damaged') {
    throw new GitFailure(kind, `git push (exit ${code})`);
  }
  return { kind: 'unknown' };
}
