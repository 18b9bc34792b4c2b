import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256 } from '../../src/domain/ids.ts';
import { encodePayload } from '../../src/domain/payload.ts';
import { RUN_FILES } from '../../src/domain/run-directory.ts';
import { endOf, isRunning, RunnerBench, script, splitStderr, toml } from '../fakes/runner-bench.ts';
import { until } from '../fakes/until.ts';

let bench: RunnerBench;
beforeAll(() => {
  bench = new RunnerBench();
});
afterAll(() => bench.remove());

describe('the end of a command', () => {
  it('is told with its exit code and both streams, to exit status, exit.json and trailer alike (E1)', async () => {
    const result = await bench.run({ formula: script('echo out; echo err >&2; echo more > /dev/stderr; exit 3') });
    expect(result).toMatchObject({ code: 3, stdout: 'out\n', stderr: 'err\nmore\n' });
    expect(result.exit).toMatchObject({ exit_code: 3, signal: null, oom: false, stopped: false });
    expect(result.trailer).toMatchObject({
      exit: 3,
      signal: null,
      reason: null,
      masked: {},
      stdout: { bytes: 4, sha256: sha256('out\n'), cut: false },
      stderr: { bytes: 9, sha256: sha256('err\nmore\n'), cut: false },
    });
    expect(result.trailer?.started).toBe(result.exit?.started_at);
  });

  it('is told with the signal that killed it (E1)', async () => {
    const result = await bench.run({ formula: script('kill -9 $$') });
    expect(result.code).toBe(137);
    expect(result.exit).toMatchObject({ exit_code: 137, signal: 'SIGKILL', oom: false, stopped: false });
    expect(result.trailer).toMatchObject({ exit: 137, signal: 'SIGKILL', reason: null });
  });

  it('is told from a command that is not there', async () => {
    const result = await bench.run({ formula: 'command = ["no-such-program", "x"]' });
    expect(result).toMatchObject({ code: 69, stdout: '' });
    expect(result.stderr).toBe('edge-runner: ERR_COMMAND_NOT_FOUND: "no-such-program" is not there (ENOENT)\n');
    expect(result.trailer).toMatchObject({ exit: 69, reason: 'ERR_COMMAND_NOT_FOUND', started: null });
    expect(result.trailer?.stderr).toMatchObject({ bytes: result.stderr.length, sha256: sha256(result.stderr) });
  });
});

