import { constants } from 'node:fs';
import { access, mkdtemp, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Check } from '../../domain/check.ts';
import { isGitPath } from '../../domain/config-urls.ts';
import { EdgeError } from '../../errors.ts';
import { GitFailure, toError } from './failure.ts';
import { type CloneOptions, Git } from './git.ts';
import { classifyPush } from './push.ts';

export interface PushedTo extends CloneOptions {
  /** Hash of the remote's ids. */
  readonly format: 'sha1' | 'sha256';
}

/**
 * Whether we may push to a remote, without leaving anything there: the server is asked to take a push and shows its refs
 * (which it only does for those who may), and nothing is sent. Rules of one branch show at a real push only.
 * `options.dir` is a folder for scratch files. Never throws for a bad answer.
 */
export async function checkPush(name: string, options: PushedTo, signal: AbortSignal): Promise<Check> {
  const dir = await mkdtemp(path.join(options.dir, 'push-'));
  const git = new Git({ ...options, dir });
  try {
    await tryPush(git, options.format, signal);
    if (isGitPath(options.url)) await access(path.join(path.resolve(options.url), 'objects'), constants.W_OK);
    return { name, ok: true, code: null, message: `${git.shown} lets us push`, fix: null };
  } catch (error) {
    if (signal.aborted) throw error;
    return failed(name, git.shown, error);
  } finally {
    git.close();
    await rm(dir, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** A ref that is never there: a push of what is there already would not even ask. */
const NOWHERE = 'refs/dispatcher/doctor';

async function tryPush(git: Git, format: string, signal: AbortSignal): Promise<void> {
  const init = ['init', '--quiet', '--bare', '--template=', `--object-format=${format}`, git.repo];
  await git.ok(init, { env: { GIT_DIR: git.repo }, signal });
  const tree = (await git.ok(['mktree'], { input: '', signal })).toString('utf8').trim();
  const person = {
    GIT_AUTHOR_NAME: 'check',
    GIT_AUTHOR_EMAIL: '',
    GIT_COMMITTER_NAME: 'check',
    GIT_COMMITTER_EMAIL: '',
  };
  const commit = (await git.ok(['commit-tree', tree], { input: 'check', env: person, signal })).toString('utf8').trim();
  const options = ['--dry-run', '--porcelain', '--no-verify', '--no-signed', '--recurse-submodules=no'];
  const result = await git.talk((url) => ['push', ...options, url, `${commit}:${NOWHERE}`], { signal });
  const answer = classifyPush(result);
  if (answer.kind === 'landed') return;
  const kind = answer.kind === 'refused' ? 'forbidden' : 'unreachable';
  throw new GitFailure(kind, `git push --dry-run (exit ${result.code})`);
}

function failed(name: string, shown: string, error: unknown): Check {
  const bad = { name, ok: false } as const;
  if (error instanceof GitFailure && error.kind !== 'forbidden') {
    const { code, message, hint } = toError(error, shown);
    return { ...bad, code, message, fix: hint };
  }
  const isOurs = error instanceof EdgeError;
  return {
    ...bad,
    code: isOurs ? error.code : 'ERR_PUSH_FORBIDDEN',
    message: isOurs ? error.message : `${shown} does not let us push`,
    fix: isOurs ? error.hint : 'Give the dispatcher the right to push to branch and journal ref.',
  };
}
