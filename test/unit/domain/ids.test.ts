import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { attemptToken, blobOid, isActionId, isAttemptToken, isOid, oid } from '../../../src/domain/ids.ts';

const actionId = (text: string) => {
  if (!isActionId(text)) throw new Error('no id');
  return text;
};
const key = { repo: oid('1'.repeat(40)), id: actionId('release-v120'), blob: oid('2'.repeat(40)), attempt: 1 };

describe('attemptToken', () => {
  it('is the first 32 hex digits of SHA-256 over the lines of formats.md', () => {
    const lines = `edge-dispatcher/1\n${'1'.repeat(40)}\nrelease-v120\n${'2'.repeat(40)}\n1`;
    expect(attemptToken(key)).toBe(createHash('sha256').update(lines).digest('hex').slice(0, 32));
    expect(attemptToken(key)).toBe('25e15ee15b9e03215da7543b034543e4');
  });

  it('is another one for every part of the key', () => {
    const others = [
      key,
      { ...key, repo: oid('3'.repeat(40)) },
      { ...key, id: actionId('release-v121') },
      { ...key, blob: oid('3'.repeat(40)) },
      { ...key, attempt: 2 },
      { ...key, attempt: 11 },
    ].map(attemptToken);
    expect(new Set(others).size).toBe(others.length);
    expect(others.every(isAttemptToken)).toBe(true);
  });
});

describe('blobOid', () => {
  it.each(['sha1', 'sha256'] as const)('is what git hash-object says, with %s', (hash) => {
    const dir = mkdtempSync(path.join(tmpdir(), 'ids-'));
    try {
      execFileSync('git', ['init', '-q', `--object-format=${hash}`, dir]);
      for (const content of ['', 'a\n', 'ä€𝄞\0\r\n', 'x'.repeat(70_000)]) {
        const printed = execFileSync('git', ['-C', dir, 'hash-object', '--stdin'], {
          input: content,
          encoding: 'utf8',
        });
        expect(blobOid(Buffer.from(content), hash)).toBe(printed.trim());
      }
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });

  it('is SHA-1 where nothing else is said', () => {
    expect(blobOid(Buffer.from(''))).toBe('e69de29bb2d1d6434b8b29ae775ad8c2e48c5391');
  });
});

describe('names', () => {
  it.each(['a', '0', 'release-v120', 'a.b_c-d', 'x'.repeat(128), 'cancel', 'a.results'])(
    'takes %s for an id',
    (text) => {
      expect(isActionId(text)).toBe(true);
    },
  );

  it.each(['', 'A', '-a', '.a', 'a/b', 'a b', 'ä', 'a\n', 'x'.repeat(129), 'a.cancel', 'a.result'])(
    'does not take %j for an id',
    (text) => {
      expect(isActionId(text)).toBe(false);
    },
  );

  it('never takes a path for an id', () => {
    fc.assert(fc.property(fc.string(), fc.string(), (a, b) => !isActionId(`${a}/${b}`) && !isActionId(`..${a}`)));
  });

  it.each(['a'.repeat(40), 'a'.repeat(64)])('takes %s for an object id', (text) => {
    expect([isOid(text), oid(text)]).toEqual([true, text]);
  });

  it.each(['', 'a'.repeat(39), 'a'.repeat(41), 'A'.repeat(40), `${'a'.repeat(40)}\n`])(
    'refuses the object id %j',
    (text) => {
      expect(isOid(text)).toBe(false);
      expect(() => oid(text)).toThrow('not a git object id');
    },
  );

  it.each(['', '1'.repeat(31), '1'.repeat(33), 'G'.repeat(32), `${'1'.repeat(32)}\n`])(
    'refuses the token %j',
    (text) => {
      expect(isAttemptToken(text)).toBe(false);
    },
  );
});
