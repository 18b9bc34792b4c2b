import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LOG_EXCERPT_BYTES } from '../../../src/domain/result.ts';
import { excerpt } from '../../../src/story/collect-output.ts';
import type { Behaviour } from '../../fakes/dummy-engine.ts';
import { StoryBench } from '../../fakes/story-bench.ts';
import { bytesOf } from '../../fakes/until.ts';

const anyText = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 3000 }),
  fc.nat(6000).map((length) => 'x'.repeat(length)),
  fc.tuple(fc.constantFrom('ä', '€', '𝄞', '\uFFFD'), fc.nat(3000)).map(([sign, times]) => sign.repeat(times)),
);

describe('excerpt', () => {
  it('is the tail of stdout, then of stderr, at most 4 KiB of UTF-8, never with a broken character', () => {
    fc.assert(
      fc.property(anyText, anyText, (stdout, stderr) => {
        const text = excerpt(stdout, stderr);
        expect(Buffer.byteLength(text)).toBeLessThanOrEqual(LOG_EXCERPT_BYTES);
        expect(Buffer.from(text).toString('utf8')).toBe(text);
        const cut = [...Array(text.length + 1).keys()].some((at) => {
          return stdout.endsWith(text.slice(0, at)) && stderr.endsWith(text.slice(at));
        });
        expect(cut).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  it.each([
    [100, 100, 100, 100],
    [5000, 0, 4096, 0],
    [0, 5000, 0, 4096],
    [5000, 5000, 2048, 2048],
    [1000, 5000, 1000, 3096],
    [5000, 1000, 3096, 1000],
  ])('of %i and %i bytes keeps %i and %i', (stdout, stderr, first, second) => {
    const text = excerpt('o'.repeat(stdout), 'e'.repeat(stderr));
    expect(text).toBe('o'.repeat(first) + 'e'.repeat(second));
  });

  it('loses less than a character at a cut', () => {
    const text = excerpt('€'.repeat(2000), '');
    expect(Buffer.byteLength(text)).toBeGreaterThan(LOG_EXCERPT_BYTES - 3);
  });
});

async function resultOf(behaviour: Behaviour) {
  const bench = new StoryBench();
  bench.engine.behaviours.set('a', behaviour);
  bench.addAction('a');
  await bench.once();
  const result = bench.result('a');
  if (result === null) throw new Error('no result');
  return { result, bench };
}

describe('what a run leaves behind', () => {
  it('goes to the store whole, without the trailer, and is complete (R10, E1)', async () => {
    const stdout = 'line of output\n'.repeat(1000);
    const { result, bench } = await resultOf({ stdout, stderr: 'warning\n' });
    expect(bench.store.objects.get('a/1/stdout.log')?.toString()).toBe(stdout);
    expect(bench.store.objects.get('a/1/stderr.log')?.toString()).toBe('warning\n');
    expect(result.output).toMatchObject({
      stdout: { bytes: stdout.length, complete: true, uri: 'memory:a/1/stdout.log' },
      stderr: { bytes: 8, complete: true },
    });
    expect(result.logs.endsWith('line of output\nwarning\n')).toBe(true);
  });

  it.each(['forged', 'none'] as const)('is never called complete with the trailer %s (R10, E6)', async (trailer) => {
    const { result } = await resultOf({ stdout: 'out', trailer });
    expect(result.output).toMatchObject({
      stdout: { bytes: 3, complete: false },
      stderr: { complete: false },
      masked: {},
    });
    expect([result.run?.digest_verified, result.artifacts]).toEqual([false, []]);
    // A line that proves nothing is part of what the command wrote.
    expect(result.logs.includes('::edge-trailer')).toBe(trailer === 'forged');
  });

  it('is not complete when what was kept is not what was sent (R10)', async () => {
    const bench = new StoryBench();
    bench.engine.behaviours.set('a', { stdout: 'the whole', stderr: 'x' });
    bench.addAction('a');
    const whole = bench.engine.logs.bind(bench.engine);
    // Its garbage collection took the beginning.
    bench.engine.logs = (run, stream) => whole(run, stream, stream === 'stdout' ? 4 : 0);
    await bench.once();
    expect(bench.result('a')?.output).toMatchObject({
      stdout: { bytes: 5, complete: false },
      stderr: { bytes: 1, complete: true },
    });
  });

  it('is not complete when its runner cut it at the limit (R10)', async () => {
    const { result } = await resultOf({ stdout: 'out', cut: true });
    expect(result.output).toMatchObject({ stdout: { bytes: 3, complete: false }, stderr: { complete: false } });
    expect(result.run?.digest_verified).toBe(true);
  });

  it('keeps artifacts, and says why one is not there', async () => {
    const bench = new StoryBench();
    bench.engine.behaviours.set('a', { artifacts: { 'dist/a': 'A', 'dist/changed': 'B', 'dist/gone': 'C' } });
    bench.addAction('a');
    const whole = bench.engine.artifact.bind(bench.engine);
    bench.engine.artifact = async (run, path) => {
      if (path === 'dist/gone') return null;
      return path === 'dist/changed' ? bytesOf('other') : whole(run, path);
    };
    await bench.once();
    expect(bench.result('a')?.artifacts).toMatchObject([
      { path: 'dist/a', bytes: 1, uri: 'memory:a/1/artifacts/dist/a' },
      { path: 'dist/changed', uri: null, withheld: 'changed on its way' },
      { path: 'dist/gone', uri: null, withheld: 'not collected' },
    ]);
    expect(Object.hasOwn(bench.result('a')?.artifacts[0] ?? {}, 'withheld')).toBe(false);
  });

  it('is found behind megabytes of stderr', async () => {
    const { result } = await resultOf({ stderr: `${'e'.repeat(1_500_000)}end` });
    expect(result.output?.stderr).toMatchObject({ bytes: 1_500_003, complete: true });
    expect(result.logs.endsWith('eend')).toBe(true);
  });
});
