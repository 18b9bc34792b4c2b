import { afterEach, expect, test } from 'vitest';
import type { FakeNomadOptions } from '../fakes/nomad/fake-nomad.ts';
import { DAEMON_CAPABILITIES, DAEMON_TOKEN, FakeNomad } from '../fakes/nomad/fake-nomad.ts';
import type { OutcomeName } from '../fakes/nomad/outcomes.ts';
import type { Exchange, Recording } from '../fakes/nomad/replay.ts';
import { aligned, normal, Replay, recording } from '../fakes/nomad/replay.ts';
import type { ChildPlan } from '../fakes/nomad/scripted-driver.ts';
import { scriptedDriver } from '../fakes/nomad/scripted-driver.ts';
import { until } from '../fakes/until.ts';

/** The recordings of a real Nomad 2.0.5 are sent to the fake again, and it has to answer what the real one did. */

let nomad: FakeNomad | undefined;

afterEach(async () => {
  await nomad?.close();
  nomad = undefined;
});

const rules = (namespace: string, capabilities: readonly string[]) =>
  `namespace "${namespace}" {\n  capabilities = [${capabilities.map((one) => `"${one}"`).join(', ')}]\n}\n`;

const TOKENS: FakeNomadOptions = {
  otherNamespaces: ['other'],
  policies: {
    'read-only': rules('agents', ['read-job', 'list-jobs']),
    'read-fs': rules('agents', ['read-fs']),
    'list-only': rules('agents', ['list-jobs']),
    'other-ns': rules('other', DAEMON_CAPABILITIES),
  },
  tokens: {
    '<management-token>': { type: 'management' },
    '<daemon-token>': { policies: ['dispatcher'], name: 'dispatcher' },
    '<read-only-token>': { policies: ['read-only'] },
    '<read-fs-token>': { policies: ['read-fs'] },
    '<list-only-token>': { policies: ['list-only'] },
    '<other-ns-token>': { policies: ['other-ns'] },
    '<expiring-token>': { policies: ['dispatcher'], isExpired: true },
  },
};

async function started(options: FakeNomadOptions): Promise<FakeNomad> {
  nomad = await FakeNomad.start({ ...TOKENS, ...options });
  return nomad;
}

