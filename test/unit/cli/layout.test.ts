import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ago, wrap } from '../../../src/cli/layout.ts';

test('wrapped text loses nothing and keeps to its width where words allow it', () => {
  const words = fc.array(fc.stringMatching(/^[a-z]{1,30}$/), { minLength: 1 });
  fc.assert(
    fc.property(words, fc.integer({ min: 8, max: 60 }), (given, width) => {
      const lines = wrap(given.join(' '), width);
      expect(lines.join(' ')).toBe(given.join(' '));
      for (const line of lines) expect(line.length <= width || !line.includes(' ')).toBe(true);
    }),
  );
});

test('times are told in one unit, and never in the future', () => {
  const now = new Date('2026-03-01T12:00:00Z');
  const told = [
    '2026-03-01T12:00:09Z',
    '2026-03-01T11:59:00Z',
    '2026-03-01T11:00:00Z',
    '2026-02-28T12:00:00Z',
    '2026-01-01T12:00:00Z',
  ];
  expect(told.map((since) => ago(since, now))).toEqual(['0 s', '60 s', '60 min', '24 h', '59 d']);
});
