import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { createDaemon, type DaemonDeps } from '../../../src/daemon/daemon.ts';
import { bearerGuard, readTokenFile } from '../../../src/daemon/http/bearer.ts';
import { type MetricsPage, startHealth } from '../../../src/daemon/http/health.ts';
import { CONTENT_TYPE, createMetrics, type Seen } from '../../../src/daemon/http/metrics.ts';
import type { Reason } from '../../../src/domain/run.ts';
import { StalledError, TransientError } from '../../../src/errors.ts';
import { reason } from '../../../src/story/reasons.ts';
import { AnnounceBench } from '../../fakes/announce-bench.ts';
import { type ProcessOptions, StoryBench } from '../../fakes/story-bench.ts';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

const BUILD = { version: '1.2.3', engine: 'dummy', access: 'memory' };
const LOOP = { pollSeconds: 5, inFlight: 4, dispatchesPerMinute: 600 };
const never = new AbortController().signal;

/** A daemon on the bench whose figures are taken. */
function observed(bench: StoryBench, more: Partial<DaemonDeps> = {}, settings: ProcessOptions['settings'] = {}) {
  const process = bench.process({ settings });
  const metrics = createMetrics(BUILD, bench.clock, false);
  const { parts, watcher } = process;
  const daemon = createDaemon(metrics.observe({ parts, watcher, settings: LOOP, ...more }));
  const seen: Seen = {
    board: daemon.board,
    figures: () => daemon.figures(),
    unready: () => daemon.unready(),
    backoff: () => new Map([['engine', 1500]]),
  };
  return { ...process, daemon, text: () => metrics.text(seen) };
}

/** Each sample by its name and labels as they are written. Throws for a line that is none of OpenMetrics. */
function samplesOf(exposition: string): ReadonlyMap<string, number> {
  const lines = exposition.split('\n');
  const end = lines.indexOf('# EOF');
  if (end < 0 || lines.slice(end + 1).some((line) => line !== '')) throw new Error('the exposition has no end');
  const samples = lines.slice(0, end).flatMap((line) => {
    if (/^# (?:HELP|TYPE|UNIT) [a-z_]+ .+$/.test(line)) return [];
    const [, name = '', value = ''] = /^([a-z_]+(?:\{[^}]*\})?) (\S+)$/.exec(line) ?? [];
    if (name === '' || Number.isNaN(Number(value))) throw new Error(`not a sample: ${line}`);
    return [[name, Number(value)] as const];
  });
  return new Map(samples);
}

