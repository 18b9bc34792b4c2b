import { describe, expect, it } from 'vitest';
import { startOf, step } from '../../../src/runner/glob.ts';

describe('the patterns of artifacts', () => {
  it.each([
    ['dist/*.tgz', 'dist/a.tgz', true],
    ['dist/*.tgz', 'dist/deep/a.tgz', false],
    ['dist/*.tgz', 'dist/a.tgz.asc', false],
    ['dist/*.tgz', 'other/a.tgz', false],
    ['report', 'report', true],
    ['report', 'report/inside', false],
    ['a?c', 'abc', true],
    ['a?c', 'ac', false],
    ['a?c', 'a/c', false],
    ['*', 'x', true],
    ['**', 'x', true],
    ['**', 'x/y/z', true],
    ['out/**', 'out/x', true],
    ['out/**', 'out/x/y', true],
    ['out/**', 'out', false],
    ['**/*.log', 'a.log', true],
    ['**/*.log', 'x/y/a.log', true],
    ['a/**/b', 'a/b', true],
    ['a/**/b', 'a/x/y/b', true],
    ['a/**/b', 'b', false],
    ['a/**/**/b', 'a/x/b', true],
    ['*a*b*', 'xxaxxbxx', true],
    ['*a*b*', 'xxbxxaxx', false],
    ['a.c', 'abc', false],
    ['[ab]', 'a', false],
    ['[ab]', '[ab]', true],
    ['*', '.env', false],
    ['?env', '.env', false],
    ['**', '.git/config', false],
    ['.git/*', '.git/config', true],
    ['.env', '.env', true],
  ])('say of %s and %s: %s', (pattern, file, expected) => {
    expect(isMatch([pattern], file)).toBe(expected);
  });

  it('match when one of them does', () => {
    expect(isMatch(['a', 'b', 'b'], 'b')).toBe(true);
  });

  it('are matched without trying all ways, whatever the command names its files', () => {
    const before = performance.now();
    expect(isMatch([`${'*a'.repeat(60)}b`], 'a'.repeat(255))).toBe(false);
    expect(isMatch(['**/'.repeat(60).concat('b')], 'a/'.repeat(60).concat('c'))).toBe(false);
    expect(performance.now() - before).toBeLessThan(10_000);
  });
});

function isMatch(patterns: readonly string[], file: string): boolean {
  let positions = startOf(patterns);
  const names = file.split('/');
  for (const name of names.slice(0, -1)) positions = step(positions, name).below;
  return step(positions, names.at(-1) ?? '').isMatch;
}
