import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  describe as describeValue,
  fieldName,
  nearestName,
  parsedFrom,
  problem,
  schemaProblems,
} from '../../../src/domain/problems.ts';

const context = { path: 'f.toml', locate: () => undefined, fieldCode: 'ERR_ACTION_FIELD' } as const;

describe('schemaProblems', () => {
  const schema = z.strictObject({
    name: z.string(),
    count: z.int().optional(),
    kind: z.enum(['a', 'b']).optional(),
    list: z.array(z.strictObject({ path: z.string() })).default([]),
    table: z.record(z.string(), z.strictObject({ pattern: z.string().optional() })).optional(),
  });
  const messages = (value: unknown) => schemaProblems(schema, value, context).map(({ message }) => message);

  it('names every problem at once, in our words', () => {
    expect(messages({ count: 'x', kind: 'c', list: {}, table: 7 })).toEqual([
      'name is missing',
      'count must be a number; it is a text of 1 character',
      'kind must be one of a, b; it is a text of 1 character',
      'list must be a list; it is a table',
      'table must be a table; it is 7',
    ]);
  });

  it('names the nearest known field of the table that an unknown one stands in', () => {
    const value = { nmae: 1, name: 'x', list: [{ path: '', Path: '' }], table: { t: { patern: '' } }, zebra: 1 };
    const found = schemaProblems(schema, value, context).map(({ code, message, hint }) => [code, message, hint]);
    expect(found).toEqual(
      expect.arrayContaining([
        ['ERR_UNKNOWN_FIELD', 'nmae is no field that is known here', 'Did you mean name?'],
        ['ERR_UNKNOWN_FIELD', 'list[0].Path is no field that is known here', 'Did you mean path?'],
        ['ERR_UNKNOWN_FIELD', 'table.t.patern is no field that is known here', 'Did you mean pattern?'],
        ['ERR_UNKNOWN_FIELD', 'zebra is no field that is known here', 'Known here: name, count, kind, list, table.'],
      ]),
    );
    expect(found).toHaveLength(4);
  });

  it('uses the code and the place that the file gives', () => {
    const place = { line: 3, column: 4 };
    const given = {
      path: 'f.toml',
      locate: () => place,
      fieldCode: 'ERR_CONFIG_FIELD',
      unknownCode: 'ERR_CONFIG_UNKNOWN',
    } as const;
    expect(schemaProblems(schema, { name: 1, other: 2 }, given)).toMatchObject([
      { code: 'ERR_CONFIG_FIELD', ...place },
      { code: 'ERR_CONFIG_UNKNOWN', ...place },
    ]);
  });

  it('takes the place of what a missing field belongs to', () => {
    const locate = (key: readonly unknown[]) => (key.length === 2 ? { line: 9, column: 1 } : undefined);
    const found = schemaProblems(schema, { name: 'x', list: [{}] }, { ...context, locate });
    expect(found).toMatchObject([{ message: 'list[0].path is missing', line: 9 }]);
  });
});

describe('parsedFrom', () => {
  const error = problem('ERR_ACTION_FIELD', 'f', 'e', { place: { line: 2, column: 1 } });
  const warning = problem('ERR_COMPATIBILITY', 'f', 'w', { severity: 'warning', place: { line: 1, column: 1 } });

  it('answers the value with its warnings when there is no error', () => {
    expect(parsedFrom(7, [warning])).toEqual({ ok: true, value: 7, warnings: [warning] });
  });

  it('answers errors before warnings, by line, each once', () => {
    const first = problem('ERR_ACTION_FIELD', 'f', 'x', { place: { line: 1, column: 1 } });
    expect(parsedFrom(7, [warning, error, error, first])).toEqual({ ok: false, problems: [first, error, warning] });
  });
});

describe('the words for a value', () => {
  it.each([
    ['', 'an empty text'],
    ['secret', 'a text of 6 characters'],
    [12, '12'],
    [1234567, 'a longer number'],
    [Number.NaN, 'a number that is not finite'],
    [2n ** 60n, 'a number too large to be exact'],
    [true, 'a boolean'],
    [[1, 2], 'a list of 2'],
    [{ a: 1 }, 'a table'],
    [new Date(0), 'a date-time'],
    [new Date(Number.NaN), 'a date or time without time zone, or no day of the calendar'],
  ])('never say it: %o is %s', (value, words) => {
    expect(describeValue(value)).toBe(words);
  });

  it('describe a key that is no plain name, and repeat one that is', () => {
    expect(fieldName(['files', 0, 'path'])).toBe('files[0].path');
    expect(fieldName(['inputs', 'a b'])).toBe('inputs.(a key of 3 characters)');
    expect(fieldName(['x'.repeat(65)])).toBe('.(a key of 65 characters)'.slice(1));
    expect(fieldName([])).toBe('the file');
  });
});

describe('nearestName', () => {
  it.each([
    ['timeout', ['timeout_minutes', 'tools'], 'timeout_minutes'],
    ['time', ['timeout_minutes', 'tools'], 'timeout_minutes'],
    ['it', ['id', 'tools'], 'id'],
    ['at', ['id', 'tools'], undefined],
    ['timeoutMinutes', ['timeout_minutes', 'tools'], 'timeout_minutes'],
    ['depends-on', ['depends_on'], 'depends_on'],
    ['secret', ['secrets', 'script'], 'secrets'],
    ['zebra', ['secrets'], undefined],
  ])('of %s among %j is %s', (name, known, nearest) => {
    expect(nearestName(name, known)).toBe(nearest);
  });
});
