import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  CancelledError,
  CODES,
  type Code,
  codeOf,
  EdgeError,
  InvalidError,
  RefusedError,
  StalledError,
  TransientError,
  toError,
  UsageError,
} from '../../src/errors.ts';

const doc = readFileSync(path.resolve(import.meta.dirname, '../../docs/errors.md'), 'utf8');
const rows = [...doc.matchAll(/^\| `(ERR_\w+)` \| (\w+) \| (.+) \| ((?:[^|]|\\\|)+) \|$/gm)];
const documented = new Map(rows.map(([, code = '', kind, what, todo]) => [code, { kind, what, todo }]));
const codes = Object.keys(CODES) as Code[];

describe('docs/errors.md', () => {
  it.each(codes)('documents %s with its class, what happened and what to do', (code) => {
    expect(documented.get(code)).toEqual({
      kind: CODES[code].class,
      what: expect.stringMatching(/^[A-Z`].{10,}\.$/),
      todo: CODES[code].hint.replaceAll(/[|<]/g, String.raw`\$&`),
    });
  });

  it('documents each code once, in the order of the code, and none that there is not', () => {
    expect(rows.map(([, code]) => code)).toEqual(codes);
  });

  it('has a sentence as what to do, which is the hint of the code', () => {
    expect(codes.filter((code) => !/^[A-Z`].*\.$/.test(CODES[code].hint))).toEqual([]);
  });

  it('says of every class what is done about it', () => {
    const classes = [...new Set(codes.map((code) => CODES[code].class))];
    expect(classes.filter((name) => !new RegExp(`^\\| ${name} \\| `, 'm').test(doc))).toEqual([]);
  });
});

describe('an error of ours', () => {
  const classes = { InvalidError, RefusedError, TransientError, StalledError, CancelledError, UsageError };

  it.each(Object.entries(classes))('%s carries its name, its code and the hint of the code', (name, Class) => {
    const error = new Class('ERR_SLOT', 'all 16 slots are taken');
    expect(error).toBeInstanceOf(EdgeError);
    expect(error).toMatchObject({ name, code: 'ERR_SLOT', message: 'all 16 slots are taken', problems: [] });
    expect(error.hint).toBe(CODES.ERR_SLOT.hint);
    expect('cause' in error).toBe(false);
  });

  it('keeps a hint that knows better, its cause and its problems', () => {
    const cause = new Error('why');
    const problem = { code: 'ERR_INPUT', path: 'x.toml', message: 'no', severity: 'error' } as const;
    const error = new InvalidError('ERR_INPUT', 'no', { hint: 'Do this.', cause, problems: [problem] });
    expect(error).toMatchObject({ hint: 'Do this.', cause, problems: [problem] });
  });

  it('that is transient keeps how long the service asked us to wait (R20)', () => {
    expect(new TransientError('ERR_GIT_UNAVAILABLE', 'away', { retryAfterMs: 1500 }).retryAfterMs).toBe(1500);
    expect(new TransientError('ERR_GIT_UNAVAILABLE', 'away').retryAfterMs).toBeUndefined();
  });
});

describe('whatever was thrown', () => {
  it('becomes an Error: itself, its text, or a text that quotes nothing', () => {
    const error = new Error('x');
    expect(toError(error)).toBe(error);
    expect(toError('text').message).toBe('text');
    expect(toError({ token: 'abc' }).message).toBe('something that is no Error was thrown');
  });

  it('has a code: its own if it is ours, else ERR_INTERNAL', () => {
    const thrown = [new RefusedError('ERR_EXPIRED', 'late'), new Error('x'), 'text', undefined];
    expect(thrown.map(codeOf)).toEqual(['ERR_EXPIRED', 'ERR_INTERNAL', 'ERR_INTERNAL', 'ERR_INTERNAL']);
  });
});
