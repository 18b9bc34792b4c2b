import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { GitHttpServer, type SeenRequest } from '../test/fakes/git-http-server.ts';
import { opsWith } from './cycle.ts';
import { processesOf } from './measure.ts';
import { action, type BenchOps } from './ops.ts';
import type { Figure } from './table.ts';

const execute = promisify(execFile);
const POLLS = 20;

/** What a poll costs the forge: requests and bytes, at `git http-backend`, beside those of a plain `git fetch`. */
export async function benchPoll(): Promise<readonly Figure[]> {
  const ops = await opsWith(1000);
  const server = await GitHttpServer.start({ root: ops.dir });
  try {
    await ops.git('update-ref', 'refs/dispatcher/journal', 'refs/heads/main');
    const byCommit = await changes(ops, server, 'by-commit');
    await ops.git('config', 'uploadpack.allowRefInWant', 'true');
    const byName = await changes(ops, server, 'by-name');
    return [...(await idle(ops, server)), ...byCommit, ...byName];
  } finally {
    await server.close();
    await ops.remove();
  }
}

async function idle(ops: BenchOps, server: GitHttpServer): Promise<readonly Figure[]> {
  const wired = await ops.wire('', `${server.origin}/ops.git`);
  const fetch = await plainFetch(ops, server, 'idle');
  try {
    for (let n = 0; n < 3; n += 1) await wired.watcher.look();
    const processes = await processesOf(async () => {
      server.forget();
      for (let n = 0; n < POLLS; n += 1) await wired.watcher.look();
    });
    const ours = [...server.requests];
    // The server is a process of ours too: it starts one `git http-backend` a request.
    const started = processes - ours.length;
    server.forget();
    await fetch();
    const theirs = [...server.requests];
    return [
      {
        name: 'idle poll, branch and journal: requests',
        value: ours.length / POLLS,
        unit: 'requests',
        target: '1',
        baseline: theirs.length,
      },
      {
        name: 'idle poll: bytes of the answer',
        value: bytesOf(ours) / POLLS,
        unit: 'bytes',
        target: 'at most 150',
        baseline: bytesOf(theirs),
      },
      { name: 'idle poll: processes started by us', value: started / POLLS, unit: 'processes', target: '0' },
    ];
  } finally {
    await wired.close();
  }
}

async function changes(ops: BenchOps, server: GitHttpServer, how: string): Promise<readonly Figure[]> {
  const wired = await ops.wire('', `${server.origin}/ops.git`);
  const fetch = await plainFetch(ops, server, how);
  try {
    for (let n = 0; n < 2; n += 1) {
      await ops.commit(new Map([[`vault/actions/${how}-${n}.toml`, action(`${how}-${n}`)]]));
      server.forget();
      await wired.watcher.look();
    }
    const ours = [...server.requests];
    server.forget();
    await fetch();
    const theirs = [...server.requests];
    const name = `poll that finds one new action (${how === 'by-name' ? 'want-ref' : 'by commit'})`;
    return [
      { name: `${name}: requests`, value: ours.length, unit: 'requests', target: null, baseline: theirs.length },
      {
        name: `${name}: bytes of the answers`,
        value: bytesOf(ours),
        unit: 'bytes',
        target: null,
        baseline: bytesOf(theirs),
      },
    ];
  } finally {
    await wired.close();
  }
}

const bytesOf = (requests: readonly SeenRequest[]) => requests.reduce((sum, { bytes }) => sum + bytes, 0);

/** Of a clone that has all but what comes from now on. */
async function plainFetch(ops: BenchOps, server: GitHttpServer, name: string): Promise<() => Promise<unknown>> {
  const clone = path.join(ops.dir, `${name}.git`);
  await mkdir(clone);
  const url = `${server.origin}/ops.git`;
  const git = (...args: readonly string[]) => execute('git', ['-C', clone, ...args]);
  await git('init', '--quiet', '--bare', '.');
  const fetch = () =>
    git('fetch', '--quiet', url, '+refs/heads/main:refs/heads/main', '+refs/dispatcher/journal:refs/journal');
  await fetch();
  return fetch;
}
