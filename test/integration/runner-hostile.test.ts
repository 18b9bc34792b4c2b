import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256 } from '../../src/domain/ids.ts';
import { type Host, RUN_FILES } from '../../src/domain/run-directory.ts';
import { encodeTrailer, type Trailer } from '../../src/domain/trailer.ts';
import { isRunning, RunnerBench, type RunPlan, type RunResult, script, toml } from '../fakes/runner-bench.ts';
import { until } from '../fakes/until.ts';

const SECRET = 'c0rrect/horse+battery=staple';
/** nobody, or whoever else we are not. */
const STRANGER = process.getuid?.() === 65534 ? { uid: 65533, gid: 65533 } : { uid: 65534, gid: 65534 };
/** Only root can start commands as another user. */
const OTHER_USER: Host['run_as'] = process.getuid?.() === 0 ? STRANGER : null;

/** A sleep that is told from those of other tests and other times. */
const nap = (n: number): string => `sleep 61.${process.pid}${n}`;

let bench: RunnerBench;
beforeAll(() => {
  bench = new RunnerBench();
});
afterAll(() => bench.remove());

describe('stopping', () => {
  it('at the deadline sends TERM to all of the command, KILL after the grace time, and says so (R9)', async () => {
    const deaf = `trap "" TERM; echo up; ${nap(1)} & while :; do ${nap(2)}; done`;
    const result = await bench.run({
      formula: script(deaf),
      payload: { timeout_seconds: 2 },
      host: { grace_ms: 300 },
    });
    expect(result).toMatchObject({ code: 124, stdout: 'up\n' });
    expect(result.stderr).toBe('edge-runner: ERR_DEADLINE: the command was stopped at its deadline\n');
    expect(result.trailer).toMatchObject({ exit: 124, reason: 'ERR_DEADLINE', signal: 'SIGKILL' });
    expect(result.exit).toMatchObject({ exit_code: 124, stopped: false });
    expect(isRunning(nap(1)) || isRunning(nap(2))).toBe(false);
  });

  it('by TERM lets the command end by itself, and a second TERM changes nothing (R9)', async () => {
    const prepared = bench.prepare({
      formula: script('trap "echo bye; exit 7" TERM; echo up; while :; do sleep 0.02; done'),
    });
    const child = bench.start(prepared.directory);
    const stdout = path.join(prepared.directory, RUN_FILES.stdout);
    await until('the command is up', () => readFileSync(stdout, 'utf8') === 'up\n');
    child.kill('SIGTERM');
    child.kill('SIGTERM');
    const result = await bench.result(prepared, child);
    expect(result).toMatchObject({ code: 7, stdout: 'up\nbye\n' });
    expect(result.exit).toMatchObject({ exit_code: 7, stopped: true, signal: null });
    expect(result.trailer).toMatchObject({ exit: 7, reason: null });
  });

  it('by TERM before the command has started starts nothing', async () => {
    const gate = path.join(bench.root, 'gate');
    execFileSync('/bin/sh', ['-c', 'mkfifo "$0"', gate]);
    const files = `files = [{ path = "${gate}", sha256 = "${sha256('')}" }]`;
    const prepared = bench.prepare({ formula: `${script('echo started')}\n${files}` });
    const child = bench.start(prepared.directory);
    await until('the runner is at the gate', () => !existsSync(prepared.ticket));
    child.kill('SIGTERM');
    await until('TERM was taken', () => pendingSignals(child.pid ?? 0) === 0n);
    writeFileSync(gate, '');
    const result = await bench.result(prepared, child);
    expect(result).toMatchObject({ code: 143, stdout: '' });
    expect(result.exit).toMatchObject({ exit_code: 143, signal: 'SIGTERM', stopped: true, started_at: null });
    expect(result.trailer).toMatchObject({ exit: 143, reason: null, started: null });
  });

  it('leaves no process, neither in the group, nor in a session of its own, nor without environment (E6)', async () => {
    const escape = `
      ${nap(1)} &
      setsid ${nap(2)} &
      setsid env -i ${nap(3)} > /dev/null 2>&1 &
      (cd / && exec setsid env -i ${nap(4)}) &
      (cd / && exec setsid ${nap(6)} > /dev/null 2>&1) &
      sleep 0.2; echo done`;
    const result = await bench.run({ formula: script(escape) });
    expect(result).toMatchObject({ code: 0, stdout: 'done\n' });
    expect([1, 2, 3, 4, 6].filter((n) => isRunning(nap(n)))).toEqual([]);
  });
});

