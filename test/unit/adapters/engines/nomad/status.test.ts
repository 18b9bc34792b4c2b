import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type Reading, readStatus } from '../../../../../src/adapters/engines/nomad/status.ts';
import {
  type Allocation,
  allocation,
  allocations,
  type Evaluation,
  evaluation,
  evaluations,
  eventLine,
  type StreamEvent,
} from '../../../../../src/adapters/engines/nomad/types.ts';

const RECORDINGS = path.resolve('test/fixtures/recordings/nomad');

const recording = z.object({
  exchanges: z.array(z.object({ note: z.string(), response: z.object({ status: z.number(), body: z.unknown() }) })),
  events: z.array(eventLine),
});

interface Seen {
  readonly allocations: readonly Allocation[];
  readonly evaluations: readonly Evaluation[];
}

const names = readdirSync(RECORDINGS)
  .filter((file) => file.startsWith('outcome-'))
  .map((file) => file.slice('outcome-'.length, -'.json'.length));

const load = (name: string) =>
  recording.parse(JSON.parse(readFileSync(path.join(RECORDINGS, `outcome-${name}.json`), 'utf8')));

/** What a follower of the stream knows after these events: the newest state of each id. */
function known(events: readonly StreamEvent[]): Seen {
  return {
    allocations: newest(events.flatMap(({ Payload }) => Payload?.Allocation ?? [])),
    evaluations: newest(events.flatMap(({ Payload }) => Payload?.Evaluation ?? [])),
  };
}

function newest<T extends { readonly ID: string; readonly ModifyIndex: number }>(states: readonly T[]): readonly T[] {
  const byAge = states.toSorted((one, two) => one.ModifyIndex - two.ModifyIndex);
  return [...new Map(byAge.map((state) => [state.ID, state])).values()];
}

const eventsOf = (name: string): readonly StreamEvent[] => load(name).events.flatMap(({ Events }) => Events);

/** `exited 137 SIGKILL`, `not-started: words`, `queued: words`, `running`. */
function tell(reading: Reading): string {
  if (reading.kind === 'queued') return `queued: ${reading.message}`;
  if (reading.kind === 'running') return `running${reading.startedAt === null ? ' (not told since when)' : ''}`;
  const { end } = reading;
  if (end.kind !== 'exited') return `${end.kind}: ${end.message}`;
  return ['exited', end.exitCode, ...(end.signal === null ? [] : [end.signal]), ...(end.oom ? ['oom'] : [])].join(' ');
}

const QUEUED = 'queued: null';

/** Every recorded outcome: how it reads at each event that changes it, in order; nothing reads as an end too early. */
const TABLE: Readonly<Record<string, readonly string[]>> = {
  artifact: [
    QUEUED,
    'queued: placed on edge-1: Client is downloading artifacts',
    'not-started: failed to download artifact "http://127.0.0.1:9/nothing.tar.gz": getter subprocess failed: exit status 1: failed to download artifact: Get "http://127.0.0.1:9/nothing.tar.gz": dial tcp 127.0.0.1:9: connect: connection refused',
  ],
  'bad-command': [
    QUEUED,
    'not-started: failed to launch command with executor: rpc error: code = Unknown desc = binary "/no/such/binary" could not be found',
  ],
  'bad-template': [
    QUEUED,
    'queued: placed on edge-1: Template failed: (dynamic): parse: template: :1: unclosed action',
    'not-started: Template failed: (dynamic): parse: template: :1: unclosed action',
  ],
  constraint: [QUEUED, 'queued: constraint not met: ${attr.kernel.name} = plan9 on 1 node'],
  'exec-exit-0': [QUEUED, 'exited 0'],
  'exec-exit-3': [QUEUED, 'running', 'exited 3'],
  'exit-0': [QUEUED, 'exited 0'],
  // A running allocation that holds Terminated already is no end.
  'exit-3': [QUEUED, 'running', 'exited 3'],
  'killed-15': [QUEUED, 'running', 'exited 143 SIGTERM'],
  'killed-9': [QUEUED, 'running', 'exited 137 SIGKILL'],
  // Complete while the task still runs is no end.
  'max-run-duration': [QUEUED, 'running', 'exited 137 SIGKILL'],
  'oom-exec': [QUEUED, 'running', 'exited 137 SIGKILL oom'],
  'oom-raw-exec': [QUEUED, 'exited 137 SIGKILL'],
  'poststop-fails': [QUEUED, 'exited 0'],
  'prestart-task-fails': [QUEUED, 'not-started: Task\'s sibling "prep" failed (Exit Code: 7)'],
  // The server forgets the allocation: only the absence of the job tells.
  purged: [QUEUED, 'running'],
  // The second allocation is never credited.
  reschedule: [QUEUED, 'exited 6'],
  resources: [QUEUED, 'queued: memory exhausted on 1 node'],
  restarts: [QUEUED, 'running', 'exited 5'],
  stopped: [QUEUED, 'running', 'exited 137 SIGKILL'],
  'stopped-blocked': [
    QUEUED,
    'queued: constraint not met: ${attr.kernel.name} = plan9 on 1 node',
    QUEUED,
    'not-started: it was stopped before it was placed',
  ],
  'stopped-kill-timeout': [QUEUED, 'running', 'exited 137 SIGKILL'],
  'stopped-trapped': [QUEUED, 'running', 'exited 0'],
  // Stopped, and the client has not confirmed it by the end of the recording.
  'template-waits': [
    QUEUED,
    'queued: placed on edge-1: Missing: vault.read(kv/data/edge/runner/GITHUB_TOKEN)',
    'queued: placed on edge-1: Sent interrupt. Waiting 5s before force killing',
  ],
  'vault-login-refused': [
    QUEUED,
    'not-started: vault: failed to derive Vault token for identity vault_default: failed to login with JWT: Error making API request. URL: PUT http://127.0.0.1:8200/v1/auth/jwt-nomad/login Code: 403. Errors: * permission denied',
  ],
  'volume-absent': [QUEUED, 'queued: missing compatible host volumes on 1 node'],
  'volume-exec': [QUEUED, 'running', 'exited 0'],
  'volume-raw-exec': [
    QUEUED,
    'not-started: volumes: task driver "raw_exec" for "runner" does not support host volumes',
  ],
  'volume-read-only-refused': [QUEUED, 'queued: missing compatible host volumes on 1 node'],
};

