import { afterEach, expect, test } from 'vitest';
import type { FakeNomadOptions } from '../fakes/nomad/fake-nomad.ts';
import { DAEMON_TOKEN, FakeNomad } from '../fakes/nomad/fake-nomad.ts';
import { Replay, recording } from '../fakes/nomad/replay.ts';
import { scriptedDriver } from '../fakes/nomad/scripted-driver.ts';
import { until } from '../fakes/until.ts';

/** The faults of the fake are those of the real servers: held to the recordings where there is one. */

let nomad: FakeNomad | undefined;
const controls: AbortController[] = [];

afterEach(async () => {
  for (const control of controls.splice(0)) control.abort();
  await nomad?.close();
  nomad = undefined;
});

async function started(options: FakeNomadOptions = {}): Promise<FakeNomad> {
  const token = { policies: ['dispatcher'] };
  nomad = await FakeNomad.start({
    jobs: [jobOf('o-script')],
    ...options,
    policies: { 'read-fs': 'namespace "agents" { capabilities = ["read-fs"] }', ...options.policies },
    tokens: {
      '<daemon-token>': token,
      '<management-token>': { type: 'management' },
      '<read-only-token>': { policies: [] },
      '<list-only-token>': { policies: [] },
      '<other-ns-token>': { policies: [] },
      '<read-fs-token>': { policies: ['read-fs'] },
    },
  });
  return nomad;
}

function jobOf(id: string, task: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, unknown>> {
  const runner = { Name: 'runner', Driver: 'raw_exec', DispatchPayload: { File: 'payload.json' }, ...task };
  const parameters = { Payload: 'optional', MetaOptional: ['formula'] };
  return { ID: id, ParameterizedJob: parameters, TaskGroups: [{ Name: 'run', Tasks: [runner] }] };
}

/** A child that has ended, or as far as its plan lets it. */
async function childOf(fake: FakeNomad, token: string, isThere: (status: string) => boolean): Promise<string> {
  fake.foreignChild({ parent: 'o-script', token });
  await until(`${token} is there`, () => {
    const [job] = fake.children(token);
    const [allocation] = job ? fake.state.allocationsOf(job) : [];
    return allocation && isThere(allocation.ClientStatus);
  });
  return fake.allocation(token).ID;
}

const hasEnded = (status: string) => status === 'complete' || status === 'failed';
const isRunning = (status: string) => status === 'running';

async function ask(path: string, init: RequestInit = {}) {
  const response = await fetch(`${nomad?.address}${path}`, { headers: { 'x-nomad-token': DAEMON_TOKEN }, ...init });
  return { status: response.status, text: await response.text(), index: response.headers.get('x-nomad-index') };
}

interface Listener {
  readonly status: number;
  readonly headers: Headers;
  text: string;
  hasEnded: boolean;
}

/** A response that is read as it comes; cut at the end of the test. */
async function listen(path: string, token = DAEMON_TOKEN): Promise<Listener> {
  const control = new AbortController();
  controls.push(control);
  const response = await fetch(`${nomad?.address}${path}`, {
    headers: token === '' ? {} : { 'x-nomad-token': token },
    signal: control.signal,
  });
  const listener = { status: response.status, headers: response.headers, text: '', hasEnded: false };
  void (async () => {
    try {
      for await (const chunk of response.body ?? []) listener.text += Buffer.from(chunk as Uint8Array).toString();
    } catch {
      // It was cut.
    }
    listener.hasEnded = true;
  })();
  return listener;
}

const STREAM = '/v1/event/stream?topic=Allocation&topic=Evaluation&topic=Job&namespace=agents';

function linesOf(listener: Listener): readonly { readonly Index?: number }[] {
  const whole = listener.text.slice(0, listener.text.lastIndexOf('\n') + 1);
  return whole.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as { Index?: number }]));
}

