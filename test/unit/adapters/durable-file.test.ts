import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createDurably, isErrno, mkdirDurably, writeDurably } from '../../../src/adapters/durable-file.ts';
import { makeTools, type TestTools } from '../../fakes/tools.ts';

describe('a durable file', () => {
  let tools: TestTools;
  const inside = (name: string): string => path.join(tools.stateDir, name);
  const modeOf = (file: string): number => statSync(file).mode & 0o777;

  beforeEach(() => {
    tools = makeTools();
  });

  afterEach(() => tools.remove());

  it('replaces what was there as a whole and leaves nothing beside it', async () => {
    await writeDurably(inside('a'), 'a longer first content');
    await writeDurably(inside('a'), 'short');
    expect(readFileSync(inside('a'), 'utf8')).toBe('short');
    expect(readdirSync(tools.stateDir)).toEqual(['a']);
  });

  it('has the mode that is asked for, whatever the umask is', async () => {
    const before = process.umask(0o000);
    try {
      await writeDurably(inside('a'), '');
      process.umask(0o077);
      await writeDurably(inside('b'), '', 0o644);
    } finally {
      process.umask(before);
    }
    expect([modeOf(inside('a')), modeOf(inside('b'))]).toEqual([0o600, 0o644]);
  });

  it('is whole for a reader at any time', async () => {
    const contents = Array.from({ length: 8 }, (_, i) => String(i).repeat(50_000));
    await writeDurably(inside('a'), contents[0] ?? '');
    const writes = contents.map((content) => writeDurably(inside('a'), content));
    const reads = contents.map(() => readFileSync(inside('a'), 'utf8'));
    await Promise.all(writes);
    expect(reads.filter((content) => !contents.includes(content))).toEqual([]);
  });

  it('is created by exactly one of many', async () => {
    const answers = await Promise.all(Array.from({ length: 16 }, (_, i) => createDurably(inside('a'), String(i))));
    const winner = answers.indexOf(true);
    expect(answers.filter((won) => won)).toHaveLength(1);
    expect(readFileSync(inside('a'), 'utf8')).toBe(String(winner));
    expect(readdirSync(tools.stateDir)).toEqual(['a']);
  });

  it('leaves nothing behind when it can not be put in place', async () => {
    mkdirSync(inside('a'));
    await expect(writeDurably(inside('a'), 'x')).rejects.toSatisfy((error) => isErrno(error, 'EISDIR'));
    await expect(createDurably(inside('none/a'), 'x')).rejects.toSatisfy((error) => isErrno(error, 'ENOENT'));
    expect(readdirSync(tools.stateDir)).toEqual(['a']);
  });

  it('gets directories that are nobody else’s, and takes those that are there', async () => {
    await mkdirDurably(inside('a/b/c'));
    await mkdirDurably(inside('a/b/c'), 0o755);
    expect([modeOf(inside('a')), modeOf(inside('a/b/c'))]).toEqual([0o700, 0o700]);
  });

  it('tells errors of the system by their name', () => {
    expect(isErrno(Object.assign(new Error('x'), { code: 'ENOENT' }), 'EIO', 'ENOENT')).toBe(true);
    expect(isErrno(Object.assign(new Error('x'), { code: 'ENOENT' }), 'EIO')).toBe(false);
    expect(isErrno({ code: 'ENOENT' }, 'ENOENT')).toBe(false);
  });
});