describe('a command that forges its end (E6)', () => {
  it('prints a trailer: it is output like any other', async () => {
    const forged = encodeTrailer(SUCCESS, 'ab'.repeat(32));
    const result = await bench.run({ formula: script(`printf %s ${quoted(forged)} >&2; exit 9`) });
    expect(result).toMatchObject({ code: 9, stderr: forged });
    expect(result.trailer).toMatchObject({ exit: 9, stderr: { bytes: forged.length } });
  });

  it('writes exit.json and into the streams of the runner: exit.json is written over, streams are closed to it', async () => {
    const attack = `
      echo '{"exit_code":0}' > "$HOME/../exit.json" && echo forged
      echo intruder >> /proc/$PPID/fd/2 && echo intruded
      cat /proc/$PPID/environ > /dev/null && echo spied
      cat "$HOME/../host.json" > /dev/null && echo read
      exit 9`;
    const plan: RunPlan = { formula: script(attack), secrets: { TOKEN: SECRET }, host: { run_as: OTHER_USER } };
    const result = await bench.run(plan);
    expect(result.code).toBe(9);
    expect(result.exit?.exit_code).toBe(9);
    expect(result.trailer).toMatchObject({ exit: 9, reason: null });
    // As the same user nothing of this can be prevented, and results say so: isolated false.
    expect(result.stdout).toBe(OTHER_USER === null ? 'forged\nintruded\nspied\nread\n' : '');
  });
});

describe('a command as another user', () => {
  it('has directories that are its own and reads nothing of the runner and the store; without root it is refused', async () => {
    const look = `
      id -u; id -g; id -G; echo x > "$HOME/x" && echo x > x && ls -A; stat -c %a:%u . "$HOME"
      echo seen > /dev/stderr; cat "$EDGE_INPUTS_FILE"
      cat "$STORED" && echo stolen; : > "$EDGE_INPUTS_FILE" && echo changed; true`;
    const stored = path.join(bench.root, 'stored-secret');
    writeFileSync(stored, SECRET, { mode: 0o600 });
    const result = await bench.run({
      formula: `${script(look)}\nenv = { STORED = ${toml(stored)} }`,
      host: { run_as: STRANGER },
    });
    const seen = [result.code, result.trailer?.reason, result.stdout.trim().split('\n').join(' ')];
    const asOther = [0, null, '65534 65534 65534 x 700:65534 700:65534 {}'];
    expect(seen).toEqual(OTHER_USER === null ? [69, 'ERR_RUNNER', ''] : asOther);
    expect(result.stderr.split('\n')[0]).toMatch(OTHER_USER === null ? /ERR_RUNNER/ : /^seen$/);
  });

  it('leaves no process either, and prompts and pipes are open to it', async () => {
    const agent = ['bash', '-c', `cat; setsid env -i ${nap(5)} & echo err > /dev/stderr`];
    const result = await bench.run({
      formula: 'prompt = "do it"',
      payload: { agent },
      host: { run_as: OTHER_USER },
    });
    expect(result).toMatchObject({ code: 0, stdout: 'do it', stderr: 'err\n' });
    expect(isRunning(nap(5))).toBe(false);
  });

  it('is not started where it could not get to its directories, and the way is named', async () => {
    const prepared = bench.prepare({ formula: script('true'), host: { run_as: STRANGER } });
    const runs = path.dirname(prepared.directory);
    chmodSync(runs, 0o700);
    try {
      const result = await bench.result(prepared, bench.start(prepared.directory));
      expect(result.trailer).toMatchObject({ exit: 69, reason: 'ERR_RUNNER' });
      expect(result.stderr).toContain(`can't pass ${runs}; it needs mode o+x`);
    } finally {
      chmodSync(runs, 0o711);
    }
  });
});

