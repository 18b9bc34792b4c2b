import { afterEach, describe, expect, it } from 'vitest';
import { Hub, type HubReads, type Listener } from '../../../../../src/adapters/engines/nomad/hub.ts';
import type { News } from '../../../../../src/adapters/engines/nomad/hub-view.ts';
import { readStatus } from '../../../../../src/adapters/engines/nomad/status.ts';
import { TIMING } from '../../../../../src/adapters/engines/nomad/timing.ts';
import {
  type Allocation,
  allocation,
  type Evaluation,
  evaluations,
  job,
} from '../../../../../src/adapters/engines/nomad/types.ts';
import { TransientError } from '../../../../../src/errors.ts';
import { ManualClock } from '../../../../fakes/manual-clock.ts';
import { until } from '../../../../fakes/until.ts';

const QUIET = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const child = (number: number): string => `vault-runner/dispatch-17952318${String(number).padStart(4, '0')}-0123abcd`;

function allocationOf(jobId: string, index: number, more: Partial<Allocation> = {}): Allocation {
  const id = `allocation of ${jobId}`;
  const states = { ClientStatus: 'running', DesiredStatus: 'run' };
  return allocation.parse({ ID: id, JobID: jobId, CreateIndex: 1, ModifyIndex: index, ...states, ...more });
}

const PLACED_AND_STOPPED = evaluations.parse([
  {
    ID: 'placed',
    TriggeredBy: 'job-register',
    Status: 'complete',
    PlanAnnotations: { DesiredTGUpdates: { run: { Place: 1 } } },
    CreateIndex: 1,
    ModifyIndex: 2,
  },
  { ID: 'stopped', TriggeredBy: 'job-deregister', Status: 'complete', CreateIndex: 3, ModifyIndex: 4 },
]);

/** A server that answers from memory; the test writes its event stream. */
class Server implements HubReads {
  readonly calls: string[] = [];
  readonly patterns: string[] = [];
  readonly indices: number[] = [];
  allocations: Allocation[] = [];
  evaluations: readonly Evaluation[] = [];
  failing: (call: string) => Error | null = () => null;
  hanging: (call: string) => Promise<void> = () => Promise.resolve();
  openStreams = 0;
  #lines: string[] = [];
  #isCut = false;
  #wake: () => void = () => undefined;

  send(line: unknown): void {
    this.#lines.push(`${typeof line === 'string' ? line : JSON.stringify(line)}\n`);
    this.#wake();
  }

  cut(): void {
    this.#isCut = true;
    this.#wake();
  }

  readonly openEvents = async (index: number, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> => {
    this.indices.push(index);
    this.#isCut = false;
    return this.#stream(signal);
  };

  async allocationsMatching(pattern: string): Promise<readonly Allocation[]> {
    this.patterns.push(pattern);
    this.#called('list');
    return this.allocations.filter(({ JobID }) => new RegExp(pattern).test(JobID));
  }

  async allocationsOf(id: string): Promise<readonly Allocation[]> {
    this.#called(`allocations ${id}`);
    await this.hanging(id);
    return this.allocations.filter(({ JobID }) => JobID === id);
  }

  async evaluationsOf(): Promise<readonly Evaluation[]> {
    return this.evaluations;
  }

  async job(id: string) {
    this.#called(`job ${id}`);
    return job.parse({ ID: id, Status: 'pending' });
  }

  #called(call: string): void {
    this.calls.push(call);
    const error = this.failing(call);
    if (error !== null) throw error;
  }