test('event streams open, replay, wait and stay silent when refused, as recorded', async () => {
  const fake = await started();
  for (let at = 0; at < 20; at += 1) await childOf(fake, `token-${at}`, hasEnded);
  const last = fake.state.index;
  const { exchanges } = recording('event-stream');
  const opened = await Promise.all(
    exchanges.slice(0, -1).map(async ({ request, response, note }) => {
      const query = typeof request.query === 'string' ? request.query.replace('1983', String(last)) : '';
      const listener = await listen(`${request.path}?${query}`, request.headers?.['X-Nomad-Token'] ?? '');
      return { listener, note, response: response as unknown as Readonly<Record<string, unknown>> };
    }),
  );
  await childOf(fake, 'sentinel', hasEnded);
  const [whole] = opened;
  await until('the sentinel came', () => whole && linesOf(whole.listener).at(-1)?.Index === fake.state.index);
  for (const { listener, note, response } of opened) {
    const isRefusal = response['status'] === 400;
    const before = isRefusal ? [] : linesOf(listener).filter(({ Index = 0 }) => Index <= last);
    const rest = isRefusal ? listener.text : undefined;
    const expected = [response['status'], response['lines_received'], response['rest_of_body']];
    expect([note, listener.status, before.length, rest]).toEqual([note, ...expected]);
  }
});

test('an event comes before its state can be read, and ?index= waits for it', async () => {
  const fake = await started();
  const id = await childOf(fake, 'one', hasEnded);
  fake.eventsBeforeState(2);
  const [older, newer] = recording('event-before-state').exchanges.map(({ response }) => response.body) as {
    readonly ClientStatus: string;
  }[];
  const allocation = fake.allocation('one');
  const first = await ask(`/v1/allocation/${id}?namespace=agents`);
  expect(JSON.parse(first.text)).toMatchObject({ ClientStatus: older?.ClientStatus });
  expect(Number(first.index)).toBeLessThan(allocation.ModifyIndex);
  const second = await ask(`/v1/allocation/${id}?namespace=agents&index=${allocation.ModifyIndex - 1}&wait=5s`);
  expect(JSON.parse(second.text)).toMatchObject({ ClientStatus: newer?.ClientStatus });
});

test('a blocking read answers when the allocation changes', async () => {
  const driver = scriptedDriver({ held: true });
  const fake = await started({ driver });
  const id = await childOf(fake, 'one', isRunning);
  const blocked = ask(`/v1/allocation/${id}?namespace=agents&index=${fake.allocation('one').ModifyIndex}&wait=5m`);
  await until('it waits', () => fake.count('allocation') === 1);
  driver.release('one');
  expect(JSON.parse((await blocked).text)).toMatchObject({ ClientStatus: 'complete' });
});

test('logs answer as recorded: plain, framed, offsets, refusals', async () => {
  const plans = {
    out: { stdout: 'out 1\nout 2\nout 3\nout 4\nout 5\n', stderr: 'err 1\nerr 2\nerr 3\nerr 4\nerr 5\n' },
    bad: { outcome: 'bad-command' },
    prestart: { outcome: 'prestart-task-fails' },
    artifact: { outcome: 'artifact' },
    silent: {},
  } as const;
  const driver = scriptedDriver((child) => plans[child.DispatchIdempotencyToken as keyof typeof plans]);
  const fake = await started({ driver });
  const recorded = ['47427ce6-2afb-b0e0-af22-a7a2454d4d39', 'dcbfb507-dc3a-b26a-1727-ccdc017ccf94'];
  recorded.push('40fbc239-27e4-2e9e-f082-ecb8d713194b', 'd8871f2d-b743-35c8-4260-a9292477c37d');
  recorded.push('5ad1f0a1-1531-585d-aed1-e4ecea377b26');
  const replay = new Replay(fake.address);
  for (const [at, token] of Object.keys(plans).entries()) {
    replay.know(recorded[at] ?? '', await childOf(fake, token, hasEnded));
  }
  driver.print('prestart', 'stderr', 'prep broke\n', 'prep');
  for (const exchange of recording('logs').exchanges.filter(({ note }) => !note.includes('follow'))) {
    const { expected, actual } = await replay.send(exchange);
    expect(actual).toEqual(expected);
  }
});

