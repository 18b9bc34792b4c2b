import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { plainGit, writeNewFiles } from './plain-git.ts';
import { opsRepoScaffold } from './scaffold.ts';

/** The bare ops repo of the embedded default: made on first use, with a formula to try. */
export async function ensureEmbeddedRepo(dir: string, branch: string): Promise<void> {
  if (existsSync(dir)) return;
  await mkdir(dir, { recursive: true });
  await plainGit(dir, ['init', '--quiet', '--bare', `--initial-branch=${branch}`, '.']);
  const scratch = await mkdtemp(path.join(tmpdir(), 'edge-dispatcher-'));
  try {
    await plainGit(scratch, ['init', '--quiet', `--initial-branch=${branch}`, '.']);
    await writeNewFiles(scratch, opsRepoScaffold());
    await plainGit(scratch, ['add', '.']);
    await plainGit(scratch, ['commit', '--quiet', '-m', 'Ops repo of the embedded default']);
    await plainGit(scratch, ['push', '--quiet', dir, branch]);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