  async *#stream(signal: AbortSignal): AsyncGenerator<Uint8Array> {
    this.openStreams += 1;
    signal.addEventListener('abort', () => this.#wake());
    try {
      while (!signal.aborted && !this.#isCut) {
        const line = this.#lines.shift();
        if (line !== undefined) yield Buffer.from(line);
        else await new Promise<void>((resolve) => void (this.#wake = resolve));
      }
    } finally {
      this.openStreams -= 1;
    }
  }
}

class Ear implements Listener {
  readonly news: News[] = [];
  readonly errors: Error[] = [];

  hear(news: News): void {
    this.news.push(news);
  }

  failed(error: Error): void {
    this.errors.push(error);
  }
}

const server = new Server();
const clock = new ManualClock();
let leaving: (() => Promise<void>)[] = [];

function open(): { hub: Hub; join: (id: string) => Ear } {
  server.calls.length = 0;
  server.patterns.length = 0;
  server.indices.length = 0;
  server.allocations = [];
  server.evaluations = [];
  server.failing = () => null;
  const hub = new Hub({ reads: server, clock, log: QUIET, timing: TIMING });
  const join = (id: string): Ear => {
    const ear = new Ear();
    const membership = hub.join(id, ear);
    leaving.push(() => membership.leave());
    return ear;
  };
  return { hub, join };
}

/** Lets time pass until the answer is truthy. */
const passing = (what: string, ask: () => unknown, ms = TIMING.spacingMs) =>
  until(what, () => {
    clock.advance(ms);
    return ask();
  });

/** It has had its look, and the stream is there. */
async function connected(ear: Ear): Promise<void> {
  await passing('it is told', () => ear.news.length > 0);
  server.send({});
  await passing('it is told again', () => ear.news.length > 1);
}

afterEach(async () => {
  await Promise.all(leaving.map((leave) => leave()));
  leaving = [];
  await until('nobody sleeps', () => clock.sleeping === 0 && server.openStreams === 0);
});

describe('the hub', () => {
  it('reads five lists for a thousand runs, and not one each', async () => {
    const { join } = open();
    const ears = Array.from({ length: 1_000 }, (_, number) => join(child(number)));
    server.allocations = ears.map((_, number) => allocationOf(child(number), 5));
    await passing('all are told', () => ears.every(({ news }) => news.length === 1));
    expect(server.calls).toEqual(Array.from({ length: 5 }, () => 'list'));
    expect(Math.max(...server.patterns.map(({ length }) => length))).toBeLessThan(10_000);
    expect(ears.map(({ news }) => news[0])).toMatchObject(
      ears.map((_, number) => ({ isWhole: true, allocations: [{ JobID: child(number) }] })),
    );
  });

  it('names the runs in its question, each character at its word or as any', async () => {
    const { join } = open();
    const names = Array.from({ length: 20 }, (_, number) => `odd.job"(${number}/dispatch-1-a`);
    const ears = names.map((name) => join(name));
    server.allocations = [...names, 'other/dispatch-1-a'].map((name) => allocationOf(name, 5));
    await passing('all are told', () => ears.every(({ news }) => news[0]?.allocations.length === 1));
    expect(server.patterns).toEqual([`^(${names.map((name) => name.replaceAll(/[."(]/g, '.')).join('|')})$`]);
  });

  it('asks for a few runs one by one', async () => {
    const { join } = open();
    const ears = [join(child(1)), join(child(2))];
    server.allocations = [allocationOf(child(1), 5), allocationOf(child(2), 5)];
    await passing('both are told', () => ears.every(({ news }) => news.length === 1));
    expect(server.calls.toSorted()).toEqual([`allocations ${child(1)}`, `allocations ${child(2)}`]);
  });

  it('asks why a run has no allocation', async () => {
    const { join } = open();
    const ear = join(child(1));
    await passing('it is told', () => ear.news.length === 1);
    expect(ear.news[0]).toMatchObject({ allocations: [], job: { Status: 'pending' }, isWhole: true });
  });

  it('shows no run as ended that was placed and stopped while it asked why it has no allocation', async () => {
    const { join } = open();
    server.failing = (call) => {
      if (!call.startsWith('job')) return null;
      server.allocations = [allocationOf(child(1), 5, { DesiredStatus: 'stop' })];
      server.evaluations = PLACED_AND_STOPPED;
      return null;
    };
    const ear = join(child(1));
    await passing('it is told', () => ear.news.length === 1);
    expect(ear.news).toMatchObject([{ isWhole: true, allocations: [{ DesiredStatus: 'stop' }] }]);
    expect(ear.news.map((news) => readStatus(news).kind)).toEqual(['queued']);
  });

  it('looks again when the stream has connected, and after a cut resumes at the last index, inclusive', async () => {
    const { join } = open();
    server.allocations = [allocationOf(child(1), 5)];
    const ear = join(child(1));
    await passing('it is told', () => ear.news.length === 1);
    server.send({});
    await passing('it is told again', () => ear.news.length === 2);
    server.send({ Index: 7, Events: [{ Topic: 'Job', Key: 'another' }] });
    server.send({ Index: 7, Events: [{ Topic: 'Evaluation', Key: 'another' }] });
    await until('the lines are read', () => server.openStreams === 1);
    server.cut();
    server.send({});
    await passing('it is told after the cut', () => server.indices.length === 2 && ear.news.length >= 3, 100);
    expect(server.indices).toEqual([0, 7]);
  });

  it('looks at a run in steady intervals while the stream lives, and sooner while there is none', async () => {
    const { join } = open();
    server.allocations = [allocationOf(child(1), 5)];
    const ear = join(child(1));
    await passing('it is told', () => ear.news.length === 1);
    clock.advance(TIMING.blindMs);
    await until('it is told soon', () => ear.news.length === 2);
    server.send({});
    await passing('it is told when connected', () => ear.news.length === 3);
    const heartbeat = TIMING.reconcileMs - TIMING.blindMs;
    clock.advance(heartbeat);
    server.send({});
    await new Promise((resolve) => setImmediate(resolve));
    expect(ear.news).toHaveLength(3);
    clock.advance(TIMING.blindMs);
    await until('it is told in time', () => ear.news.length === 4);
  });

  it('tells an event to the run that it is of, before any list shows it', async () => {
    const { join } = open();
    const [one, other] = [join(child(1)), join(child(2))];
    await connected(one);
    await connected(other);
    const before = other.news.length;
    const done = allocationOf(child(1), 9, { ClientStatus: 'complete' });
    server.send({ Index: 9, Events: [{ Topic: 'Allocation', Payload: { Allocation: done } }] });
    await until('it is told', () => one.news.at(-1)?.allocations[0]?.ClientStatus === 'complete');
    expect(one.news.at(-1)?.isWhole).toBe(false);
    expect(other.news.slice(before).every(({ allocations }) => allocations.length === 0)).toBe(true);
  });

  it('keeps what an event told when a list that was made before it comes later', async () => {
    const { join } = open();
    server.allocations = [allocationOf(child(1), 5)];
    const ear = join(child(1));
    await connected(ear);
    const done = allocationOf(child(1), 9, { ClientStatus: 'complete' });
    server.send({ Index: 9, Events: [{ Topic: 'Allocation', Payload: { Allocation: done } }] });
    await until('it is told', () => ear.news.at(-1)?.isWhole === false);
    await passing('it is looked at', () => ear.news.at(-1)?.isWhole === true, TIMING.blindMs);
    expect(ear.news.at(-1)?.allocations).toMatchObject([{ ClientStatus: 'complete', ModifyIndex: 9 }]);
  });

  it('looks at everything after a line that it can not read', async () => {
    const { join } = open();
    server.allocations = [allocationOf(child(1), 5)];
    const ear = join(child(1));
    await connected(ear);
    const before = ear.news.length;
    server.send('{"Index": nonsense');
    await passing('it is told again', () => ear.news.length > before);
    expect(ear.news.at(-1)?.isWhole).toBe(true);
  });

  it('looks at a run that was stopped', async () => {
    const { join } = open();
    server.allocations = [allocationOf(child(1), 5)];
    const ear = join(child(1));
    await connected(ear);
    const before = ear.news.length;
    server.send({ Index: 8, Events: [{ Topic: 'Job', Type: 'JobDeregistered', Key: child(1) }] });
    await passing('it is told again', () => ear.news.length > before);
    expect(ear.news.at(-1)?.isWhole).toBe(true);
  });

  it('asks again after an outage, and tells nobody else of it', async () => {
    const { join } = open();
    server.allocations = [allocationOf(child(1), 5), allocationOf(child(2), 5)];
    const outage = new TransientError('ERR_ENGINE_UNAVAILABLE', 'away');
    let left = 5;
    server.failing = (call) => (call.endsWith(child(1)) && left-- > 0 ? outage : null);
    const [ear, other] = [join(child(1)), join(child(2))];
    await passing('it is told', () => ear.news.length === 1, 1_000);
    expect(ear.errors).toEqual(Array.from({ length: 5 }, () => outage));
    expect(other.errors).toEqual([]);
  });

  it('looks at the others while a question about one of them hangs', async () => {
    const { join } = open();
    server.allocations = [allocationOf(child(1), 5), allocationOf(child(2), 5)];
    let release = (): void => undefined;
    server.hanging = (call) =>
      call.endsWith(child(1)) ? new Promise<void>((resolve) => void (release = resolve)) : Promise.resolve();
    const [ear, other] = [join(child(1)), join(child(2))];
    await passing('the other is told again and again', () => other.news.length === 3, TIMING.blindMs);
    expect(ear.news).toEqual([]);
    expect(server.calls.filter((call) => call.endsWith(child(1)))).toHaveLength(1);
    server.hanging = () => Promise.resolve();
    release();
    await until('it is told', () => ear.news.length > 0);
  });

  it('waits as long as the server asks it to', async () => {
    const { join } = open();
    server.allocations = [allocationOf(child(1), 5)];
    let left = 1;
    const busy = new TransientError('ERR_ENGINE_UNAVAILABLE', 'busy', { retryAfterMs: 60_000 });
    server.failing = () => (left-- > 0 ? busy : null);
    const ear = join(child(1));
    await passing('it is told', () => ear.errors.length === 1);
    clock.advance(59_000);
    await new Promise((resolve) => setImmediate(resolve));
    expect(server.calls).toHaveLength(1);
    await passing('it is told', () => ear.news.length === 1, 100);
  });
});