test('a followed log goes on after the task; frames are glued, with heartbeats', async () => {
  const driver = scriptedDriver({ held: true, stdout: 'line 1\n' });
  const fake = await started({ driver, logHeartbeatMs: 5 });
  const id = await childOf(fake, 'one', isRunning);
  const plain = await listen(`/v1/client/fs/logs/${id}?task=runner&type=stdout&follow=true&plain=true`);
  const framed = await listen(`/v1/client/fs/logs/${id}?task=runner&type=stdout&follow=true`);
  driver.print('one', 'stdout', 'line 2\n');
  driver.release('one');
  await until('heartbeats came after the last line', () => /"Offset":14\}(\{\}){2,}$/.test(framed.text));
  expect(framed.text.replaceAll('{}', '')).toBe(
    '{"Data":"bGluZSAxCg==","File":"alloc/logs/runner.stdout.0","Offset":7}' +
      '{"Data":"bGluZSAyCg==","File":"alloc/logs/runner.stdout.0","Offset":14}',
  );
  expect(plain).toMatchObject({ text: 'line 1\nline 2\n', hasEnded: false });
});

test('logs and allocations that were collected or purged are gone as recorded', async () => {
  const fake = await started({ driver: scriptedDriver({ outcome: 'exit-3', stdout: 'hello\n' }) });
  const { exchanges } = recording('logs-lost');
  const replay = new Replay(fake.address);
  replay.know('4cb72017-98e9-6085-3809-70a5a6324ae4', await childOf(fake, 'client', hasEnded));
  replay.know('b12a3920-8667-8129-3136-17bcbe143f49', await childOf(fake, 'server', hasEnded));
  replay.know('407738ec-5d04-e63a-afca-8a9321769f57', await childOf(fake, 'purged', hasEnded));
  replay.know('o-script/dispatch-1795232915-049de879', fake.child('server').ID);
  const before: Readonly<Record<string, () => void>> = {
    'its client collected the allocation (client allocation gc)': () => fake.collectFromClient('client'),
    'PUT /v1/system/gc': () => fake.collectFromServer('server'),
    'child purged a moment ago': () => fake.purge('purged'),
  };
  for (const exchange of exchanges.filter(({ note }) => !/MB|still known/.test(note))) {
    before[exchange.note]?.();
    const { expected, actual } = await replay.send(exchange);
    expect(actual).toEqual(expected);
  }
  expect((await ask(`/v1/allocation/${fake.allocation('client').ID}`)).status).toBe(200);
});

test('old log files go without a sign; what is left starts at a whole line', async () => {
  const task = { LogConfig: { MaxFiles: 2, MaxFileSizeMB: 100 / 1_048_576 } };
  const lines = Array.from({ length: 50 }, (_, at) => `line ${String(at).padStart(3, '0')}\n`);
  const driver = scriptedDriver({ stdout: lines.join('') });
  const fake = await started({ driver, jobs: [jobOf('o-script', task)] });
  const id = await childOf(fake, 'one', hasEnded);
  const { text } = await ask(`/v1/client/fs/logs/${id}?task=runner&type=stdout&plain=true`);
  expect(text).toBe(lines.slice(-text.length / 9).join(''));
  expect(text.length).toBeLessThan(200);
  fake.truncateLog('one', 'stdout', 9);
  fake.textAfterLogs = 'error reading';
  const { text: after } = await ask(`/v1/client/fs/logs/${id}?task=runner&type=stdout&plain=true`);
  expect(after).toBe(`${text.slice(9)}error reading`);
});

test('more connections than allowed get the recorded 429', async () => {
  const fake = await started();
  await listen(STREAM);
  fake.limitConnections(1);
  const recorded = recording('connection-limit').exchanges[1];
  expect(recorded).toBeDefined();
  const { expected, actual } = await new Replay(fake.address).send(recorded as NonNullable<typeof recorded>);
  expect(actual).toEqual(expected);
});

test('a restart ends streams, refuses connections, answers 403 once, and loses no task and no event', async () => {
  const driver = scriptedDriver({ held: true });
  const fake = await started({ driver });
  await childOf(fake, 'one', isRunning);
  const old = await listen(STREAM);
  const seen = fake.state.index;
  await fake.down();
  await until('the stream ended', () => old.hasEnded);
  await expect(ask('/v1/jobs?namespace=agents')).rejects.toThrow('fetch failed');
  driver.release('one');
  await until('it ended meanwhile', () => fake.allocation('one').ClientStatus === 'complete');
  await fake.up();
  expect(await ask('/v1/jobs?namespace=agents')).toMatchObject({ status: 403, text: 'Permission denied' });
  expect(await ask('/v1/jobs?namespace=agents')).toMatchObject({ status: 200 });
  const stream = await listen(`${STREAM}&index=${seen}`);
  await until('the end came', () => linesOf(stream).at(-1)?.Index === fake.state.index);
  expect(linesOf(stream)[1]).toMatchObject({ Index: seen });
});

