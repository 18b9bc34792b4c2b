import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { type Result, resultSchema } from '../../src/domain/result.ts';
import { createRemote, git, temporaryFolder, Writer } from './git-repo.ts';
import { until } from './until.ts';

/** The real program (`dist/`, made by `npm run build`) against a real ops repo, all in one temporary folder. */
export interface DaemonBench {
  readonly dir: string;
  /** The bare ops repo as a path. */
  readonly remote: string;
  readonly stateDir: string;
  readonly writer: Writer;
  readonly configFile: string;
  /** Each execution of a formula of `countingFormula` appends a line here. */
  readonly countFile: string;
  writeConfig(changes?: ConfigChanges): Promise<void>;
  /** Starts the program; `ended` answers its exit code or signal. */
  start(args: readonly string[], env?: Readonly<Record<string, string>>): RunningProgram;
  /** Commits and pushes files as of now. */
  push(files: Readonly<Record<string, string | null>>, signingKey?: string): Promise<string>;
  /** The same on top of whatever the branch holds now; tried again when the dispatcher was first. */
  pushOnTip(files: Readonly<Record<string, string | null>>): Promise<void>;
  /** All results at the tip of the branch, by id. */
  results(): Promise<ReadonlyMap<string, Result>>;
  /** Executions of each id so far. */
  executions(): Promise<ReadonlyMap<string, number>>;
  remove(): Promise<void>;
}

interface ConfigChanges {
  readonly url?: string;
  readonly approval?: string;
  readonly listen?: string;
  readonly more?: string;
}

interface RunningProgram {
  readonly child: ChildProcess;
  readonly ended: Promise<{ readonly code: number | null; readonly signal: string | null }>;
  stdout(): string;
  stderr(): string;
}

const PROGRAM = path.resolve('dist/main.js');
/** With fifty other writers a push is refused many times. */
const PUSH_PATIENCE_MS = 120_000;

const TRUST = `low = ["trust-branch"]\nmedium = ["trust-branch"]\nhigh = ["trust-branch"]`;

export async function makeDaemonBench(): Promise<DaemonBench> {
  const { dir, remove } = await temporaryFolder('edge-daemon-');
  const remote = await createRemote(path.join(dir, 'ops.git'));
  const writer = await Writer.open(remote, path.join(dir, 'writer.git'));
  const stateDir = path.join(dir, 'state');
  const configFile = path.join(dir, 'dispatcher.toml');
  const countFile = path.join(dir, 'executions');
  await mkdir(path.join(stateDir, 'secrets'), { recursive: true });
  await writeFile(countFile, '');
  const children = new Set<RunningProgram>();
  const bench: DaemonBench = {
    dir,
    remote,
    stateDir,
    writer,
    configFile,
    countFile,
    writeConfig: (changes = {}) => writeFile(configFile, configText(bench, changes)),
    start(args, env = {}) {
      const program = launch([...args, '--config', configFile], dir, env);
      children.add(program);
      return program;
    },
    async push(files, signingKey) {
      const commit = await writer.commit(files, {
        date: new Date(),
        ...(signingKey === undefined ? {} : { signingKey }),
      });
      await writer.push();
      return commit;
    },
    async pushOnTip(files) {
      await until(
        'the push has landed',
        async () => {
          await writer.pull();
          await writer.commit(files, { date: new Date() });
          return writer.push().then(
            () => true,
            () => false,
          );
        },
        PUSH_PATIENCE_MS,
      );
    },
    results: () => readResults(remote),
    executions: () => countLines(countFile),
    async remove() {
      for (const { child, ended } of children) {
        child.kill('SIGKILL');
        await ended;
      }
      await endRuns(stateDir);
      await remove();
    },
  };
  await bench.writeConfig();
  return bench;
}

function configText(bench: DaemonBench, changes: ConfigChanges): string {
  return `
[dispatcher]
name = "bench"
state_dir = ${JSON.stringify(bench.stateDir)}
poll_seconds = 0.3
[ops_repo]
url = ${JSON.stringify(changes.url ?? bench.remote)}
[approval]
${changes.approval ?? TRUST}
[engine]
kind = "subprocess"
[access]
kind = "file"
[http]
listen = ${JSON.stringify(changes.listen ?? '')}
${changes.more ?? ''}
`;
}

function launch(args: readonly string[], cwd: string, env: Readonly<Record<string, string>>): RunningProgram {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    cwd,
    env: { PATH: process.env['PATH'] ?? '', NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
  return {
    child,
    ended: new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal }))),
    stdout: () => Buffer.concat(out).toString('utf8'),
    stderr: () => Buffer.concat(err).toString('utf8'),
  };
}

/** A formula whose every execution appends its action's id to the count file. */
export function countingFormula(bench: DaemonBench, name: string, more = ''): string {
  return `name = "${name}"
description = "Counts its executions"
command = ["bash", "-c", "echo $EDGE_ACTION_ID >> ${bench.countFile}${more}"]
tier = "low"
timeout_minutes = 5
`;
}

export function actionText(id: string, formula: string, more = ''): string {
  return `id = "${id}"\nformula = "${formula}"\ncontext = "a test"\n${more.includes('secrets') ? '' : 'secrets = []\n'}${more}`;
}

export const POLICY = '[tiers]\n';

async function readResults(remote: string): Promise<ReadonlyMap<string, Result>> {
  const env = { GIT_DIR: remote };
  const listing = await git(
    ['ls-tree', '-r', '--format=%(objectname) %(path)', 'main', 'vault/actions', 'vault/sidecars'],
    env,
  );
  const results = new Map<string, Result>();
  for (const line of listing.split('\n').filter((name) => name.endsWith('.result.json'))) {
    const [blob = ''] = line.split(' ', 1);
    const result = resultSchema.parse(JSON.parse(await git(['cat-file', 'blob', blob], env)));
    results.set(result.id, result);
  }
  return results;
}

async function countLines(file: string): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  for (const id of (await readFile(file, 'utf8')).split('\n').filter((line) => line !== '')) {
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  return counts;
}

/** Runners outlive a killed daemon on purpose; here they have to be gone before the folder is. */
async function endRuns(stateDir: string): Promise<void> {
  await until('no run of this bench lives', async () => (await livingRunners(stateDir)).length === 0, 15_000);
}

async function livingRunners(stateDir: string): Promise<readonly number[]> {
  const { readdirSync, readFileSync } = await import('node:fs');
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const isOurs = readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(stateDir);
        if (isOurs) process.kill(pid, 'SIGTERM');
        return isOurs;
      } catch {
        return false;
      }
    });
}
