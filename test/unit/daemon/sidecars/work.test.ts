import { describe, expect, it } from 'vitest';
import { decodePayload } from '../../../../src/domain/payload.ts';
import { TransientError } from '../../../../src/errors.ts';
import { PROJECT, SidecarBench, sidecarRule } from '../../../fakes/sidecar-bench.ts';

const ID = 'sidecar/reproduce-1-1';
const never = new AbortController().signal;

function reported(): SidecarBench {
  const bench = new SidecarBench();
  bench.issues.forge.open('dev', { title: 'it crashes', labels: ['bug-report'] });
  return bench;
}

describe('what a sidecar is given', () => {
  it('is the project file and the formula in force, all secrets that the formula lists, and the issue (S2.1)', async () => {
    const bench = reported();
    bench.access.secrets.set('TOKEN', 'present');
    bench.addFormula('reproduce', { unattended: true, secrets: ['TOKEN'], timeout_minutes: 7 });
    const requests: Parameters<typeof bench.engine.dispatch>[0][] = [];
    const dispatch = bench.engine.dispatch.bind(bench.engine);
    bench.engine.dispatch = (request) => {
      requests.push(request);
      return dispatch(request);
    };
    await bench.once();
    expect(requests).toHaveLength(1);
    const [request] = requests;
    expect(request).toMatchObject({
      job: 'sidecar',
      timeoutSeconds: 420,
      meta: {
        action_id: ID,
        attempt: '1',
        formula: 'reproduce',
        issue_number: '1',
        project_toml: PROJECT,
        secrets_csv: 'TOKEN',
        mounts: '',
      },
    });
    const payload = decodePayload(request?.payload ?? Buffer.alloc(0));
    const url = 'https://forge.example/ops/code/issues/1';
    expect(payload).toMatchObject({ id: ID, sidecar: { repo: 'ops/code', issue: 1, url, project: PROJECT } });
    expect(Buffer.from(payload.action, 'base64').toString()).toBe('name = "code"\n');
    expect(Object.keys(payload.access.secrets)).toEqual(['TOKEN']);
    expect(bench.result(ID)?.access?.policies).toEqual(['edge-run', 'runner-TOKEN']);
  });

  it('is never the job of an action: such a formula is for sidecars only', async () => {
    const bench = new SidecarBench();
    bench.addFormula('tidy', { job: 'sidecar', unattended: true });
    bench.addAction('a');
    const { report } = await bench.once();
    expect(report.results).toEqual([{ id: 'a', outcome: 'refused', exit_code: 64 }]);
    expect(bench.result('a')?.reason).toMatchObject({ code: 'ERR_SIDECAR_JOB' });
    expect(bench.engine.executions).toEqual([]);
  });
});

