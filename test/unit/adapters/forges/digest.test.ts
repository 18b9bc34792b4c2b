import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Digest } from '../../../../src/adapters/forges/shared/digest.ts';

const WIDE = { read: 1_000_000, kept: 1_000_000 };

/** The digest of a text that arrives in chunks of this size; null: too long. */
function digested(text: string, limits: ConstructorParameters<typeof Digest>[0], size = 7): Digest | null {
  const digest = new Digest(limits);
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) if (!digest.add(bytes.subarray(at, at + size))) return null;
  return digest;
}

function withoutLong(value: unknown, most: number): unknown {
  if (typeof value === 'string') return Buffer.byteLength(JSON.stringify(value)) - 1 > most ? null : value;
  if (Array.isArray(value)) return value.map((each) => withoutLong(each, most));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, withoutLong(each, most)]));
}

const texts = fc.string({ unit: 'binary', maxLength: 40 });
const values = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    texts,
    fc.integer(),
    fc.boolean(),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.constantFrom('a', 'b', 'c'), tie('value')),
  ),
})).value;

test('long texts read as null, and all else is as it was sent, however it arrives', () => {
  fc.assert(
    fc.property(values, fc.integer({ min: 5, max: 60 }), fc.integer({ min: 1, max: 9 }), (value, text, size) => {
      const digest = digested(JSON.stringify(value), { text, ...WIDE }, size);
      expect(JSON.parse(digest?.text() ?? 'nothing')).toEqual(withoutLong(value, text));
    }),
  );
});

test('what is left out takes no memory, what is kept is limited', () => {
  const long = JSON.stringify(['x'.repeat(5_000), 'y']);
  expect(digested(long, { text: 100, read: 10_000, kept: 200 })?.text()).toBe('[null,"y"]');
  expect(
    digested(JSON.stringify(['x'.repeat(90), 'x'.repeat(90), 'x'.repeat(90)]), { text: 100, read: 10_000, kept: 200 }),
  ).toBeNull();
  expect(digested(long, { text: 100, read: 4_000, kept: 200 })).toBeNull();
});

test.each([
  ['[{"id":1,"user":{"name":"a"},"body":"', '[{"id":1,"user":{"name":"a"},"body":null}]'],
  ['[{"id":1,"comment":{"id":2,"body":"', '[{"id":1,"comment":{"id":2,"body":null}}]'],
  ['[{"id":1},{"id":2,"body":"', null],
  ['[{"id":1,"label', null],
])('the beginning of %s', (start, expected) => {
  const digest = new Digest({ text: 20, read: 1_000, kept: 1_000 });
  const chunk = Buffer.from(start.endsWith('label') ? start : start + 'x'.repeat(100));
  expect(digest.add(chunk)).toBe(true);
  expect(digest.beginning()).toBe(expected);
});