describe('mounts', () => {
  it('ssh: linked into HOME, and ssh and git are pointed at it (S3)', async () => {
    const mount = makeMount('ssh', {
      id_ed25519: 'key',
      known_hosts: '',
      config: 'Host ops\n  IdentityFile ~/.ssh/ops\n',
    });
    const look = `
      ls -A "$HOME/.ssh"; ssh -G ops | grep -iE '^(identityfile|userknownhostsfile)' | sort -s -k1,1
      GIT_TRACE=1 git ls-remote ssh://127.0.0.1:1/x 2>&1 | grep -c "ssh -F"
      bash -c 'type -p ssh scp sftp' | xargs -n1 dirname | sort -u`;
    const result = await runMounted('ssh', mount, look);
    const home = path.join(result.directory, 'home');
    expect(result.stdout.trim().split('\n')).toEqual([
      'config',
      'id_ed25519',
      'known_hosts',
      `identityfile ${home}/.ssh/ops`,
      `identityfile ${home}/.ssh/id_ed25519`,
      `userknownhostsfile ${home}/.ssh/known_hosts`,
      expect.stringMatching(/^[1-9]/),
      path.join(result.directory, 'given/bin'),
    ]);
  });

  it('gpg: a private copy that may be written, the mount stays as it is (S3)', async () => {
    const mount = makeMount('gpg', { 'pubring.kbx': 'keys' });
    const look = `
      cd "$HOME/.gnupg"; stat -c %a:%F . pubring.kbx private-keys-v1.d; cat pubring.kbx; echo; echo more >> pubring.kbx`;
    mkdirSync(path.join(mount, 'private-keys-v1.d'));
    const result = await runMounted('gpg', mount, look);
    expect(result.stdout).toBe('700:directory\n600:regular file\n700:directory\nkeys\n');
    expect(result.code).toBe(0);
    expect(readFileSync(path.join(mount, 'pubring.kbx'), 'utf8')).toBe('keys');
  });

  it('sops: where sops looks, and named to it (S3)', async () => {
    const mount = makeMount('sops', { 'keys.txt': 'AGE-KEY' });
    const look = 'cat "$SOPS_AGE_KEY_FILE"; echo "$SOPS_AGE_KEY_FILE"';
    const result = await runMounted('sops', mount, look);
    expect(result.stdout).toBe(`AGE-KEY${result.directory}/home/.config/sops/age/keys.txt\n`);
  });

  it('that are not on this machine are a reason of the runner, and nothing starts (S3)', async () => {
    const plan = { formula: `${script('echo started')}\nmounts = ["ssh"]`, action: 'mounts = ["ssh"]' };
    for (const mounts of [{}, { ssh: '/no/such/directory' }]) {
      const result = await bench.run({ ...plan, host: { mounts } });
      expect(result.trailer).toMatchObject({ exit: 69, reason: 'ERR_RUNNER', started: null });
      expect(result.stderr).toContain('the mount ssh is not on this machine');
    }
  });
});

describe('artifacts', () => {
  it('are kept in the run directory, those with a secret inside are named only (R12)', async () => {
    const make = 'mkdir dist; echo ok > dist/a.txt; echo "$TOKEN" > dist/b.txt; ln -s /etc/passwd dist/c.txt';
    const prepared = bench.prepare({
      formula: `${script(make)}\nartifacts = ["dist/*.txt"]`,
      secrets: { TOKEN: SECRET },
      host: { run_as: OTHER_USER },
    });
    const result = await bench.result(prepared, bench.start(prepared.directory));
    const found = result.trailer?.artifacts.map(({ path: name, withheld }) => [name, withheld]);
    expect(found).toEqual([
      ['dist/a.txt', undefined],
      ['dist/b.txt', 'a secret is inside'],
    ]);
    expect(readdirSync(path.join(prepared.directory, RUN_FILES.artifacts, 'dist'))).toEqual(['a.txt']);
  });
});

const SUCCESS: Trailer = {
  v: 1,
  exit: 0,
  signal: null,
  reason: null,
  started: null,
  finished: '2026-11-21T00:00:00.000Z',
  digest: { action: null, formula: null },
  masked: {},
  stdout: { bytes: 0, sha256: '', cut: false },
  stderr: { bytes: 0, sha256: '', cut: false },
  artifacts: [],
};

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Signals that were sent to a process and not yet taken by it. */
function pendingSignals(pid: number): bigint {
  const [, pending = '0'] = /^ShdPnd:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return BigInt(`0x${pending}`);
}

function makeMount(name: string, files: Record<string, string>): string {
  const directory = path.join(bench.root, `mount-${name}`);
  mkdirSync(directory, { mode: 0o755 });
  for (const [file, content] of Object.entries(files)) writeFileSync(path.join(directory, file), content);
  return directory;
}

async function runMounted(name: string, mount: string, text: string): Promise<RunResult & { directory: string }> {
  const prepared = bench.prepare({
    formula: `${script(text)}\nmounts = [${toml(name)}]`,
    action: `mounts = [${toml(name)}]`,
    host: { mounts: { [name]: mount }, run_as: OTHER_USER },
  });
  return { ...(await bench.result(prepared, bench.start(prepared.directory))), directory: prepared.directory };
}