test('single requests fail as they are told to', async () => {
  const fake = await started();
  const dispatch = { method: 'POST', body: '{}' };
  const path = '/v1/job/o-script/dispatch?namespace=agents&idempotency_token=one';
  fake.faults.noLeader({ pattern: /dispatch/ });
  expect(await ask(path, dispatch)).toMatchObject({ status: 500, text: 'No cluster leader' });
  fake.faults.cut({ pattern: /dispatch/ });
  await expect(ask(path, dispatch)).rejects.toThrow('fetch failed');
  expect(fake.children('one')).toHaveLength(0);
  fake.faults.loseAnswer({ pattern: /dispatch/ });
  await expect(ask(path, dispatch)).rejects.toThrow('fetch failed');
  expect(fake.children('one')).toHaveLength(1);
  const release = fake.faults.hang({ pattern: /dispatch/ });
  const hanging = ask(path, dispatch);
  await until('it hangs', () => fake.count('dispatch') === 4);
  release();
  expect(JSON.parse((await hanging).text)).toMatchObject({ EvalID: '', DispatchedJobID: fake.child('one').ID });
});

test('streams break off in a line, fall silent, answer nothing, or have lost their history', async () => {
  const fake = await started();
  const cut = await listen(STREAM);
  fake.streams.cutNextLine();
  await childOf(fake, 'one', hasEnded);
  await until('it ended', () => cut.hasEnded);
  expect(cut.text.endsWith('\n')).toBe(false);
  fake.streams.silent = true;
  const silent = await listen(STREAM);
  fake.streams.silent = false;
  fake.streams.answersNothing = true;
  const nothing = await listen(STREAM);
  await childOf(fake, 'two', hasEnded);
  expect([silent.status, nothing.status, nothing.text]).toEqual([200, 200, '']);
  fake.streams.answersNothing = false;
  fake.streams.overtake();
  await until('they ended', () => silent.hasEnded && nothing.hasEnded);
  const last = fake.state.index;
  const late = await listen(`${STREAM}&index=1`);
  await childOf(fake, 'three', hasEnded);
  await until('it came', () => linesOf(late).length > 1);
  expect(linesOf(late)[1]?.Index).toBeGreaterThan(last);
});

test('a rescheduled child has two allocations as recorded; lost and disconnected nodes are told', async () => {
  const fake = await started({ driver: scriptedDriver({ outcome: 'reschedule' }), jobs: [jobOf('o-resched')] });
  const [dispatch, lists] = recording('outcome-reschedule').exchanges;
  const replay = new Replay(fake.address);
  await replay.send({ ...dispatch, request: { ...dispatch?.request, body: {} } } as NonNullable<typeof dispatch>);
  const old = await until('it failed', () =>
    [...fake.state.allocations.values()].find((one) => hasEnded(one.ClientStatus)),
  );
  fake.reschedule(old.JobID);
  await until('so did the next', () => hasEnded(fake.allocation(old.JobID).ClientStatus));
  const { expected, actual } = await replay.send(lists as NonNullable<typeof lists>);
  const byStatus = (body: unknown) =>
    (body as { DesiredStatus: string }[]).toSorted((one) => (one.DesiredStatus === 'run' ? -1 : 1));
  expect(byStatus(actual.body)).toEqual(byStatus(expected.body));
  expect(fake.executions('')).toBe(2);
});

test('a node that is lost or disconnected', async () => {
  const fake = await started({ driver: scriptedDriver({ held: true }) });
  const first = await childOf(fake, 'one', isRunning);
  const back = fake.disconnectNode('one');
  expect(fake.allocation('one').ClientStatus).toBe('unknown');
  back();
  expect(fake.allocation('one').ClientStatus).toBe('running');
  fake.loseNode('one');
  expect(fake.state.allocations.get(first)).toMatchObject({ ClientStatus: 'lost', DesiredStatus: 'stop' });
  expect(fake.allocation('one')).toMatchObject({ PreviousAllocation: first });
  expect(fake.executions('one')).toBe(2);
});
