import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { type Config, readConfig } from '../src/config.ts';
import type { Log } from '../src/ports/log.ts';
import { availableParts, sectionSchemas, type Wired, wire } from '../src/wiring.ts';

const execute = promisify(execFile);

/** An ops repo to measure on, in a temporary folder. */
export interface BenchOps {
  readonly dir: string;
  readonly remote: string;
  /** Commits files on top of the branch, by one fast-import. */
  commit(files: ReadonlyMap<string, string>): Promise<void>;
  git(...args: readonly string[]): Promise<string>;
  /** `url`: another address of it than its path. */
  wire(more?: string, url?: string): Promise<Wired>;
  remove(): Promise<void>;
}

const silent: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

export const FORMULA = `name = "bench"
description = "Does nothing"
command = ["true"]
tier = "low"
timeout_minutes = 5
`;

export const action = (id: string, formula = 'bench') =>
  `id = "${id}"\nformula = "${formula}"\ncontext = "bench"\nsecrets = []\n`;

export async function makeOps(): Promise<BenchOps> {
  const dir = await mkdtemp(path.join(tmpdir(), 'edge-bench-'));
  const remote = path.join(dir, 'ops.git');
  await mkdir(remote);
  const git = async (...args: readonly string[]) => (await execute('git', ['-C', remote, ...args])).stdout.trim();
  await git('init', '--quiet', '--bare', '--initial-branch=main', '.');
  return {
    dir,
    remote,
    git,
    commit: (files) => importFiles(remote, files),
    wire: (more = '', url = remote) =>
      wire(configOf(dir, url, more), { log: silent, cacheDir: path.join(dir, 'state/cache') }),
    remove: () => rm(dir, { recursive: true, force: true }),
  };
}

function configOf(dir: string, remote: string, more: string): Config {
  const trust = ['low', 'medium', 'high'].map((tier) => `${tier} = ["trust-branch"]`).join('\n');
  const text = `[dispatcher]
name = "bench"
state_dir = ${JSON.stringify(path.join(dir, 'state'))}
[ops_repo]
url = ${JSON.stringify(remote)}
[approval]
${trust}
[engine]
kind = "subprocess"
[access]
kind = "file"
${more}`;
  const read = readConfig({
    ...availableParts(),
    file: { path: 'bench', bytes: Buffer.from(text) },
    env: {},
    sections: sectionSchemas(),
    hostname: hostname(),
    cwd: dir,
  });
  if (!read.ok) throw new Error(read.problems.map(({ message }) => message).join('\n'));
  return read.config;
}

/** One commit on top of a ref of a bare repo. */
export async function importFiles(
  remote: string,
  files: ReadonlyMap<string, string>,
  ref = 'refs/heads/main',
): Promise<void> {
  const from = await execute('git', ['-C', remote, 'rev-parse', '--verify', '--quiet', ref]).then(
    ({ stdout }) => `from ${stdout.trim()}\n`,
    () => '',
  );
  const now = Math.floor(Date.now() / 1000);
  const parts = [`commit ${ref}\ncommitter Bench <bench@localhost> ${now} +0000\ndata 5\nbench\n${from}`];
  for (const [name, content] of files) {
    parts.push(`M 100644 inline ${name}\ndata ${Buffer.byteLength(content)}\n${content}\n`);
  }
  const running = execute('git', ['-C', remote, 'fast-import', '--quiet']);
  running.child.stdin?.end(parts.join(''));
  await running;
}

/** So many actions that have ended, each with its result. */
export function finishedActions(count: number, formula = 'bench'): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (let index = 0; index < count; index += 1) {
    files.set(`vault/actions/done-${index}.toml`, action(`done-${index}`, formula));
    files.set(`vault/actions/done-${index}.result.json`, `{ "id": "done-${index}", "exit_code": 0 }\n`);
  }
  return files;
}

/** The shell script that a dispatcher of twenty lines would be: fetch, list, and name each action without a result. */
const SCAN = `set -e
git fetch --quiet origin main
git ls-tree -r --name-only FETCH_HEAD vault/actions | awk '
  /\\.result\\.json$/ { sub(/\\.result\\.json$/, ""); done[$0] = 1; next }
  /\\.toml$/ { sub(/\\.toml$/, ""); all[$0] = 1 }
  END { for (one in all) if (!(one in done)) print one }'
`;

/** A clone that is kept by that script. Each call is one turn of its loop. */
export async function makeScan(dir: string, remote: string): Promise<() => Promise<string>> {
  const clone = path.join(dir, 'plain.git');
  await execute('git', ['clone', '--quiet', '--bare', remote, clone]);
  return async () => (await execute('sh', ['-c', SCAN], { cwd: clone, maxBuffer: 1 << 28 })).stdout;
}
