import { readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FrameSplitter } from '../../../../../src/adapters/engines/nomad/logs-frames.ts';
import { TransientError } from '../../../../../src/errors.ts';

const frame = (bytes: Uint8Array, file = 'alloc/logs/runner.stdout.0'): string =>
  JSON.stringify({ Data: Buffer.from(bytes).toString('base64'), File: file, Offset: bytes.length });

const readAll = (chunks: readonly Uint8Array[]): Buffer => {
  const splitter = new FrameSplitter();
  const frames = chunks.flatMap((chunk) => splitter.push(chunk));
  splitter.end();
  return Buffer.concat(frames.map(({ bytes }) => bytes));
};

/** At these places. */
const cut = (bytes: Buffer, places: readonly number[]): Buffer[] => {
  const at = [0, ...places.map((place) => place % (bytes.length + 1)).toSorted((one, two) => one - two), bytes.length];
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end));
};

const pieces = fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 8 });
const places = fc.array(fc.nat(), { maxLength: 12 });

describe('the frames of a log', () => {
  it('give back every byte, however they are cut and whatever beats between them (R10)', () => {
    fc.assert(
      fc.property(pieces, places, fc.constantFrom('', '{}', '{}{}', '\n'), (logs, cuts, between) => {
        const body = Buffer.from(logs.map((bytes) => frame(bytes)).join(between) + between);
        expect(readAll(cut(body, cuts))).toEqual(Buffer.concat(logs));
      }),
    );
  });

  it('never turn an error after the 200 into output, wherever it stands (R10)', () => {
    fc.assert(
      fc.property(
        pieces,
        places,
        fc.constantFrom('rpc error: EOF', 'failed to read frame', '[1]'),
        (logs, cuts, text) => {
          const splitter = new FrameSplitter();
          const got: Uint8Array[] = [];
          const body = Buffer.from(logs.map((bytes) => frame(bytes)).join('') + text);
          const read = () => {
            for (const chunk of cut(body, cuts)) for (const { bytes } of splitter.push(chunk)) got.push(bytes);
            splitter.end();
          };
          expect(read).toThrow(TransientError);
          const whole = Buffer.concat(logs);
          expect(Buffer.concat(got)).toEqual(whole.subarray(0, Buffer.concat(got).length));
        },
      ),
    );
  });

  it('that break off are an outage, and what came before them is good', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 50 }), fc.integer({ min: 1, max: 40 }), (bytes, missing) => {
        const splitter = new FrameSplitter();
        const whole = Buffer.from(frame(bytes));
        expect(splitter.push(whole)).toHaveLength(1);
        expect(splitter.push(whole.subarray(0, whole.length - Math.min(missing, whole.length - 1)))).toEqual([]);
        expect(() => splitter.end()).toThrow('broke off');
      }),
    );
  });

  it.each([
    ['{"Data":"not base64!"}'],
    ['{"Data":7}'],
    ['{"Data":"QQ==","File":{}}'],
    ['{"Data" "QQ=="}'],
    [`{"Data":"${'A'.repeat(1024 ** 2)}"}`],
  ])('are refused when they are none: %.30s', (text) => {
    expect(() => new FrameSplitter().push(Buffer.from(text))).toThrow(TransientError);
  });

  it('of the recorded follow are read to the last line', () => {
    const file = path.resolve('test/fixtures/recordings/nomad/logs.json');
    const { exchanges } = JSON.parse(readFileSync(file, 'utf8')) as {
      exchanges: readonly { readonly note: string; readonly response: { readonly body: unknown } }[];
    };
    const recorded = exchanges.find(({ note }) => note === 'running, follow=true framed')?.response.body;
    expect(readAll([Buffer.from(String(recorded))]).toString()).toBe('line 1\nline 2\nline 3\nline 4\n');
  });
});
