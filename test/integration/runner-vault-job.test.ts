import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type JobStart, type PreparedJob, RunnerBench, type RunResult, script } from '../fakes/runner-bench.ts';
import { mint } from '../fakes/runner-vault.ts';
import type { Installation } from '../fakes/vault/install.ts';
import { FakeVault } from '../fakes/vault/server.ts';

const IS_ROOT = process.getuid?.() === 0;
/** Only root can give a command another user. */
const OTHER = IS_ROOT ? { uid: 65_534, gid: 65_533 } : { uid: process.getuid?.(), gid: process.getgid?.() };
const AS_OTHER = IS_ROOT ? ['--run-as', `${OTHER.uid}:${OTHER.gid}`] : [];
/** Starts what follows in two more groups. */
const IN_GROUPS = IS_ROOT
  ? [
      process.execPath,
      '-e',
      'process.setgroups([4, 27]); const [, ...a] = process.argv; require("child_process").execFileSync(a[0], a.slice(1), { stdio: "inherit" })',
    ]
  : [];
const GROUPS = IS_ROOT ? '' : (process.getgroups?.() ?? []).join(' ');

let bench: RunnerBench;
let vault: FakeVault;
let installed: Installation;
beforeAll(async () => {
  bench = new RunnerBench();
  vault = await FakeVault.start();
  installed = vault.install();
});
afterAll(async () => {
  bench.remove();
  await vault.close();
});

describe('a job', () => {
  it('runs the command as another user, in none of our groups, and leaves artifacts and nothing else', async () => {
    const job = await prepare(
      'id -u; id -g; grep ^Groups: /proc/self/status; mkdir a; echo made > a/x',
      'artifacts = ["a/*"]',
    );
    const [scratch, artifacts] = ['scratch', 'artifacts'].map((name) => path.join(job.directory, name)) as [
      string,
      string,
    ];
    mkdirSync(scratch);
    chmodSync(scratch, 0o755);
    const args = ['--artifacts', artifacts, ...AS_OTHER];
    const result = await start(job, { args, under: IN_GROUPS, environment: { TMPDIR: scratch } });
    const [uid, gid, groups] = result.stdout.split('\n');
    expect([uid, gid, groups?.replace(/^Groups:\s*/, '').trim()]).toEqual([`${OTHER.uid}`, `${OTHER.gid}`, GROUPS]);
    expect(result.trailer?.artifacts).toMatchObject([{ path: 'a/x', bytes: 5 }]);
    const modes = [artifacts, path.join(artifacts, 'a/x')].map((file) => statSync(file).mode & 0o777);
    expect(modes).toEqual([0o700, 0o600]);
    expect(statSync(artifacts).uid).toBe(process.getuid?.());
    expect(readdirSync(scratch)).toEqual([]);
    expect(existsSync(job.payloadFile)).toBe(false);
  });

  it('puts artifacts nowhere else, whatever the command puts in the place of their directory (E6)', async () => {
    const artifacts = path.join(bench.root, 'open', 'artifacts');
    const elsewhere = path.join(bench.root, 'elsewhere');
    for (const directory of [path.dirname(artifacts), elsewhere]) {
      mkdirSync(directory);
      chmodSync(directory, 0o777);
    }
    const swap = `mv ${artifacts} ${artifacts}.moved && ln -s ${elsewhere} ${artifacts}; echo made > x`;
    const job = await prepare(swap, 'artifacts = ["*"]');
    const result = await start(job, { args: [...AS_OTHER, '--artifacts', artifacts] });
    expect(result.trailer?.artifacts).toMatchObject([{ path: 'x', bytes: 5 }]);
    expect(lstatSync(artifacts).isSymbolicLink()).toBe(true);
    expect(readdirSync(elsewhere)).toEqual([]);
    expect(readFileSync(path.join(`${artifacts}.moved`, 'x'), 'utf8')).toBe('made\n');
  });

  it('takes artifacts from nowhere else, whatever the command puts in the place of its own directories (E6)', async () => {
    const [scratch, closed] = ['scratch-of-all', 'private'].map((name) => path.join(bench.root, name)) as [
      string,
      string,
    ];
    mkdirSync(scratch);
    chmodSync(scratch, 0o777);
    mkdirSync(closed, { mode: 0o700 });
    writeFileSync(path.join(closed, 'x'), 'private');
    const swap = `echo mine > x; cd /; mv ${scratch}/edge-run-* ${scratch}/moved && mkdir "$(dirname "$HOME")" && ln -s ${closed} "$(dirname "$HOME")/work"`;
    const args = [...AS_OTHER, '--artifacts', path.join(bench.root, 'kept')];
    const job = await prepare(swap, 'artifacts = ["*"]');
    const result = await start(job, { args, environment: { TMPDIR: scratch } });
    expect(result).toMatchObject({ code: 0, trailer: { artifacts: [{ path: 'x', bytes: 5 }] } });
    expect(readFileSync(path.join(bench.root, 'kept', 'x'), 'utf8')).toBe('mine\n');
  });

  it('does not start where the directory for artifacts is there already', async () => {
    const job = await prepare('echo started');
    const result = await start(job, { args: ['--artifacts', job.directory] });
    expect(result).toMatchObject({ code: 69, stdout: '', trailer: { reason: 'ERR_RUNNER' } });
    expect(result.stderr).toMatch(`${job.directory} for the artifacts can't be made (EEXIST)`);
  });

  it('whose payload is gone says so, and nothing else', async () => {
    const result = await start({ ...(await prepare('echo started')), payloadFile: path.join(bench.root, 'gone') });
    expect(result).toMatchObject({ code: 69, stdout: '', trailer: null });
    expect(result.stderr).toBe("edge-runner: ERR_PAYLOAD: the payload can't be read and deleted (ENOENT)\n");
  });

  it('is not started by a command line that makes no sense, and its payload stays', async () => {
    const job = await prepare('echo started');
    expect(await start(job, { args: ['--verbose'] })).toMatchObject({ code: 64, stdout: '', stderr: '' });
    expect(existsSync(job.payloadFile)).toBe(true);
  });
});

function prepare(text: string, more = ''): Promise<PreparedJob> {
  const access = (payload: PreparedJob['payload']) => mint(vault, installed, payload, { names: [] });
  return bench.prepareJob({ formula: `${script(text)}\n${more}` }, access);
}

function start(job: PreparedJob, options: JobStart = {}): Promise<RunResult> {
  return bench.result(job, bench.startJob(job, options));
}
