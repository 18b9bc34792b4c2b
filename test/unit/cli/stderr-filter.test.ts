import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { StderrFilter } from '../../../src/cli/stderr-filter.ts';
import { encodeTrailer } from '../../../src/domain/trailer.ts';
import { sampleTrailer, TRAILER_KEY } from '../../fakes/cli-samples.ts';

const OTHER_KEY = '8'.repeat(64);
const trailerOf = (own: string, key = TRAILER_KEY) => encodeTrailer(sampleTrailer(own), key);

/** What is shown of these bytes when they come in chunks of the given sizes. */
function shown(bytes: Buffer, sizes: readonly number[], key: string | null): string {
  const filter = new StderrFilter(key);
  const out: Buffer[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? 1;
    out.push(filter.push(bytes.subarray(at, at + size)));
    at += size;
  }
  out.push(filter.end());
  return Buffer.concat(out).toString('utf8');
}

/** Texts that look like trailers, in whole or in part. */
const text = fc
  .array(fc.oneof(fc.constantFrom('\n', '::edge-trailer ', '\n::edge-trailer {}', ' ', 'a'.repeat(64)), fc.string()))
  .map((parts) => parts.join(''));
const sizes = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 5 });

describe('the stderr that people see', () => {
  test('is exactly what the command wrote, however the bytes come, and never the trailer', () => {
    fc.assert(
      fc.property(text, sizes, (own, chunks) => {
        const bytes = Buffer.from(`${own}${trailerOf(own)}`);
        expect(shown(bytes, chunks, TRAILER_KEY)).toBe(Buffer.from(own).toString('utf8'));
      }),
    );
  });

  test('is all that there is where no trailer of this attempt ends it', () => {
    fc.assert(
      fc.property(text, sizes, (own, chunks) => {
        expect(shown(Buffer.from(own), chunks, TRAILER_KEY)).toBe(Buffer.from(own).toString('utf8'));
      }),
    );
  });

  test('keeps a trailer that the command forged, and one that is not at the end', () => {
    const forged = `words${trailerOf('words', OTHER_KEY)}`;
    expect(shown(Buffer.from(forged), [7], TRAILER_KEY)).toBe(forged);
    const early = `words${trailerOf('words')}more\n`;
    expect(shown(Buffer.from(early), [7], TRAILER_KEY)).toBe(early);
  });

  test('without the key hides whatever has the form of a trailer at the very end', () => {
    expect(shown(Buffer.from(`words\n${trailerOf('words\n')}`), [5], null)).toBe('words\n');
    expect(shown(Buffer.from('words\n::edge-trailer not one\n'), [5], null)).toBe('words\n::edge-trailer not one\n');
  });

  test('tells that the runner has said its last words only when it has', () => {
    const filter = new StderrFilter(TRAILER_KEY);
    const trailer = Buffer.from(trailerOf('words'));
    filter.push(Buffer.from('words'));
    filter.push(trailer.subarray(0, -1));
    expect(filter.hasTrailer).toBe(false);
    filter.push(trailer.subarray(-1));
    expect(filter.hasTrailer).toBe(true);
  });

  test('holds back no more than what may be a trailer: a line is shown as soon as the next begins', () => {
    const filter = new StderrFilter(TRAILER_KEY);
    expect(filter.push(Buffer.from('first\nsecond')).toString()).toBe('first\nsecond');
    expect(filter.push(Buffer.from('\n')).toString()).toBe('');
    expect(filter.push(Buffer.from('third')).toString()).toBe('\nthird');
  });
});