describe('what a command finds', () => {
  it('is the closed environment and nothing of the one that the runner was started in (E6)', async () => {
    const result = await bench.run(
      {
        formula: `command = ["cat", "/proc/self/environ"]\nenv = { REGION = "eu" }\n[inputs.version]\ntype = "string"`,
        action: 'model = "sonnet"\ntools = ["git"]\n[inputs]\nversion = "1.2.0"',
        secrets: { TOKEN: 'a-real-secret-value' },
        payload: { inputs: { version: '1.2.0' } },
      },
      { NOMAD_TOKEN: 'of the daemon', EDGE_SOMETHING: 'of the daemon', HOME: '/root' },
    );
    const names = result.stdout.split('\0').map((each) => each.split('=')[0]);
    const ours = 'EDGE_ACTION_ID EDGE_ATTEMPT EDGE_CONTEXT EDGE_FORMULA EDGE_INPUTS_FILE EDGE_MODEL EDGE_TOOLS';
    expect(new Set(names)).toEqual(
      new Set(['', ...ours.split(' '), ...'HOME INPUT_VERSION LANG PATH REGION TOKEN'.split(' ')]),
    );
    expect(result.stdout).not.toContain('of the daemon');
  });

  it('is an empty HOME and work directory of its own, its inputs as JSON, and no stdin', async () => {
    const result = await bench.run({
      formula: `${script('ls -A "$HOME" "$PWD" | grep -v :$; cat "$EDGE_INPUTS_FILE"; wc -c; touch "$HOME/a" b')}
[inputs.count]
type = "integer"
default = 3`,
      payload: { inputs: { count: 3 } },
    });
    expect(result.stdout.split('\n').filter(Boolean)).toEqual(['{"count":3}', '0']);
    expect(result.code).toBe(0);
  });

  it("is, for a prompt, the operator's agent with the prompt on stdin and model and tools in the environment", async () => {
    const result = await bench.run({
      formula: `prompt = ${toml('line 1\n"line" $2')}`,
      action: 'model = "opus"\ntools = ["a", "b"]',
      payload: { agent: ['bash', '-c', 'cat; echo " $EDGE_MODEL/$EDGE_TOOLS"'] },
    });
    expect(result.stdout).toBe('line 1\n"line" $2 opus/a,b\n');
  });

  it('is nothing of the run before, whose directories and processes are gone (E7)', async () => {
    const nap = `sleep 62.${process.pid}`;
    const left = `left-${process.pid}`;
    const leave = `echo mine > "$HOME/${left}"; echo mine > ${left}; (${nap} &) ; setsid ${nap} & echo "$HOME"`;
    const first = await bench.run({ formula: script(`${leave}; sleep 0.2`) });
    const home = first.stdout.trim();
    expect(first.code).toBe(0);
    expect([home, path.join(home, '../work'), path.join(home, '../given')].filter((each) => existsSync(each))).toEqual(
      [],
    );
    const look = 'ls -A "$HOME" "$PWD" | grep -v :$; cat /proc/[0-9]*/cmdline | tr "\\0" " "';
    const second = await bench.run({ formula: script(look) });
    expect(second.stdout).not.toContain(left);
    expect(second.stdout).not.toContain(nap);
  });
});

describe('the payload', () => {
  it('is taken from a file, which is deleted, or from stdin, without a run directory', async () => {
    for (const way of ['file', 'stdin'] as const) {
      const { directory, payload } = bench.prepare({
        formula: `${script('echo hi; echo "$HOME"; echo a > a.txt; exit 4')}\nartifacts = ["*.txt"]`,
      });
      const file = path.join(directory, RUN_FILES.payload);
      const args = way === 'file' ? ['--payload', file] : [];
      const child = spawn(process.execPath, [bench.program, ...args], { stdio: 'pipe' });
      const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []];
      child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
      child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
      child.stdin.end(way === 'file' ? '' : encodePayload(payload));
      await new Promise((resolve) => child.once('close', resolve));
      const [greeting, home = '/'] = Buffer.concat(stdout).toString().split('\n');
      expect([child.exitCode, greeting, existsSync(home)]).toEqual([4, 'hi', false]);
      const { trailer } = splitStderr(Buffer.concat(stderr), payload.trailer_key);
      expect(trailer?.artifacts[0]).toMatchObject({ path: 'a.txt', withheld: 'this engine collects no artifacts' });
      expect(existsSync(file)).toBe(way === 'stdin');
      expect(readdirSync(directory)).not.toContain(RUN_FILES.exit);
    }
  });

  it('that is none is told in one line, without a word of it, and deleted', async () => {
    const prepared = bench.prepare({ formula: script('true') });
    const file = path.join(prepared.directory, RUN_FILES.payload);
    writeFileSync(file, 'hvs.SECRETWRAPPER');
    const result = await bench.result(prepared, bench.start(prepared.directory));
    expect(result.stderr).toBe('edge-runner: ERR_PAYLOAD: the payload is no gzipped JSON\n');
    expect([result.code, result.exit?.exit_code, result.trailer, existsSync(file)]).toEqual([69, 69, null, false]);
  });

  it('is gone before the command starts, and so is all that could sign a trailer (E6)', async () => {
    const result = await bench.run({ formula: script('ls -A "$HOME/.."; exit 0') });
    expect(result.stdout.split('\n')).not.toContain(RUN_FILES.payload);
    expect(result.trailer?.exit).toBe(0);
  });
});

