import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeTrailer, splitTrailer, type Trailer } from '../../../src/domain/trailer.ts';

const KEY = 'ab'.repeat(32);
const MARK = '\n::edge-trailer ';
const trailer: Trailer = {
  v: 1,
  exit: 0,
  signal: null,
  reason: null,
  started: '2026-03-31T12:00:00Z',
  finished: '2026-03-31T12:00:01Z',
  digest: { action: 'a'.repeat(40), formula: 'b'.repeat(40) },
  masked: { TOKEN: 2 },
  stdout: { bytes: 1, sha256: 'c'.repeat(64), cut: false },
  stderr: { bytes: 2, sha256: 'd'.repeat(64), cut: true },
  artifacts: [
    { path: 'dist/ä\u2028.tgz', bytes: 3, sha256: 'e'.repeat(64) },
    { path: 'b', bytes: 4, sha256: 'f'.repeat(64), withheld: 'a secret is inside' },
  ],
};

const split = (text: string | Buffer, key = KEY) => splitTrailer(Buffer.from(text), Buffer.byteLength(text), key);
const signed = (json: string) => `${MARK}${json} ${macOf(Buffer.from(json))}\n`;
const macOf = (bytes: Buffer) => createHmac('sha256', Buffer.from(KEY, 'hex')).update(bytes).digest('hex');

describe('encodeTrailer', () => {
  it('is one line between two newlines: mark, JSON, HMAC-SHA256 of the JSON in UTF-8', () => {
    const json = JSON.stringify(trailer);
    expect(encodeTrailer(trailer, KEY)).toBe(signed(json));
    expect(json).not.toContain('\n');
  });
});

describe('splitTrailer', () => {
  it('gives the trailer and what is the command’s own before it', () => {
    expect(split(`warning: ä€𝄞${encodeTrailer(trailer, KEY)}`)).toEqual({
      length: Buffer.byteLength('warning: ä€𝄞'),
      trailer,
    });
    expect(split(encodeTrailer(trailer, KEY))).toEqual({ length: 0, trailer });
  });

  it('counts the bytes before the tail as well', () => {
    const tail = Buffer.from(`end${encodeTrailer(trailer, KEY)}`);
    expect(splitTrailer(tail, tail.length + 1000, KEY)).toEqual({ length: 1003, trailer });
  });

  it('takes the last of two', () => {
    const first = encodeTrailer({ ...trailer, exit: 1 }, KEY);
    expect(split(`${first}${encodeTrailer(trailer, KEY)}`)).toEqual({ length: Buffer.byteLength(first), trailer });
  });

  it.each([
    ['none', 'just words\n'],
    ['nothing', ''],
    ['no newline at the end', encodeTrailer(trailer, KEY).slice(0, -1)],
    ['words after it', `${encodeTrailer(trailer, KEY)}and more\n`],
    ['a word after it', `${encodeTrailer(trailer, KEY)}more\n`],
    ['an empty line after it', `${encodeTrailer(trailer, KEY)}\n`],
    ['more digits than a MAC has', `${encodeTrailer(trailer, KEY).slice(0, -1)}00\n`],
    ['something behind its MAC', `${encodeTrailer(trailer, KEY).slice(0, -1)}zz\n`],
    ['a cut JSON', encodeTrailer(trailer, KEY).replace('"v":1', '"v":')],
    ['no mark of its own line', encodeTrailer(trailer, KEY).slice(1)],
    ['no MAC', `${MARK}${JSON.stringify(trailer)}\n`],
    ['an empty MAC', `${MARK}${JSON.stringify(trailer)} \n`],
    ['no space', `${MARK}x\n`],
    ['a right MAC of what is no JSON', signed('{"v":1')],
    ['a right MAC of nothing', signed('')],
    ['a right MAC of another JSON', signed('{"v":2}')],
    ['a right MAC of null', signed('null')],
    ['an unknown field', signed(JSON.stringify({ ...trailer, more: 1 }))],
    ['a reason that is none', signed(JSON.stringify({ ...trailer, reason: 'ERR_SLOT' }))],
  ])('sees the command’s own output in %s (E6)', (_, text) => {
    expect(split(text)).toEqual({ length: Buffer.byteLength(text), trailer: null });
  });

  it('does not believe a trailer of another key (E6)', () => {
    const forged = encodeTrailer(trailer, 'cd'.repeat(32));
    expect(split(`ok${forged}`)).toEqual({ length: Buffer.byteLength(`ok${forged}`), trailer: null });
    expect(split(encodeTrailer(trailer, KEY), 'no hex at all').trailer).toBeNull();
  });

  it('does not believe a trailer with any byte changed (E6)', () => {
    const whole = Buffer.from(`x${encodeTrailer(trailer, KEY)}`);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: whole.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, by) => {
        const changed = Buffer.from(whole);
        changed[at] = (changed[at] ?? 0) ^ by;
        const found = split(changed);
        return found.trailer === null && found.length === whole.length;
      }),
      { numRuns: 500 },
    );
  });

  it('never throws, and never finds more than there is, whatever the bytes are', () => {
    const bytes = fc.uint8Array({ maxLength: 300 }).map((each) => Buffer.from(each));
    const pieces = fc.oneof(
      bytes,
      fc.constantFrom(MARK, '\n', ' ', '{', 'ab'.repeat(32)).map((text) => Buffer.from(text)),
    );
    const marked = bytes.map((each) => Buffer.concat([Buffer.from(MARK), each, Buffer.from(` ${macOf(each)}\n`)]));
    const text = fc.array(fc.oneof(pieces, marked), { maxLength: 6 }).map((each) => Buffer.concat(each));
    fc.assert(
      fc.property(text, fc.nat(1000), (tail, before) => {
        const found = splitTrailer(tail, tail.length + before, KEY);
        expect(found).toEqual({ length: tail.length + before, trailer: null });
      }),
      { numRuns: 2000 },
    );
  });
});