/** Where the lists were read at another moment than the last event. */
const FROM_LISTS: Readonly<Record<string, string>> = {
  'template-waits': 'queued: placed on edge-1: Missing: vault.read(kv/data/edge/runner/GITHUB_TOKEN)',
  purged: 'unknown: it was placed and stopped, and the engine no longer holds its allocation',
};

describe('readStatus on recorded runs', () => {
  it('has a row for every recorded outcome', () => {
    expect(Object.keys(TABLE).toSorted()).toEqual(names.toSorted());
  });

  it.each(names)('%s reads right at every event, and never as an end too early (R10)', (name) => {
    const events = eventsOf(name);
    const told = events.map((_, at) => tell(readStatus(known(events.slice(0, at + 1)))));
    expect(told.filter((text, at) => text !== told[at - 1])).toEqual(TABLE[name]);
  });

  it.each(names.filter((name) => load(name).exchanges.some(({ note }) => note === 'allocations of the child')))(
    '%s reads the same from the lists of the API as from the events',
    (name) => {
      const { exchanges } = load(name);
      const bodies = (note: string) => exchanges.filter((exchange) => exchange.note === note)[0]?.response.body;
      const lists = {
        allocations: allocations.parse(bodies('allocations of the child')),
        evaluations: evaluations.parse(bodies('evaluations of the child')),
      };
      expect(tell(readStatus(lists))).toBe(FROM_LISTS[name] ?? TABLE[name]?.at(-1));
    },
  );

  it('reads the same whatever order the events come in and however often (R10)', () => {
    const all = names.map((name) => ({ name, events: eventsOf(name) }));
    const delivery = fc.constantFrom(...all).chain(({ name, events }) =>
      fc.record({
        name: fc.constant(name),
        events: fc.shuffledSubarray([...events, ...events], { minLength: events.length * 2 }),
      }),
    );
    fc.assert(
      fc.property(delivery, ({ name, events }) => {
        expect(tell(readStatus(known(events)))).toBe(TABLE[name]?.at(-1));
      }),
      { numRuns: 300 },
    );
  });
});

/** A batch allocation that has run for a minute on node-1, changed by `fields`. */
function made(fields: Record<string, unknown>, task: Record<string, unknown> = {}): Allocation {
  return allocation.parse({
    ID: 'a1',
    JobID: 'vault-runner/dispatch-1',
    NodeName: 'node-1',
    ClientStatus: 'running',
    DesiredStatus: 'run',
    CreateIndex: 10,
    ModifyIndex: 20,
    TaskStates: {
      runner: { State: 'running', StartedAt: '2026-11-21T03:30:08.354Z', Events: [{ Type: 'Started' }], ...task },
    },
    ...fields,
  });
}

const terminated = (details: Record<string, string>) => ({
  State: 'dead',
  Events: [{ Type: 'Started' }, { Type: 'Terminated', Details: details, Time: 1795231808385303600 }],
});
const never = { State: 'dead', StartedAt: '0001-01-01T00:00:00Z', Events: [] as object[] };
const read = (...all: readonly Allocation[]) => readStatus({ allocations: all, evaluations: [] });
const metrics = (fields: object) =>
  evaluation.parse({ ID: 'e', Status: 'blocked', CreateIndex: 1, ModifyIndex: 1, FailedTGAllocs: { run: fields } });