function jobOf(id: string, more: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, unknown>> {
  const runner = { Name: 'runner', Driver: 'raw_exec' };
  return { ID: id, ParameterizedJob: { Payload: 'optional' }, TaskGroups: [{ Name: 'run', Tasks: [runner] }], ...more };
}

/** The bodies that were not recorded. */
const BODIES: Readonly<Record<string, unknown>> = {
  dispatch: {},
  'payload of 16384 bytes': { Payload: base64('x'.repeat(16_384)), Meta: { action_id: 'a' } },
  'payload of 16385 bytes': { Payload: base64('x'.repeat(16_385)), Meta: { action_id: 'a' } },
  'meta value of 100000 characters': { Payload: base64('x'), Meta: { action_id: 'm'.repeat(100_000) } },
};

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

function withBody(exchange: Exchange, payload?: string): Exchange {
  if (exchange.note === 'dispatch' && payload !== undefined) {
    return { ...exchange, request: { ...exchange.request, body: { Payload: payload } } };
  }
  const body = BODIES[exchange.note];
  return body === undefined || typeof exchange.request.body === 'object'
    ? exchange
    : { ...exchange, request: { ...exchange.request, body } };
}

test('dispatching answers as recorded: replay, every refusal, limits, registrations off, stop and purge', async () => {
  const { exchanges } = recording('dispatch');
  const child = exchanges[1]?.response.body as Readonly<Record<string, unknown>>;
  const fake = await started({
    jobs: [
      { ...jobOf('runner'), ParameterizedJob: child['ParameterizedJob'], TaskGroups: child['TaskGroups'] },
      jobOf('plain', { ParameterizedJob: null }),
      jobOf('stopped', { Stop: true }),
      jobOf('nopayload', { ParameterizedJob: { Payload: 'forbidden' } }),
      jobOf('tmp1'),
    ],
    driver: scriptedDriver({ held: true }),
  });
  const before: Readonly<Record<string, () => void>> = {
    'job registrations switched off, daemon token': () => (fake.dispatcher.registrationsOff = true),
    'meta value of 100000 characters': () => (fake.dispatcher.registrationsOff = false),
    'replay after the parent was stopped: error, not the child': () => fake.alterJob('tmp1', () => ({ Stop: true })),
    'replay after the parent was registered again: the old child': () => fake.registerJob(jobOf('tmp1')),
    'replay after the child was purged: a NEW child': () => fake.purge('tok-t1'),
  };
  const replay = new Replay(fake.address);
  for (const exchange of exchanges) {
    before[exchange.note]?.();
    const { expected, actual } = await replay.send(withBody(exchange));
    expect(actual).toEqual(expected);
  }
});

test('a ghost child is a 200 whose id was never stored; the same dispatch again gives the real one', async () => {
  const fake = await started({ jobs: [jobOf('race')] });
  const replay = new Replay(fake.address);
  const [first, ghost, ...rest] = recording('dispatch-race').exchanges;
  // The fake knows one request only: the ghost is its answer, and the child is stored as if another had won.
  fake.ghostChild();
  expect(first).toBeDefined();
  for (const exchange of [ghost, ...rest].filter((one) => one !== undefined)) {
    const { expected, actual } = await replay.send(exchange);
    expect(actual).toEqual(expected);
  }
  expect(fake.children('two-0')).toHaveLength(1);
});

const ACL_UNUSED =
  /versions|deployments|stats|signal|restart the|stop the allocation|validate|parse|force eval|scale|variables|search|list evaluations|list namespaces|per_page|with meta|namespace=\*/;

test('the policy of the dispatcher allows and refuses as recorded; unknown and expired tokens too', async () => {
  const { exchanges } = recording('acl');
  const parent = exchanges[4]?.response.body as Readonly<Record<string, unknown>>;
  const fake = await started({
    jobs: [{ ...jobOf('o-script'), TaskGroups: parent['TaskGroups'] }],
    driver: scriptedDriver({ held: true, stopHeld: true }),
  });
  const replay = new Replay(fake.address);
  for (const exchange of exchanges.filter(({ note }) => !ACL_UNUSED.test(note))) {
    if (exchange.note === 'read child') await until('it runs', () => fake.allocation('').ClientStatus === 'running');
    const { expected, actual } = await replay.send(exchange);
    expect(actual).toEqual(expected);
  }
});

interface OutcomeCase {
  readonly plan?: ChildPlan;
  readonly options?: FakeNomadOptions;
  readonly job?: Readonly<Record<string, unknown>>;
  readonly killTimeout?: number;
}

const volumes = { v: { Type: 'host', Source: 'keys', ReadOnly: false } };
const OUTCOMES: Readonly<Record<string, OutcomeCase>> = {
  'exit-0': {},
  'exit-3': {},
  'exec-exit-0': {},
  'exec-exit-3': {},
  'killed-9': {},
  'killed-15': {},
  'oom-exec': {},
  'oom-raw-exec': {},
  'bad-command': {},
  artifact: {},
  'bad-template': {},
  'vault-login-refused': {},
  'volume-raw-exec': {},
  'volume-exec': {},
  'prestart-task-fails': {},
  'poststop-fails': {},
  restarts: {},
  'max-run-duration': {},
  stopped: {},
  'stopped-trapped': {},
  'stopped-kill-timeout': { killTimeout: 2e9 },
  'stopped-blocked': {},
  'template-waits': {},
  purged: {},
  constraint: {},
  resources: {},
  'volume-absent': { plan: { outcome: 'exit-0' }, job: { Volumes: volumes } },
  'volume-read-only-refused': {
    plan: { outcome: 'exit-0' },
    job: { Volumes: volumes },
    options: { hostVolumes: { keys: { readOnly: true } } },
  },
};

test.each(Object.keys(OUTCOMES))(
  'a child that ends as %s looks as recorded, in events and in answers',
  async (name) => {
    const { plan, options, job, killTimeout = 5e9 } = OUTCOMES[name] ?? {};
    const played = fromBeforeStop(recording(`outcome-${name}`));
    const whole = played.exchanges.map(({ response }) => wholeJob(response.body)).find((one) => one !== undefined);
    const id = played.exchanges[0]?.request.path.split('/')[3] ?? '';
    const runner = { Name: 'runner', Driver: 'raw_exec', KillTimeout: killTimeout };
    const fake = await started({
      ...options,
      jobs: [jobOf(id, { TaskGroups: whole?.TaskGroups ?? [{ Name: 'run', Tasks: [runner], ...job }] })],
      driver: scriptedDriver({ outcome: name as OutcomeName, stdout: recordedLog(played, 'stdout'), ...plan }),
    });
    const lines = await linesOf(fake);
    const replay = new Replay(fake.address);
    for (const exchange of played.exchanges.map((one) => withBody(one, whole?.Payload))) {
      const { expected, actual } = await settled(replay, exchange, lines, played);
      expect(actual).toEqual(expected);
    }
    const wanted = (played.events ?? []).map(({ Index, Events }) => normal({ Index, Events }));
    await until('all events came', () => lines.seen.length >= wanted.length);
    lines.stop();
    expect(lines.seen.map((line, at) => aligned(wanted[at], normal(line)))).toEqual(wanted);
  },
);

/** An answer that was asked for after the stop, but is from before it, can't be had again. */
function fromBeforeStop({ exchanges, ...rest }: Recording): Recording {
  const stopAt = exchanges.findIndex(({ request }) => request.method === 'DELETE');
  const indexOf = ({ response }: Exchange) => Number(response.headers['x-nomad-index'] ?? Number.NaN);
  const stopped = exchanges[stopAt];
  const isOld = (one: Exchange, at: number) => stopped && stopAt < at && indexOf(one) < indexOf(stopped);
  return { ...rest, exchanges: exchanges.filter((one, at) => !isOld(one, at)) };
}

/** The job of an allocation, where it was recorded. */
function wholeJob(body: unknown): { readonly TaskGroups: unknown; readonly Payload: string } | undefined {
  const job = (body as { readonly Job?: unknown } | null)?.Job;
  return typeof job === 'object' ? (job as { readonly TaskGroups: unknown; readonly Payload: string }) : undefined;
}

function recordedLog({ exchanges }: Recording, note: string): string {
  const body = exchanges.find((one) => one.note === note && one.response.status === 200)?.response.body;
  return typeof body === 'string' ? body : '';
}

/** Sent when the child has come as far as it had when it was recorded. */
async function settled(replay: Replay, exchange: Exchange, lines: Lines, { events = [] }: Recording) {
  const stopLine = events.findIndex(({ Events }) => Events[0]?.Type === 'JobDeregistered');
  if (exchange.request.method === 'DELETE') lines.isStopped = true;
  const isBefore = stopLine >= 0 && (exchange.request.method === 'DELETE' || !lines.isStopped);
  const wanted = exchange.request.method === 'POST' ? 0 : isBefore ? stopLine : events.length;
  await until('it has come as far', () => lines.seen.length >= wanted);
  return await replay.send(exchange);
}

interface Lines {
  readonly seen: unknown[];
  /** A stop has been sent. */
  isStopped: boolean;
  stop(): void;
}

/** The lines of an event stream from now on, without heartbeats. */
async function linesOf(fake: FakeNomad, from = fake.state.index + 1): Promise<Lines> {
  const control = new AbortController();
  const topics = 'topic=Allocation&topic=Evaluation&topic=Job';
  const response = await fetch(`${fake.address}/v1/event/stream?${topics}&namespace=agents&index=${from}`, {
    headers: { 'x-nomad-token': DAEMON_TOKEN },
    signal: control.signal,
  });
  const seen: unknown[] = [];
  void collect(response, seen);
  return { seen, isStopped: false, stop: () => control.abort() };
}

async function collect(response: Response, seen: unknown[]): Promise<void> {
  let rest = '';
  try {
    for await (const chunk of response.body ?? []) {
      const [...lines] = (rest + Buffer.from(chunk as Uint8Array).toString()).split('\n');
      rest = lines.pop() ?? '';
      seen.push(...lines.filter((line) => line !== '{}').map((line) => JSON.parse(line) as unknown));
    }
  } catch {
    // It was cut.
  }
}
