import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LineSplitter, readEvents } from '../../../../../src/adapters/engines/nomad/events.ts';
import { TransientError } from '../../../../../src/errors.ts';
import { ManualClock } from '../../../../fakes/manual-clock.ts';
import { until } from '../../../../fakes/until.ts';

const TIMING = { firstLineMs: 5_000, silenceMs: 60_000 };
const bytes = (text: string): Uint8Array => Buffer.from(text);
const texts = (lines: readonly (Uint8Array | null)[]) =>
  lines.map((line) => (line === null ? null : Buffer.from(line).toString('utf8')));

/** A stream that a test writes, and that is open until it is told to end or its signal is aborted. */
class Wire {
  index: number | null = null;
  isClosed = false;
  #chunks: Uint8Array[] = [];
  #isOver = false;
  #wake: () => void = () => undefined;

  readonly open = async (index: number, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> => {
    this.index = index;
    return this.#body(signal);
  };

  send(text: string): void {
    this.#chunks.push(bytes(text));
    this.#wake();
  }

  end(): void {
    this.#isOver = true;
    this.#wake();
  }

  async *#body(signal: AbortSignal): AsyncGenerator<Uint8Array> {
    signal.addEventListener('abort', () => this.#wake());
    try {
      for (;;) {
        if (signal.aborted) throw signal.reason;
        const chunk = this.#chunks.shift();
        if (chunk !== undefined) yield chunk;
        else if (this.#isOver) return;
        else await new Promise<void>((resolve) => void (this.#wake = resolve));
      }
    } finally {
      this.isClosed = true;
    }
  }
}

function reading(index = 0) {
  const wire = new Wire();
  const clock = new ManualClock();
  const controller = new AbortController();
  const lines = readEvents(index, { open: wire.open, clock, timing: TIMING }, controller.signal);
  return { wire, clock, controller, lines };
}

describe('a line of the stream', () => {
  it('is the same however the bytes were cut', () => {
    const line = fc.string({ unit: 'binary', minLength: 1 }).filter((text) => !text.includes('\n'));
    fc.assert(
      fc.property(
        fc.array(line, { maxLength: 6 }),
        fc.array(fc.nat(), { maxLength: 8 }),
        fc.string(),
        (all, cuts, rest) => {
          const whole = bytes(`${all.map((each) => `${each}\n`).join('')}${rest.replaceAll('\n', '')}`);
          const places = [0, ...cuts.map((cut) => cut % (whole.length + 1)).toSorted((a, b) => a - b), whole.length];
          const splitter = new LineSplitter();
          const seen = places.slice(1).flatMap((end, at) => splitter.push(whole.subarray(places[at], end)));
          expect(texts(seen)).toEqual(all.map((each) => Buffer.from(each).toString('utf8')));
        },
      ),
    );
  });

  it('is the same cut at every single byte, and the last one without its line feed is dropped', () => {
    const whole = bytes('{}\n{"Index":7,"ö":"€"}\n\n{}\n{"Index":');
    for (let cut = 0; cut <= whole.length; cut += 1) {
      const splitter = new LineSplitter();
      const seen = [...splitter.push(whole.subarray(0, cut)), ...splitter.push(whole.subarray(cut))];
      expect(texts(seen)).toEqual(['{}', '{"Index":7,"ö":"€"}', '{}']);
    }
  });

  it('is dropped when it is longer than the cap, and those around it are kept', () => {
    const splitter = new LineSplitter(4);
    const seen = ['1234\n12', '34', '5', '6\n12', '34\n'].flatMap((chunk) => splitter.push(bytes(chunk)));
    expect(texts(seen)).toEqual(['1234', null, '1234']);
  });
});

describe('the event stream', () => {
  it('gives the heartbeat that lets us in, and every line of an index that comes as several', async () => {
    const { wire, lines } = reading(41);
    wire.send('{}\n{"Index":42,"Events":[{"Topic":"Job"}]}\n{"Index":42,"Events":[{"Topic":"Evaluation"}]}\n');
    const seen = [await lines.next(), await lines.next(), await lines.next()].map(({ value }) => value);
    await lines.return(undefined);
    expect(wire.index).toBe(41);
    expect(seen).toMatchObject([
      { Index: 0, Events: [] },
      { Index: 42, Events: [{ Topic: 'Job' }] },
      { Index: 42, Events: [{ Topic: 'Evaluation' }] },
    ]);
  });

  it.each(['not JSON', '[]', '{"Index":"seven"}', '{"Index":7,"Events":[{"Payload":{"Allocation":{}}}]}'])(
    'tells of a line that can not be read, and goes on: %s',
    async (line) => {
      const { wire, lines } = reading();
      wire.send(`${line}\n{}\n`);
      const seen = [await lines.next(), await lines.next()].map(({ value }) => value);
      await lines.return(undefined);
      expect(seen).toEqual([null, { Index: 0, Events: [] }]);
    },
  );

  it('counts as refused when its first line does not come in time, and is closed by us', async () => {
    const { wire, clock, lines } = reading();
    const next = lines.next().catch((error: unknown) => error);
    await until('it is open', () => wire.index !== null);
    wire.send('{"Index":');
    clock.advance(TIMING.firstLineMs);
    expect(await next).toMatchObject({ code: 'ERR_ENGINE_UNAVAILABLE', message: 'the event stream is silent' });
    expect(wire.isClosed).toBe(true);
    expect(clock.sleeping).toBe(0);
  });

  it('counts as dead when no line comes for long after the first', async () => {
    const { wire, clock, lines } = reading();
    wire.send('{}\n');
    await lines.next();
    clock.advance(TIMING.silenceMs - 1);
    wire.send('{}\n');
    expect((await lines.next()).value).toEqual({ Index: 0, Events: [] });
    const next = lines.next().catch((error: unknown) => error);
    clock.advance(TIMING.silenceMs);
    expect(await next).toBeInstanceOf(TransientError);
    expect(wire.isClosed).toBe(true);
  });

  it('is an outage when it ends cleanly, since a cut looks the same', async () => {
    const { wire, lines } = reading();
    wire.send('{}\n{"Index":9');
    wire.end();
    await lines.next();
    await expect(lines.next()).rejects.toMatchObject({
      code: 'ERR_ENGINE_UNAVAILABLE',
      message: 'the event stream ended',
    });
  });

  it('just ends when it is not wanted any more, and leaves nothing open', async () => {
    const { wire, clock, controller, lines } = reading();
    wire.send('{}\n');
    await lines.next();
    const next = lines.next();
    controller.abort();
    expect(await next).toEqual({ done: true, value: undefined });
    expect(wire.isClosed).toBe(true);
    await until('no timer is left', () => clock.sleeping === 0);
  });

  it('passes on why it could not be opened', async () => {
    const refusal = new TransientError('ERR_ENGINE_UNAVAILABLE', 'the engine answered 500');
    const open = () => Promise.reject(refusal);
    const { clock, controller } = reading();
    const lines = readEvents(0, { open, clock, timing: TIMING }, controller.signal);
    await expect(lines.next()).rejects.toBe(refusal);
  });
});