describe('the metrics of a daemon', () => {
  it('tell results, dispatches and times after a story', async () => {
    const bench = new StoryBench();
    bench.engine.behaviours.set('bad', { exitCode: 3 });
    bench.engine.behaviours.set('slow', { queuedMs: 4000, runMs: 8000 });
    for (const id of ['good', 'bad', 'slow']) bench.addAction(id);
    bench.addAction('later', { not_before: '2126-04-01T00:00:00Z' });
    bench.addAction('broken', { secrets: 'all' });
    const { daemon, text } = observed(bench);
    await bench.drive(daemon.once(never));
    const samples = samplesOf(await text());
    expect(Object.fromEntries([...samples].filter(([name]) => /_total\{|_total$|_count/.test(name)))).toEqual({
      edge_dispatcher_dispatches_total: 3,
      'edge_dispatcher_results_total{outcome="succeeded"}': 2,
      'edge_dispatcher_results_total{outcome="failed"}': 1,
      'edge_dispatcher_results_total{outcome="invalid"}': 1,
      'edge_dispatcher_results_total{outcome="refused"}': 0,
      'edge_dispatcher_results_total{outcome="timed_out"}': 0,
      'edge_dispatcher_results_total{outcome="cancelled"}': 0,
      'edge_dispatcher_results_total{outcome="lost"}': 0,
      'edge_dispatcher_results_total{outcome="unknown"}': 0,
      'edge_dispatcher_service_errors_total{service="git"}': 0,
      'edge_dispatcher_service_errors_total{service="engine"}': 0,
      'edge_dispatcher_service_errors_total{service="access"}': 0,
      'edge_dispatcher_service_errors_total{service="store"}': 0,
      'edge_dispatcher_service_errors_total{service="forge"}': 0,
      'edge_dispatcher_security_events_total{code="ERR_FOREIGN_RUN"}': 0,
      'edge_dispatcher_security_events_total{code="ERR_FOREIGN_RESULT"}': 0,
      'edge_dispatcher_security_events_total{code="ERR_WRAPPER_USED"}': 0,
      'edge_dispatcher_security_events_total{code="ERR_DIGEST"}': 0,
      'edge_dispatcher_notifications_total{outcome="sent"}': 0,
      'edge_dispatcher_notifications_total{outcome="failed"}': 0,
      'edge_dispatcher_notifications_total{outcome="dropped"}': 0,
      'edge_dispatcher_webhooks_total{outcome="hint"}': 0,
      'edge_dispatcher_webhooks_total{outcome="ignored"}': 0,
      'edge_dispatcher_webhooks_total{outcome="forged"}': 0,
      'edge_dispatcher_webhooks_total{outcome="refused"}': 0,
      'edge_dispatcher_phase_seconds_count{phase="approval_to_claim"}': 3,
      'edge_dispatcher_phase_seconds_count{phase="claim_to_dispatch"}': 3,
      'edge_dispatcher_phase_seconds_count{phase="dispatch_to_start"}': 3,
      'edge_dispatcher_phase_seconds_count{phase="total"}': 3,
    });
    expect(samples.get('edge_dispatcher_phase_seconds_sum{phase="dispatch_to_start"}')).toBe(4);
    expect(samples.get('edge_dispatcher_build_info{version="1.2.3",engine="dummy",access="memory"}')).toBe(1);
    expect(samples.get('edge_dispatcher_actions_waiting{state="pending",code="ERR_NOT_BEFORE"}')).toBe(1);
    expect(samples.get('edge_dispatcher_ready')).toBe(1);
    const looked = samples.get('edge_dispatcher_last_look_timestamp_seconds') ?? 0;
    expect(Math.abs(bench.clock.now().getTime() / 1000 - looked)).toBeLessThan(60);
  });

  it('tell what is under way, the slots it takes, and what waits and why', async () => {
    const bench = new StoryBench();
    for (const id of ['a', 'b', 'c', 'd', 'e', 'f']) {
      bench.engine.behaviours.set(id, { runMs: 100_000 });
      bench.addAction(id);
    }
    const stop = new AbortController();
    const { daemon, text } = observed(bench);
    const running = daemon.run(stop.signal);
    await bench.pass(20_000);
    const samples = samplesOf(await text());
    expect(samples.get('edge_dispatcher_attempts{state="running"}')).toBe(4);
    expect(samples.get('edge_dispatcher_attempts{state="claiming"}')).toBe(0);
    expect(samples.get('edge_dispatcher_slots_used')).toBe(4);
    expect(samples.get('edge_dispatcher_slots_limit')).toBe(4);
    expect(samples.get('edge_dispatcher_actions_waiting{state="pending",code="ERR_SLOT"}')).toBe(2);
    await bench.pass(300_000);
    const after = samplesOf(await text());
    expect(after.get('edge_dispatcher_slots_used')).toBe(0);
    expect(after.get('edge_dispatcher_results_total{outcome="succeeded"}')).toBe(6);
    expect(after.has('edge_dispatcher_actions_waiting{state="pending",code="ERR_SLOT"}')).toBe(false);
    stop.abort();
    await bench.drive(running);
  });

  it('count the errors of each service, and tell how long it is left alone (R17)', async () => {
    const bench = new StoryBench();
    const stop = new AbortController();
    const { daemon, gate, text } = observed(bench);
    const running = daemon.run(stop.signal);
    await bench.pass(1000);
    const away = () => new TransientError('ERR_GIT_UNAVAILABLE', 'it answers 503');
    gate.fail('opsRepo.refresh', away, { times: 6 });
    await bench.pass(20_000);
    const samples = samplesOf(await text());
    expect(samples.get('edge_dispatcher_service_errors_total{service="git"}')).toBeGreaterThan(1);
    expect(samples.get('edge_dispatcher_backoff_seconds{service="git"}')).toBeGreaterThanOrEqual(4.5);
    expect(samples.get('edge_dispatcher_backoff_seconds{service="engine"}')).toBe(1.5);
    expect(samples.get('edge_dispatcher_ready')).toBe(0);
    await bench.pass(300_000);
    expect(samplesOf(await text()).get('edge_dispatcher_backoff_seconds{service="git"}')).toBe(0);
    stop.abort();
    await bench.drive(running);
  });

  it('count what a rule could not ask as errors of the forge, or of git where that was away', async () => {
    const bench = new AnnounceBench();
    const failures = [
      new TransientError('ERR_FORGE_UNAVAILABLE', 'it answers 503'),
      new StalledError('ERR_FORGE_DENIED', 'it answers 403'),
      new TransientError('ERR_GIT_UNAVAILABLE', 'it does not answer'),
    ];
    const evaluate = async () => {
      const failure = failures.shift();
      if (failure !== undefined) throw failure;
      return { kind: 'waiting' as const, code: 'ERR_NEEDS_APPROVAL' as const, message: 'nobody has approved it' };
    };
    bench.rules.set('forge-review', { name: 'forge-review', countsPeople: true, evaluate });
    const needed = { all: ['forge-review'], any: [], atLeast: 0, selfApprove: false };
    bench.addAction('a');
    const { daemon, text } = observed(bench, {}, { requirements: { low: needed, medium: needed, high: needed } });
    for (let times = 0; times < 3; times += 1) {
      await bench.drive(daemon.once(never));
      bench.clock.advance(10_000);
    }
    const samples = samplesOf(await text());
    const errors = ['forge', 'git'].map((name) =>
      samples.get(`edge_dispatcher_service_errors_total{service="${name}"}`),
    );
    expect([failures, errors]).toEqual([[], [2, 1]]);
  });

  it('count what people could not be told as errors of the forge', async () => {
    const bench = new AnnounceBench();
    bench.forge = bench.people;
    bench.people.failure = new TransientError('ERR_FORGE_UNAVAILABLE', 'it answers 503');
    const announce = { policyFile: 'vault/policy.toml', mounts: [], bots: [], forgeAdmins: false };
    const { daemon, text } = observed(bench, { announce });
    await bench.drive(daemon.once(never));
    expect(samplesOf(await text()).get('edge_dispatcher_service_errors_total{service="forge"}')).toBe(1);
  });

  it('count a used wrapper and a foreign run as security events (R16, R21)', async () => {
    const bench = new StoryBench();
    const stop = new AbortController();
    const { daemon, text, log } = observed(bench);
    const events = async (code: string) =>
      samplesOf(await text()).get(`edge_dispatcher_security_events_total{code="${code}"}`);
    const running = daemon.run(stop.signal);
    bench.engine.behaviours.set('stolen', { queuedMs: 20_000 });
    bench.addAction('stolen');
    await bench.pass(10_000);
    for (const wrapping of bench.access.wrappers.keys()) bench.access.redeem(wrapping);
    await bench.pass(30_000);
    expect(bench.result('stolen')?.reason?.code).toBe('ERR_WRAPPER_USED');
    expect([await events('ERR_WRAPPER_USED'), await events('ERR_FOREIGN_RUN')]).toEqual([1, 0]);
    bench.engine.foreign = true;
    bench.addAction('foreign');
    await bench.pass(6_000);
    const told = log.filter(({ message }) => message.startsWith('security event')).map(({ fields }) => fields['code']);
    const said = told.filter((code) => code === 'ERR_FOREIGN_RUN').length;
    expect([said > 0, told.filter((code) => code === 'ERR_WRAPPER_USED')]).toEqual([true, ['ERR_WRAPPER_USED']]);
    expect([await events('ERR_WRAPPER_USED'), await events('ERR_FOREIGN_RUN')]).toEqual([1, said]);
    stop.abort();
    await bench.drive(running);
  });

  it('name no action, secret, token or accessor', async () => {
    const bench = new StoryBench();
    bench.access.secrets.set('DEPLOY_KEY', 'present');
    bench.addFormula('release', { secrets: ['DEPLOY_KEY'], tier: 'low' });
    bench.addAction('release-v120', { formula: 'release', secrets: ['DEPLOY_KEY'] });
    const { daemon, text } = observed(bench);
    await bench.drive(daemon.once(never));
    const said = await text();
    const [wrapping = ''] = bench.access.wrappers.keys();
    expect(samplesOf(said).get('edge_dispatcher_results_total{outcome="succeeded"}')).toBe(1);
    const hidden = [
      'release-v120',
      'DEPLOY_KEY',
      'release',
      'accessor',
      wrapping,
      bench.engine.executions[0] ?? 'none',
    ];
    expect(hidden.filter((text) => said.includes(text))).toEqual([]);
  });

  it('tell that a failed check holds back what waits; nothing is claimed until it is good again (S1.6)', async () => {
    const bench = new StoryBench();
    bench.addAction('a');
    let held: readonly Reason[] = [reason('ERR_ENGINE_UNAVAILABLE', 'it does not answer')];
    const { daemon, text } = observed(bench, { hold: () => held });
    const report = await bench.drive(daemon.once(never));
    expect(report.unreachable.map(({ code }) => code)).toContain('ERR_ENGINE_UNAVAILABLE');
    expect(report.results).toEqual([]);
    expect(daemon.unready()).toMatchObject([{ code: 'ERR_ENGINE_UNAVAILABLE' }]);
    const samples = samplesOf(await text());
    expect(samples.get('edge_dispatcher_actions_waiting{state="pending",code="ERR_ENGINE_UNAVAILABLE"}')).toBe(1);
    held = [];
    expect((await bench.drive(daemon.once(never))).results).toMatchObject([{ id: 'a', outcome: 'succeeded' }]);
  });

  it('bring those of the process when they are asked for', async () => {
    const bench = new StoryBench();
    const metrics = createMetrics(BUILD, bench.clock, true);
    const { daemon } = bench.process();
    const { board } = daemon;
    const seen = { board, figures: () => daemon.figures(), unready: () => daemon.unready(), backoff: () => new Map() };
    const text = await metrics.text(seen);
    expect(text).toContain('process_resident_memory_bytes');
    expect(text.endsWith('# EOF\n')).toBe(true);
  });
});

describe('/metrics', () => {
  const warnings: string[] = [];
  const quiet = () => undefined;
  const log = { debug: quiet, info: quiet, error: quiet, warn: (message: string) => void warnings.push(message) };

  async function serve(host: string, guard: MetricsPage['guard']) {
    const page = { contentType: CONTENT_TYPE, text: () => Promise.resolve('# EOF\n'), guard };
    const health = await startHealth({ host, port: 0 }, () => [], log, { metrics: page });
    closers.push(() => health.close());
    const { port } = new URL(health.address ?? '');
    return async (authorization?: string) => {
      const headers = { connection: 'close', ...(authorization === undefined ? {} : { authorization }) };
      const response = await fetch(`http://127.0.0.1:${port}/metrics`, { headers });
      return { status: response.status, type: response.headers.get('content-type'), body: await response.text() };
    };
  }

  it('is open on loopback, as OpenMetrics', async () => {
    const ask = await serve('127.0.0.1', null);
    expect(await ask()).toEqual({ status: 200, type: CONTENT_TYPE, body: '# EOF\n' });
  });

  it('is not there on other addresses without a token, and the log says so', async () => {
    warnings.length = 0;
    const ask = await serve('0.0.0.0', null);
    expect((await ask()).status).toBe(404);
    expect(warnings).toEqual(['metrics are off: listen is not on loopback, and there is no token_file']);
  });

  it('asks for the token of the file, as the file says it at that moment', async () => {
    const dir = await mkdtemp(path.join(tmpdir(), 'edge-metrics-'));
    closers.push(() => rm(dir, { recursive: true, force: true }));
    const file = path.join(dir, 'token');
    const ask = await serve(
      '0.0.0.0',
      bearerGuard(() => readTokenFile(file), log),
    );
    warnings.length = 0;
    expect((await ask('Bearer first-token')).status).toBe(401);
    expect(warnings).toEqual(['cannot read the token of [http]']);
    await writeFile(file, 'first-token\n');
    const wrong = [
      'Bearer ',
      'Bearer first-toke',
      'Bearer first-tokens',
      'Basic first-token',
      'first-token',
      undefined,
    ];
    for (const given of wrong) expect([given, (await ask(given)).status]).toEqual([given, 401]);
    expect((await ask('Bearer first-token')).status).toBe(200);
    await writeFile(file, 'second-token');
    expect((await ask('Bearer first-token')).status).toBe(401);
    expect((await ask('bearer second-token')).status).toBe(200);
    await writeFile(file, '\n');
    expect((await ask('Bearer ')).status).toBe(401);
  });
});