describe('readStatus', () => {
  it('takes a lost node for lost, also when another allocation went on and succeeded (R5, E4)', () => {
    const lost = made({
      ClientStatus: 'lost',
      DesiredStatus: 'stop',
      DesiredDescription: 'alloc is lost since its node is down',
    });
    const second = made({ ID: 'a2', CreateIndex: 30, ClientStatus: 'complete' }, terminated({ exit_code: '0' }));
    expect(tell(read(lost))).toBe('lost: alloc is lost since its node is down');
    expect(read(second, lost)).toEqual({
      kind: 'ended',
      end: { kind: 'lost', message: 'alloc is lost since its node is down' },
      allocation: 'a1',
      node: 'node-1',
      replaced: true,
    });
  });

  it('believes an exit that was told before the node was lost', () => {
    expect(tell(read(made({ ClientStatus: 'lost' }, terminated({ exit_code: '3', signal: '0' }))))).toBe('exited 3');
  });

  it('never credits a replacement when the first allocation is gone (R5, E4)', () => {
    const second = { ID: 'a2', CreateIndex: 30, PreviousAllocation: 'a1' };
    expect(tell(read(made(second)))).toBe('running');
    expect(tell(read(made({ ...second, ClientStatus: 'complete' }, terminated({ exit_code: '0' }))))).toBe(
      'unknown: the engine no longer holds its first allocation a1',
    );
  });

  it('says that an allocation was replaced as soon as Nomad names the next one', () => {
    expect(read(made({ ClientStatus: 'lost', NextAllocation: 'a2' }))).toHaveProperty('replaced', true);
    expect(read(made({ ClientStatus: 'lost' }))).toHaveProperty('replaced', false);
  });

  it('takes no disconnected node for an end, and goes on when it is back', () => {
    expect(tell(read(made({ ClientStatus: 'unknown' })))).toBe('running');
    expect(tell(read(made({ ClientStatus: 'unknown' }, never)))).toBe(
      'queued: placed on node-1, which is disconnected',
    );
    expect(tell(read(made({ ClientStatus: 'complete' }, terminated({ exit_code: '0', signal: '0' }))))).toBe(
      'exited 0',
    );
  });

  it.each([
    ['evict', 'Preempted by alloc ID a9'],
    ['stop', 'alloc is being migrated'],
  ])('of an allocation with desired %s tells what its runner ended with', (DesiredStatus, DesiredDescription) => {
    const stopped = { ClientStatus: 'complete', DesiredStatus, DesiredDescription };
    expect(tell(read(made({ ...stopped, ClientStatus: 'running' })))).toBe('running');
    expect(tell(read(made(stopped, terminated({ exit_code: '143', signal: '15' }))))).toBe('exited 143 SIGTERM');
    expect(tell(read(made(stopped, never)))).toBe(
      `not-started: it was stopped before its runner had started: ${DesiredDescription}`,
    );
  });

  it.each([
    ['evict', 'Preempted by alloc ID a9', 'Preempted by alloc ID a9'],
    ['stop', 'alloc is being migrated', 'alloc is being migrated'],
    ['stop', 'alloc not needed\ndue to job update', 'alloc not needed due to job update'],
    ['evict', '', 'evict'],
    ['run', '', undefined],
    ['run', 'no reason to stop', undefined],
  ])('says beside the exit of an allocation with desired %s, %j why the engine stopped it: %j', (...row) => {
    const [DesiredStatus, DesiredDescription, stopped] = row;
    const fields = { ClientStatus: 'complete', DesiredStatus, DesiredDescription };
    const { end } = { end: null, ...read(made(fields, terminated({ exit_code: '137', signal: '9' }))) };
    expect(end).toEqual({
      kind: 'exited',
      exitCode: 137,
      signal: 'SIGKILL',
      oom: false,
      startedAt: '2026-11-21T03:30:08.354Z',
      finishedAt: expect.any(String),
      ...(stopped === undefined ? {} : { stopped }),
    });
  });

  it('says that it was never started when the engine has no words for it', () => {
    expect(tell(read(made({ ClientStatus: 'failed', ClientDescription: 'Failed tasks', TaskStates: null })))).toBe(
      'not-started: its runner was never started: Failed tasks',
    );
  });

  it('does not know the end of a runner that had started and left no exit', () => {
    const message = 'unknown: its runner had started, and the engine does not tell how it ended';
    expect(tell(read(made({ ClientStatus: 'failed' }, { State: 'dead' })))).toBe(message);
    // Only ten events are kept: the time of the start stays.
    expect(tell(read(made({ ClientStatus: 'failed' }, { State: 'dead', Events: [{ Type: 'Killed' }] })))).toBe(message);
    const restarted = [...terminated({ exit_code: '5' }).Events, { Type: 'Restarting' }, { Type: 'Started' }];
    expect(tell(read(made({ ClientStatus: 'failed' }, { State: 'dead', Events: restarted })))).toBe(message);
  });

  it.each([
    [{ exit_code: '0', signal: '9' }, 'exited 137 SIGKILL'],
    [{ signal: '15' }, 'exited 143 SIGTERM'],
    [{ exit_code: '137', signal: '0' }, 'exited 137'],
    [{ exit_code: '137', signal: '9', oom_killed: 'true' }, 'exited 137 SIGKILL oom'],
    [{ exit_code: '200', signal: '72' }, 'exited 200 signal 72'],
    [
      { exit_code: '-1', exit_message: 'executor: error waiting on process' },
      'unknown: executor: error waiting on process',
    ],
    [{ exit_code: 'three' }, 'unknown: the engine does not know its exit code'],
    [{}, 'unknown: the engine does not know its exit code'],
  ])('reads the exit %j', (details, told) => {
    expect(tell(read(made({ ClientStatus: 'failed' }, terminated(details))))).toBe(told);
  });

  it('tells when it began and ended', () => {
    const states = { ...terminated({ exit_code: '0' }), FinishedAt: '2026-11-21T03:30:09.391250461Z' };
    const times = { startedAt: '2026-11-21T03:30:08.354Z', finishedAt: '2026-11-21T03:30:09.391Z' };
    expect(read(made({ ClientStatus: 'complete' }, states))).toMatchObject({ end: times });
    expect(read(made({ ClientStatus: 'complete' }, { ...states, StartedAt: null, FinishedAt: null }))).toMatchObject({
      end: { startedAt: null, finishedAt: '2026-11-21T03:30:08.385Z' },
    });
    expect(read(made({}))).toMatchObject({ startedAt: times.startedAt, node: 'node-1', allocation: 'a1' });
  });

  it('takes no run for started because another task of its group runs', () => {
    expect(
      tell(read(made({ ClientStatus: 'running' }, { ...never, State: 'pending', Events: [{ Type: 'Received' }] }))),
    ).toBe(QUEUED);
  });

  it.each([
    [{ DimensionExhausted: { memory: 2, cpu: 1 } }, 'memory exhausted on 2 nodes; cpu exhausted on 1 node'],
    [
      { ClassFiltered: { small: 1 }, ClassExhausted: { big: 3 } },
      'node class big exhausted on 3 nodes; node class small filtered on 1 node',
    ],
    [{ QuotaExhausted: ['memory'] }, 'quota exhausted: memory'],
    [{ NodesAvailable: { dc1: 0 } }, 'no node is available in the datacenters of the job'],
    [{ NodesAvailable: { dc1: 2 } }, 'no node has room for it'],
  ])('says why it is not placed: %j', (fields, words) => {
    expect(readStatus({ allocations: [], evaluations: [metrics(fields)] })).toEqual({ kind: 'queued', message: words });
  });

  it.each([
    [{ Status: 'canceled' }, 'not-started: it was stopped before it was placed'],
    [{ Status: 'complete', BlockedEval: 'b' }, 'not-started: it was stopped before it was placed'],
    [{ Status: 'complete' }, FROM_LISTS['purged']],
  ])('of a stopped run without allocation believes the plan of its evaluation: %j', (fields, told) => {
    const PlanAnnotations = { DesiredTGUpdates: { run: { Place: 1 } } };
    const states = [
      { ID: 'r', TriggeredBy: 'job-register', PlanAnnotations, CreateIndex: 1, ModifyIndex: 2, ...fields },
      { ID: 's', TriggeredBy: 'job-deregister', Status: 'complete', CreateIndex: 3, ModifyIndex: 4 },
    ];
    expect(tell(readStatus({ allocations: [], evaluations: evaluations.parse(states) }))).toBe(told);
  });

  it('names the newest reason, and the scheduler that failed', () => {
    const failed = evaluation.parse({
      ID: 'f',
      Status: 'failed',
      StatusDescription: 'maximum attempts reached (5)',
      CreateIndex: 2,
      ModifyIndex: 2,
    });
    const both = [metrics({ DimensionExhausted: { memory: 1 } }), failed];
    expect(tell(readStatus({ allocations: [], evaluations: both }))).toBe('queued: maximum attempts reached (5)');
  });

  it('keeps words of the engine on one line of bounded length', () => {
    const failure = { Type: 'Driver Failure', DisplayMessage: `no\n${'image '.repeat(200)}` };
    const reading = read(made({ ClientStatus: 'failed' }, { ...never, Events: [failure] }));
    expect(tell(reading)).toMatch(/^not-started: no image [^\n]{380,400}…$/u);
  });
});
