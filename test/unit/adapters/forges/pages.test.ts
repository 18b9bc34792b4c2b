import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isAtLeast } from '../../../../src/adapters/forges/forgejo/dialect.ts';
import { isLastPage, type Place, readAll } from '../../../../src/adapters/forges/forgejo/pages.ts';
import { TransientError } from '../../../../src/errors.ts';

interface Row {
  readonly id: number;
  readonly hidden: boolean;
}

/** A list as a forge cuts it, hidden rows taking their places. `whole`: it knows no pages. */
function listOf(rows: readonly Row[], { total = true, whole = false } = {}) {
  const asked: number[] = [];
  const read = async ({ page, size }: Place) => {
    asked.push(page);
    const [from, to] = [(page - 1) * size, page * size];
    const items = (whole ? rows : rows.slice(from, to)).filter(({ hidden }) => !hidden);
    return { items, total: total ? rows.length : null };
  };
  return { name: 'GET /list', keyOf: ({ id }: Row) => id, read, asked };
}

const rowsOf = (hidden: readonly boolean[]): readonly Row[] => hidden.map((each, id) => ({ id, hidden: each }));
const shown = (rows: readonly Row[]): readonly Row[] => rows.filter(({ hidden }) => !hidden);

test('every item that we may see is read once, wherever hidden ones lie, and no page is asked for in vain', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.boolean(), { maxLength: 60 }),
      fc.integer({ min: 1, max: 20 }),
      async (hidden, size) => {
        const rows = rowsOf(hidden);
        const list = listOf(rows);
        expect(await readAll(size, list)).toEqual(shown(rows));
        expect(list.asked.length).toBeLessThanOrEqual(Math.max(1, Math.ceil(rows.length / size)));
      },
    ),
  );
});

test('a list that comes whole whatever is asked for is read once too', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 1, max: 20 }), async (count, size) => {
      const rows = rowsOf(Array.from({ length: count }, () => false));
      const list = listOf(rows, { whole: true });
      expect(await readAll(size, list)).toEqual(rows);
      expect(list.asked).toEqual([1]);
    }),
  );
});

test('without a total, a list ends with an empty page', async () => {
  const rows = rowsOf(Array.from({ length: 7 }, () => false));
  const list = listOf(rows, { total: false });
  expect(await readAll(3, list)).toEqual(rows);
  expect(list.asked).toEqual([1, 2, 3, 4]);
});

test('a list without end is an outage, unless a part of it is enough', async () => {
  const read = async ({ page }: Place) => ({
    items: [{ id: page, hidden: false }],
    total: null,
  });
  const endless = { name: 'GET /list', keyOf: ({ id }: Row) => id, read };
  await expect(readAll(1, endless)).rejects.toThrow(TransientError);
  expect(await readAll(1, { ...endless, mostPages: 3 })).toHaveLength(3);
});

test('a list that is not there is null', async () => {
  expect(await readAll(50, { name: 'GET /list', keyOf: ({ id }: Row) => id, read: async () => null })).toBeNull();
});

test.each([
  [{ page: 1, size: 50, total: 50, items: 12, collected: 12 }, true],
  [{ page: 1, size: 50, total: 51, items: 0, collected: 0 }, false],
  [{ page: 2, size: 50, total: 51, items: 0, collected: 0 }, true],
  [{ page: 1, size: 50, total: 63, items: 63, collected: 63 }, true],
  [{ page: 9, size: 50, total: null, items: 1, collected: 1 }, false],
  [{ page: 1, size: 50, total: null, items: 0, collected: 0 }, true],
])('%j is the last page: %s', (seen, expected) => {
  expect(isLastPage(seen)).toBe(expected);
});

test.each([
  ['10.0.0-dev-2+gitea-1.22.0', true],
  ['10.0.0-dev+gitea-1.22.0', true],
  ['7.0.0+gitea-1.21.11', true],
  ['6.0.14+gitea-1.21.0', false],
  ['v7.1', true],
  ['development', null],
  ['', null],
])('version %j is 7.0 or later: %s', (version, expected) => {
  expect(isAtLeast(version, [7, 0])).toBe(expected);
  expect(isAtLeast('1.21.9', [1, 22])).toBe(false);
  expect(isAtLeast('1.22.0', [1, 22])).toBe(true);
});
