import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { writeDaemonState } from '../../../src/adapters/daemon-state.ts';
import { openStateDir, type StateDir } from '../../../src/adapters/state-dir.ts';
import { statusWithoutGit } from '../../../src/cli/status-away.ts';
import { InvalidError, StalledError, TransientError } from '../../../src/errors.ts';
import { temporaryFolder } from '../../fakes/git-repo.ts';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let state: StateDir;

/** A daemon holds the state_dir and has just said that git is away. */
beforeEach(async () => {
  folder = await temporaryFolder('edge-status-');
  const stateDir = path.join(folder.dir, 'state');
  await writeFile(path.join(folder.dir, 'dispatcher.toml'), toml(stateDir));
  state = await openStateDir(stateDir);
  const at = new Date().toISOString();
  const reason = { code: 'ERR_GIT_UNAVAILABLE', message: 'the git server is away' };
  await writeDaemonState(stateDir, {
    v: 1,
    at,
    pid: process.pid,
    unready: [],
    away: [{ service: 'git', since: at, next_try: null, failed: 7, reason }],
    slots: { used: 0, limit: 4 },
    queued: 0,
    starts_per_minute: 600,
  });
});
afterEach(async () => {
  await state.release();
  await folder.remove();
});

const toml = (stateDir: string) => `[dispatcher]
name = "edge-1"
state_dir = ${JSON.stringify(stateDir)}
[ops_repo]
url = "https://git.example/ops.git"
[approval]
medium = ["signed-commit"]
high = ["signed-commit"]
trusted_commit = "${'c'.repeat(40)}"
[engine]
kind = "subprocess"
[access]
kind = "file"
`;

async function said(error: unknown, json: boolean) {
  const text = { stdout: '', stderr: '' };
  const into = (stream: 'stdout' | 'stderr') => ({
    write: (piece: string | Uint8Array) => void (text[stream] += String(piece)),
    columns: 200,
  });
  const { signal } = new AbortController();
  const io = { cwd: folder.dir, env: {}, stdout: into('stdout'), stderr: into('stderr'), signal };
  return { code: await statusWithoutGit(error, io, { json }), ...text };
}

it('status tells of an outage of git what the daemon said of it, beside the error (R20)', async () => {
  const outage = new TransientError('ERR_GIT_UNAVAILABLE', 'no answer');
  const { code, stdout, stderr } = await said(outage, false);
  expect(code).toBe(3);
  expect(stdout).toMatch(
    /^the daemon said 0 s ago: git does not answer since .*, 7 calls failed: the git server is away/,
  );
  expect(stderr).toBe(`ERR_GIT_UNAVAILABLE: no answer\n    ${outage.hint}\n`);
});

it('status --json is one value then: the error, and the words of the daemon while one runs here (R20)', async () => {
  const denied = new StalledError('ERR_GIT_DENIED', 'no');
  const error = { code: 'ERR_GIT_DENIED', message: 'no', hint: denied.hint };
  const told = await said(denied, true);
  expect(told.code).toBe(3);
  expect(JSON.parse(told.stdout)).toEqual({ daemon_says: expect.objectContaining({ pid: process.pid }), error });
  await state.release();
  expect(JSON.parse((await said(denied, true)).stdout)).toEqual({ daemon_says: null, error });
});

it('status says nothing of another error', async () => {
  const invalid = new InvalidError('ERR_ACTION_FIELD', 'no');
  await expect(said(invalid, false)).rejects.toBe(invalid);
});