describe('what holds a sidecar back', () => {
  it.each<readonly [string, string, (bench: SidecarBench) => void]>([
    ['its formula is not there', 'ERR_SIDECAR_FORMULA', (b) => b.repo.commitFiles({ [FORMULA]: null })],
    ['it is not marked unattended', 'ERR_SIDECAR_FORMULA', (b) => b.addFormula('reproduce')],
    ['it needs an input', 'ERR_SIDECAR_FORMULA', (b) => b.addFormula('reproduce', NEEDS)],
    ['its project file is not there', 'ERR_PROJECT_UNAPPROVED', (b) => b.repo.commitFiles({ [PROJECT]: null })],
    ['its project file is no TOML', 'ERR_PROJECT_INVALID', (b) => b.repo.commitFiles({ [PROJECT]: '=' }, 'x')],
    ['its job is not registered', 'ERR_JOB_MISSING', (b) => void b.engine.missing.add('sidecar')],
    ['a secret is not in the store', 'ERR_SECRET_UNKNOWN', (b) => b.addFormula('reproduce', SECRET)],
    ['no slot is free', 'ERR_SLOT', (b) => void (b.sidecarRules = [sidecarRule('reproduce', { in_flight: 0 })])],
    ['its runs of the day are used up', 'ERR_SIDECAR_BUDGET', (b) => void (b.sidecarRules = [SPENT])],
  ])('%s: it waits and says why, and nothing is recorded (S2.4)', async (_, code, prepare) => {
    const bench = reported();
    const clean = bench.repo.textAt(PROJECT);
    prepare(bench);
    // The version in force before stays in force where the newer one can't be read.
    const stays = code === 'ERR_PROJECT_INVALID' && clean !== null;
    const { report } = await bench.once();
    expect(report.waiting.map(({ id, reason }) => [id, reason.code])).toEqual(stays ? [] : [[ID, code]]);
    expect(bench.recorded(ID)).toBe(stays ? 1 : 0);
    expect(bench.journal.state.entries.size).toBe(0);
  });

  const FORMULA = 'vault/formulas/reproduce.toml';
  const NEEDS = { unattended: true, inputs: { version: { type: 'string', required: true } } };
  const SECRET = { unattended: true, secrets: ['NOWHERE'] };
  const SPENT = sidecarRule('reproduce', { runs_per_day: 0 });

  it('an action that waits for the same slot goes first', async () => {
    const bench = reported();
    bench.addAction('a');
    bench.engine.behaviours.set('a', { runMs: 60_000 });
    const daemon = bench.process({ loop: { inFlight: 1 } }).daemon;
    const over = bench.drive(daemon.once(never));
    const report = await over;
    expect(report.results.map(({ id }) => id)).toEqual(['a', ID]);
  });

  it('an outage of the forge is said once, and is no reason to begin anything (S2.2, R20)', async () => {
    const bench = reported();
    bench.issues.away = true;
    const stop = new AbortController();
    const { daemon, log } = bench.process();
    const running = daemon.run(stop.signal);
    await bench.pass(600_000);
    const said = log.filter(({ fields }) => fields['repo'] === 'ops/code');
    expect(said.map(({ level, fields }) => [level, fields['code']])).toEqual([['warn', 'ERR_FORGE_UNAVAILABLE']]);
    expect(bench.engine.executions).toEqual([]);
    expect(bench.issues.calls.length).toBeLessThan(60);
    stop.abort();
    await bench.drive(running);
  });

  it('waits as long as the forge asks for', async () => {
    const bench = reported();
    bench.issues.failure = new TransientError('ERR_FORGE_UNAVAILABLE', 'too much', { retryAfterMs: 300_000 });
    const stop = new AbortController();
    const running = bench.process().daemon.run(stop.signal);
    await bench.pass(290_000);
    expect(bench.issues.calls).toHaveLength(1);
    stop.abort();
    await bench.drive(running);
  });

  it('an issue that was closed just now is seen before anything is claimed', async () => {
    const bench = reported();
    const { daemon } = bench.process();
    const issue = bench.issues.issue.bind(bench.issues);
    bench.issues.issue = (number) => {
      bench.issues.forge.close('dev', 1);
      return issue(number);
    };
    const report = await bench.drive(daemon.once(never));
    expect([report.results, report.waiting]).toEqual([[], []]);
    expect(bench.engine.executions).toEqual([]);
    expect(bench.journal.state.ended.size).toBe(0);
  });
});

describe('a sidecar that runs', () => {
  it('is stopped by a cancel, recorded as cancelled, and not begun again (R9)', async () => {
    const bench = reported();
    bench.engine.behaviours.set(ID, { runMs: 3_600_000 });
    const over = bench.process().daemon.once(never);
    await bench.pass(3000);
    await bench.control.requestStop(ID, { kind: 'cancel', by: 'Jo', message: 'enough' });
    expect((await bench.drive(over)).results).toEqual([{ id: ID, outcome: 'cancelled', exit_code: 130 }]);
    await bench.pass(3_600_000);
    expect((await bench.once()).report.results).toEqual([]);
  });

  it('leaves its last lines in the log of the daemon (S2.4)', async () => {
    const bench = reported();
    bench.engine.behaviours.set(ID, { exitCode: 3, stdout: 'looked\n', stderr: 'not found\n' });
    const { log } = await bench.once();
    const said = log.filter(({ message }) => message === 'a sidecar has ended');
    expect(said.map(({ fields }) => fields)).toMatchObject([
      { id: ID, repo: 'ops/code', issue: 1, outcome: 'failed', exit_code: 3, output: 'looked\nnot found' },
    ]);
  });

  it('costs one request for each poll where nothing is new (R17)', async () => {
    const bench = reported();
    const stop = new AbortController();
    const running = bench.process().daemon.run(stop.signal);
    await bench.pass(60_000);
    bench.issues.calls.length = 0;
    await bench.pass(600_000);
    expect(new Set(bench.issues.calls.map((call) => call.split(' ')[0]))).toEqual(new Set(['changedSince']));
    expect(bench.issues.calls.length).toBeLessThan(135);
    stop.abort();
    await bench.drive(running);
  });

  it('is begun again after its rest where it was never placed: nothing was done about the issue', async () => {
    const bench = reported();
    bench.engine.behaviours.set(ID, { queuedMs: 5000, never: true });
    const { report } = await bench.once();
    expect(report.results).toMatchObject([{ id: ID, outcome: 'timed_out' }]);
    expect((await bench.once()).report.results).toEqual([]);
    await bench.pass(31 * 60_000);
    const second = await bench.once();
    expect(second.report.results).toMatchObject([{ id: 'sidecar/reproduce-1-2', outcome: 'succeeded' }]);
  });
});