describe('a second runner', () => {
  it('in the same run directory ends at once and touches nothing', async () => {
    const prepared = bench.prepare({ formula: script('echo once') });
    const first = await bench.result(prepared, bench.start(prepared.directory));
    bench.writePayload(prepared.directory, prepared.payload);
    const before = contentsOf(prepared.directory);
    expect(await endOf(bench.start(prepared.directory))).toBe(75);
    expect(contentsOf(prepared.directory)).toEqual(before);
    expect(first.stdout).toBe('once\n');
  });

  it('elsewhere with the same wrapper executes nothing: of 8 at once, one does, also with no secrets (R5)', async () => {
    const counter = path.join(bench.root, 'executions');
    const original = bench.prepare({ formula: script(`echo x >> ${counter}; sleep 0.1`), secrets: {} });
    const copies = Array.from({ length: 8 }, () => {
      const copy = bench.prepare({ formula: script('true') });
      bench.writePayload(copy.directory, original.payload);
      return { ...copy, payload: original.payload };
    });
    const children = copies.map(({ directory }) => bench.start(directory));
    const results = await Promise.all(copies.map((copy, index) => bench.result(copy, children[index] ?? never())));
    expect(readFileSync(counter, 'utf8')).toBe('x\n');
    const ends = results.map(({ code, trailer }) => `${code} ${trailer?.reason ?? 'ran'}`).toSorted();
    expect(ends).toEqual(['0 ran', ...Array.from({ length: 7 }, () => '69 ERR_WRAPPER_USED')]);
  });
});

describe('the output', () => {
  it('is forwarded while the command runs, and never beside its streams', async () => {
    const flag = path.join(bench.root, 'go-on');
    const secret = 'never-in-argv-or-environ';
    const prepared = bench.prepare({
      formula: script(`echo one; until [ -e ${flag} ]; do sleep 0.02; done`),
      secrets: { TOKEN: secret },
    });
    const child = bench.start(prepared.directory);
    const file = path.join(prepared.directory, RUN_FILES.stdout);
    await until('the first line is there', () => readFileSync(file, 'utf8') === 'one\n');
    const seen = ['cmdline', 'environ'].map((name) => readFileSync(`/proc/${child.pid}/${name}`, 'utf8')).join();
    expect(seen).not.toContain(secret);
    expect(seen).toContain('--run-dir');
    writeFileSync(flag, '');
    expect((await bench.result(prepared, child)).code).toBe(0);
  });

  it('ends at the limit of each stream, the trailer comes nevertheless and the command goes on', async () => {
    const result = await bench.run({
      formula: script('seq 1 200000; echo err >&2; echo done > d.txt; exit 5').concat('\nartifacts = ["*.txt"]'),
      payload: { limits: { log_bytes: 1000, artifact_bytes: 100 } },
    });
    expect(result).toMatchObject({ code: 5, stderr: 'err\n' });
    expect(result.stdout).toHaveLength(1000);
    expect(result.trailer?.stdout).toEqual({ bytes: 1000, sha256: sha256(result.stdout), cut: true });
    expect(result.trailer?.stderr.cut).toBe(false);
    expect(result.trailer?.artifacts).toEqual([{ path: 'd.txt', bytes: 5, sha256: sha256('done\n') }]);
  });

  it('waits for a slow reader, and the deadline does not (R9)', async () => {
    const endless = `yes ${process.pid}`;
    const { directory } = bench.prepare({
      formula: script(`exec ${endless}`),
      payload: { timeout_seconds: 2 },
    });
    const args = ['--payload', path.join(directory, RUN_FILES.payload)];
    const child = spawn(process.execPath, [bench.program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    await until('the command runs', () => isRunning(endless));
    await until('the command was stopped', () => !isRunning(endless));
    expect(child.exitCode).toBeNull();
    child.stdout.resume();
    child.stderr.resume();
    expect(await endOf(child)).toBe(124);
  });
});

function contentsOf(directory: string): Record<string, string> {
  const names = readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(names.map(({ name }) => [name, readFileSync(path.join(directory, name), 'base64')]));
}

function never(): never {
  throw new Error('there is one child a copy');
}
