import { appendFile, mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openStateDir } from '../../src/adapters/state-dir.ts';
import { plainGit } from '../../src/cli/plain-git.ts';
import { sha256 } from '../../src/domain/ids.ts';
import { encodeTrailer } from '../../src/domain/trailer.ts';
import { CliBench } from '../fakes/cli-bench.ts';
import {
  sampleEntry,
  sampleRecord,
  sampleResult,
  sampleStarted,
  sampleTrailer,
  TRAILER_KEY,
  tokenOf,
} from '../fakes/cli-samples.ts';
import { until } from '../fakes/until.ts';

/*
 * One ops repo that only grows: the four actions of the demo (publish-site and check-links approved, publish-docs not,
 * grab-the-key asking for too much) and what each test adds.
 */
let bench: CliBench;

beforeAll(async () => {
  bench = await CliBench.open();
});
afterAll(() => bench.remove());

const LINE = /^.{0,80}$/;

describe('status', () => {
  test('says of each pending action what it waits for, as the daemon would, and that none runs here', async () => {
    const { code, value } = await bench.json('status');
    expect(code).toBe(0);
    expect(value).toMatchObject({
      in_flight: [],
      recent: [],
      daemon: null,
      paused: null,
      waiting: expect.arrayContaining([
        expect.objectContaining({ id: 'publish-site', state: 'ready', reason: null, tier: 'high', formula: 'publish' }),
        expect.objectContaining({
          id: 'publish-docs',
          state: 'pending',
          reason: expect.objectContaining({ code: 'ERR_NEEDS_APPROVAL', hint: expect.any(String) }),
        }),
        expect.objectContaining({
          id: 'grab-the-key',
          state: 'refused',
          formula: 'publish',
          reason: expect.objectContaining({ code: 'ERR_SECRET_NOT_ALLOWED' }),
        }),
      ]),
    });
  });

  test('fits 80 columns, without colours where there is no terminal and with them on one', async () => {
    const plain = await bench.run(['status']);
    expect(plain.stdout).not.toContain('\u001b');
    for (const line of plain.stdout.split('\n').slice(1)) expect(line).toMatch(LINE);
    expect(plain.stdout).toMatch(/publish-docs +pending +.+not signed/s);
    const colourful = await bench.run(['status'], { isTTY: true });
    expect(colourful.stdout).toContain('\u001b[33m');
  });

  test('names files that do nothing, and can not be steered by what the repo says', async () => {
    const evil = 'vault/actions/Evil \u001b[2J.toml';
    await bench.push({
      [evil]: 'x',
      'vault/formulas/added.toml': 'name = "added"\ndescription = "x"\ncommand = ["true"]\ntier = "low"\n',
      'vault/actions/again/publish-docs.toml': 'x',
    });
    const { stdout } = await bench.run(['status'], { isTTY: true });
    expect(stdout).not.toContain('\u001b[2J');
    expect(stdout).toContain('\\u{001B}[2J');
    const { value } = await bench.json('status');
    expect(value).toMatchObject({
      oddities: expect.arrayContaining([
        expect.objectContaining({ path: evil, code: 'ERR_FILE_NAME' }),
        expect.objectContaining({ path: 'vault/formulas/added.toml', code: 'ERR_FORMULA_UNAPPROVED' }),
        expect.objectContaining({ path: 'vault/actions/again/publish-docs.toml', code: 'ERR_ACTION_DUPLICATE' }),
      ]),
    });
    await bench.push({
      [evil]: null,
      'vault/actions/again/publish-docs.toml': null,
      'vault/formulas/added.toml': null,
    });
  });

  test('tells recent results by their own time, also when many other commits came since', async () => {
    await bench.pushResult(sampleResult('newer', { timestamp: '2026-03-02T00:00:00Z' }));
    const reason = { code: 'ERR_COMMAND_FAILED', message: 'the command ended with 3', hint: null, by: null };
    await bench.pushResult(sampleResult('older', { outcome: 'failed', exit_code: 3, reason }));
    await bench.push({ 'vault/actions/foreign.result.json': '{ "no": "result" }\n' });
    const { clone } = bench.repo;
    for (let commit = 0; commit < 36; commit += 1) {
      await plainGit(clone, ['commit', '--quiet', '--allow-empty', '-m', `empty ${commit}`]);
    }
    await plainGit(clone, ['push', '--quiet', 'origin', 'main']);
    const { value } = await bench.json('status');
    expect(value).toMatchObject({
      recent: [
        { id: 'newer', state: 'succeeded', reason: null, attempt: 2, since: '2026-03-02T00:00:00Z' },
        { id: 'older', state: 'failed', reason: { code: 'ERR_COMMAND_FAILED' }, run: `subprocess/${tokenOf('older')}` },
        { id: 'foreign', state: 'unreadable', reason: { code: 'ERR_FOREIGN_RESULT' } },
      ],
    });
  });

  test('sees live attempts of this and of other dispatchers, and which of them run here', async () => {
    for (const id of ['live-own', 'live-other']) {
      const text = `id = "${id}"\nformula = "publish"\ncontext = "x"\nsecrets = []\ninputs = { page = "a.html" }\n`;
      await bench.push({ [`vault/actions/${id}.toml`]: text });
    }
    const own = sampleEntry('live-own', await bench.blob('vault/actions/live-own.toml'));
    await bench.claim(own);
    await bench.note(sampleRecord(own));
    const blob = await bench.blob('vault/actions/live-other.toml');
    await bench.claim(sampleEntry('live-other', blob, { dispatcher: 'elsewhere', state: 'dispatched' }));
    await bench.runDirectory(own.token, { started: sampleStarted(), stdout: 'out 1\n', stderr: 'err 1\n' });
    const { value } = await bench.json('status');
    expect(value).toMatchObject({
      in_flight: expect.arrayContaining([
        expect.objectContaining({ id: 'live-own', state: 'running', tier: 'high', run: `subprocess/${own.token}` }),
        expect.objectContaining({
          id: 'live-other',
          state: 'dispatched',
          formula: 'publish',
          reason: expect.objectContaining({ code: 'ERR_CLAIMED_ELSEWHERE', message: 'elsewhere runs it' }),
        }),
      ]),
      waiting: expect.not.arrayContaining([expect.objectContaining({ id: 'live-own' })]),
    });
  });

  test('shows the process that holds the state_dir', async () => {
    const state = await openStateDir(bench.repo.stateDir);
    const held = await bench.json('status');
    await state.release();
    expect(held.value).toMatchObject({ daemon: { pid: process.pid } });
    expect((await bench.json('status')).value).toMatchObject({ daemon: null });
  });

  test('leaves nothing behind and takes its own clone when another command has the usual one (beside the daemon)', async () => {
    const before = (await readdir(tmpdir())).filter((name) => name.startsWith('edge-dispatcher-cli-'));
    const taken = await openStateDir(path.join(bench.repo.stateDir, 'cache', 'cli'));
    const { code } = await bench.run(['status']);
    await taken.release();
    expect(code).toBe(0);
    const absent = path.join(bench.root, 'not-there-yet');
    await writeFile(path.join(bench.root, 'absent.toml'), bench.config({ stateDir: absent }));
    expect((await bench.run(['status', '--config', 'absent.toml'])).code).toBe(0);
    await expect(stat(absent)).rejects.toMatchObject({ code: 'ENOENT' });
    const after = (await readdir(tmpdir())).filter((name) => name.startsWith('edge-dispatcher-cli-'));
    expect(after).toEqual(before);
    await expect(stat(path.join(bench.repo.stateDir, 'accepted-tip'))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

interface Step {
  readonly step: string;
  readonly state: string;
  readonly code: string | null;
  readonly evidence: Readonly<Record<string, unknown>>;
}

async function stepsOf(id: string): Promise<Readonly<Record<string, Step>>> {
  const { value } = await bench.json('why', id);
  const { steps } = value as { readonly steps: readonly Step[] };
  expect(steps).toHaveLength(9);
  return Object.fromEntries(steps.map((step) => [step.step, step]));
}

describe('why', () => {
  test('shows each step of a waiting action: bytes, what is not approved, and the secrets by name', async () => {
    const steps = await stepsOf('publish-docs');
    const blob = await bench.blob('vault/actions/publish-docs.toml');
    expect(steps['read-action']).toMatchObject({ state: 'done', evidence: { blob, formula: 'publish', tier: 'high' } });
    expect(steps['approve-action']).toMatchObject({
      state: 'waiting',
      code: 'ERR_NEEDS_APPROVAL',
      evidence: { rules: ['signed-commit'] },
    });
    const secrets = [{ secret: 'PUBLISH_TOKEN', state: 'present' }];
    expect(steps['grant-access']).toMatchObject({ state: 'open', evidence: { secrets } });
    expect(steps['record-result']).toMatchObject({ state: 'open' });
  });

  test('names who approved which commit', async () => {
    const steps = await stepsOf('check-links');
    const commit = await plainGit(bench.repo.clone, [
      'log',
      '-1',
      '--format=%H',
      '--',
      'vault/actions/check-links.toml',
    ]);
    const approved = [expect.objectContaining({ rule: 'signed-commit', by: 'Grace', commit })];
    expect(steps['approve-action']).toMatchObject({ state: 'done', evidence: { approved } });
  });

  test('shows a definite no that is not recorded yet, at the step that says it', async () => {
    const steps = await stepsOf('grab-the-key');
    expect(steps['read-action']).toMatchObject({ state: 'refused', code: 'ERR_SECRET_NOT_ALLOWED' });
    const missing =
      'id = "no-key"\nformula = "publish"\ncontext = "x"\nsecrets = []\nexpires_at = 2026-01-01T00:00:00Z\n';
    await bench.push({ 'vault/actions/no-key.toml': `${missing}inputs = { page = "a.html" }\n` });
    expect((await stepsOf('no-key'))['grant-access']).toMatchObject({ state: 'refused', code: 'ERR_EXPIRED' });
  });

  test('tells of what has ended from its result alone', async () => {
    const steps = await stepsOf('older');
    expect(Object.values(steps).map(({ state }) => state)).toEqual(Array<string>(9).fill('done'));
    expect(steps['follow-run']).toMatchObject({ code: 'ERR_COMMAND_FAILED', evidence: { exit_code: 3 } });
    expect(steps['claim-attempt']).toMatchObject({
      evidence: { attempt: 2, earlier: [{ attempt: 1, outcome: 'timed_out' }] },
    });
    expect(steps['revoke-access']).toMatchObject({ evidence: { revoked: '2026-03-01T00:00:01Z' } });
    expect((await bench.json('why', 'older')).value).toMatchObject({ plan: null });
    const { stdout } = await bench.run(['why', 'older']);
    for (const line of stdout.split('\n')) expect(line).toMatch(LINE);
  });

  test('knows claim, run and deadline of a live attempt', async () => {
    const steps = await stepsOf('live-own');
    const run = `subprocess/${tokenOf('live-own')}`;
    expect(steps['claim-attempt']).toMatchObject({ state: 'done', evidence: { dispatcher: 'demo' } });
    expect(steps['dispatch-run']).toMatchObject({ state: 'done', evidence: { run } });
    expect(steps['follow-run']).toMatchObject({ state: 'waiting', evidence: { deadline: '2026-03-01T00:17:00.000Z' } });
    expect((await stepsOf('live-other'))['dispatch-run']).toMatchObject({
      state: 'waiting',
      code: 'ERR_CLAIMED_ELSEWHERE',
    });
  });

  test('of an id that there is not is wrong usage', async () => {
    const { code, stdout, stderr } = await bench.run(['why', 'nix', '--json']);
    expect(code).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'ERR_NOT_FOUND' } });
    expect(stderr).toContain('ERR_NOT_FOUND');
  });
});

describe('logs', () => {
  const stored = async (name: string, content: string) => {
    const file = path.join(bench.repo.stateDir, 'store', name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, content);
    return { bytes: Buffer.byteLength(content), sha256: sha256(content), complete: true, uri: `file://${file}` };
  };

  test('gives each stream of an ended run to its own, and says where the whole log lies (R10)', async () => {
    const stdout = await stored('kept/1/stdout.log', 'out\n');
    const stderr = { ...(await stored('kept/1/stderr.log', 'err\n')), complete: false };
    await bench.pushResult(sampleResult('kept', { output: { stdout, stderr, masked: {} } }));
    const said = await bench.run(['logs', 'kept']);
    expect({ code: said.code, stdout: said.stdout }).toEqual({ code: 0, stdout: 'out\n' });
    const where = [
      `full stdout: ${stdout.uri} (4 bytes, sha256 ${stdout.sha256})`,
      `stderr: ${stderr.uri} (4 bytes, sha256 ${stderr.sha256}); not complete: the runner's last words do not confirm it, so how much is missing is not known`,
    ];
    expect(said.stderr).toBe(`err\n${where.join('\n')}\n`);
    const { value } = await bench.json('logs', 'kept');
    expect(value).toMatchObject({
      state: 'succeeded',
      stdout: { text: 'out\n', ...stdout, missing: 0, why: null },
      stderr: { text: 'err\n', ...stderr, missing: 0, why: expect.stringContaining('not known') },
    });
  });

  test('shows the end from the result when the store has lost the rest, and says so', async () => {
    const gone = { bytes: 4, sha256: 'e'.repeat(64), complete: true, uri: `file://${bench.repo.stateDir}/store/gone` };
    await bench.pushResult(sampleResult('lost-log', { output: { stdout: gone, stderr: gone, masked: {} } }));
    const { code, stderr } = await bench.run(['logs', 'lost-log']);
    expect(code).toBe(1);
    expect(stderr).toContain('the last line');
    expect(stderr).toContain('the store does not hold it any more; 4 bytes are missing');
  });

  test('shows what a live run has said so far, and never its trailer', async () => {
    const dir = await bench.runDirectory(tokenOf('live-own'), {});
    const soFar = await bench.run(['logs', 'live-own']);
    expect({ code: soFar.code, stdout: soFar.stdout }).toEqual({ code: 0, stdout: 'out 1\n' });
    expect(soFar.stderr).toMatch(/^err 1\nlive-own is running/);
    expect(soFar.stderr).toContain(
      `\nstdout: file://${dir}/stdout (6 bytes, so far); not complete: its result is not recorded yet`,
    );
    await appendFile(path.join(dir, 'stderr'), encodeTrailer(sampleTrailer('err 1\n'), TRAILER_KEY));
    // Nobody works here, so nobody records the result: following it ends with the run.
    const ended = await bench.run(['logs', '-f', 'live-own']);
    expect(ended.stderr).toMatch(/^err 1\nlive-own has ended, its result is not recorded yet/);
  });

  test('follows a run into its result without a byte lost or twice', async () => {
    const text = 'id = "followed"\nformula = "publish"\ncontext = "x"\nsecrets = []\ninputs = { page = "a.html" }\n';
    await bench.push({ 'vault/actions/followed.toml': text });
    const entry = sampleEntry('followed', await bench.blob('vault/actions/followed.toml'));
    await bench.claim(entry);
    await bench.note(sampleRecord(entry));
    await bench.runDirectory(entry.token, { started: sampleStarted(), stdout: 'first\n', stderr: '' });
    const shown: string[] = [];
    const following = bench.run(['logs', '-f', 'followed'], { onStdout: (piece) => void shown.push(piece) });
    await until('the live part is shown', () => shown.join('') === 'first\n');
    const stdout = await stored('followed/1/stdout.log', 'first\nlast\n');
    const stderr = await stored('followed/1/stderr.log', '');
    const attempt = { number: 1, token: entry.token, dispatcher: 'demo', executions: 1 };
    await bench.pushResult(sampleResult('followed', { attempt, output: { stdout, stderr, masked: {} } }));
    const { code, stdout: all } = await following;
    expect({ code, all }).toEqual({ code: 0, all: 'first\nlast\n' });
  });

  test('of what has not started says why, and of what never ran how it ended', async () => {
    const pending = await bench.run(['logs', 'publish-docs']);
    expect(pending).toMatchObject({ code: 1, stdout: '' });
    expect(pending.stderr).toContain('ERR_NEEDS_APPROVAL');
    expect(await bench.run(['logs', 'nix'])).toMatchObject({ code: 2, stdout: '' });
    const reason = { code: 'ERR_EXPIRED', message: 'too late', hint: null, by: null };
    const never = { outcome: 'refused', exit_code: 64, reason, attempt: null, output: null, run: null } as const;
    await bench.pushResult(sampleResult('never-ran', never));
    expect((await bench.run(['logs', 'never-ran'])).stderr).toContain(
      'never-ran is refused and left no output: too late',
    );
  });

  test('waits for a pending action with -f until it is told to stop', async () => {
    const stop = new AbortController();
    const waiting = bench.run(['logs', '-f', 'publish-docs'], { signal: stop.signal, onStderr: () => stop.abort() });
    expect((await waiting).stderr).toContain('ERR_NEEDS_APPROVAL');
    expect((await waiting).code).toBe(0);
  });
});