describe('a run whose command never began', () => {
  it.each(['ERR_WRAPPER_EXPIRED', 'ERR_SECRET_MISSING', 'ERR_VAULT_UNAVAILABLE'] as const)(
    '(%s) did nothing about the issue: its rest alone is enough, two hours at most',
    async (code) => {
      const bench = reported();
      const never = { exitCode: 69, reason: code };
      for (const n of [1, 2, 3, 4, 5, 6]) bench.engine.behaviours.set(`sidecar/reproduce-1-${n}`, never);
      const stop = new AbortController();
      const running = bench.process({ loop: { pollSeconds: 60 } }).daemon.run(stop.signal);
      // 0, 0:30, 1:30, 3:30, 5:30, 7:30
      await bench.pass(7 * 3_600_000);
      expect(bench.repo.subjects.filter((subject) => subject.startsWith('sidecar/'))).toHaveLength(5);
      stop.abort();
      await bench.drive(running);
    },
  );

  it('is none where somebody else had its wrapper: that is looked at first', async () => {
    const bench = reported();
    bench.engine.behaviours.set(ID, { exitCode: 69, reason: 'ERR_WRAPPER_USED' });
    await bench.once();
    await bench.pass(24 * 3_600_000);
    expect((await bench.once()).report.results).toEqual([]);
  });
});

describe('the comment on the issue', () => {
  function commenting(): SidecarBench {
    const bench = reported();
    bench.sidecarRules = [sidecarRule('reproduce', { comment: true })];
    return bench;
  }
  const bodies = (bench: SidecarBench) => bench.issues.forge.comments.map(({ by, body }) => [by.login, body]);

  it('is not made unless it is asked for', async () => {
    const bench = reported();
    await bench.once();
    expect(bodies(bench)).toEqual([]);
  });

  it('tells the end, without a word of the output', async () => {
    const bench = commenting();
    bench.engine.behaviours.set(ID, { exitCode: 3, stdout: 'private' });
    await bench.once();
    const [[by, body] = ['', '']] = bodies(bench);
    expect(by).toBe('edge-bot');
    expect(body).toContain('`reproduce`: **failed**, exit code 3 (ERR_COMMAND_FAILED)');
    expect(body).toContain('`vault/sidecars/reproduce-1-1.result.json`');
    expect(body).not.toContain('private');
  });

  it('is one for each formula, whose text is the newest end, and no reason to run again', async () => {
    const bench = commenting();
    await bench.once();
    bench.issues.forge.comment('dev', 1, 'more');
    await bench.pass(3_600_000);
    await bench.once();
    await bench.pass(86_400_000);
    await bench.once();
    expect(bodies(bench).filter(([by]) => by === 'edge-bot')).toHaveLength(1);
    expect(bodies(bench).at(0)?.[1]).toContain('reproduce-1-2.result.json');
    expect(bench.engine.executions).toHaveLength(2);
  });

  it('that a process owed is made by the next one', async () => {
    const bench = commenting();
    const { issues } = bench;
    const comment = issues.comment.bind(issues);
    issues.comment = () => Promise.reject(new TransientError('ERR_FORGE_UNAVAILABLE', 'it is away'));
    await bench.once();
    expect(bodies(bench)).toEqual([]);
    issues.comment = comment;
    const stop = new AbortController();
    const running = bench.process().daemon.run(stop.signal);
    await bench.pass(10_000);
    expect(bodies(bench)).toHaveLength(1);
    stop.abort();
    await bench.drive(running);
  });
});
