import { describe, expect, it } from 'vitest';
import { encodeResult, type Result } from '../../../src/domain/result.ts';
import { publishResult } from '../../../src/story/record-result.ts';
import { StoryBench } from '../../fakes/story-bench.ts';

const PATH = 'vault/actions/a.result.json';

async function setUp() {
  const bench = new StoryBench();
  bench.addAction('a');
  await bench.once();
  const result = bench.result('a');
  if (result === null) throw new Error('no result');
  bench.repo.commitFiles({ [PATH]: null });
  return { bench, result, context: await bench.process().context() };
}

const later = (result: Result): Result => ({ ...result, times: { ...result.times, recorded: '2030-01-01T00:00:00Z' } });

describe('publishResult', () => {
  it('lands beside the action, under a subject that says how it ended', async () => {
    const { bench, result, context } = await setUp();
    expect(await publishResult(result, context)).toEqual({ kind: 'recorded', result });
    expect(bench.repo.textAt(PATH)).toBe(encodeResult(result).toString('utf8'));
    expect(bench.repo.subjects.at(-1)).toBe('a: succeeded');
    await publishResult(
      { ...result, id: 'b', outcome: 'failed', exit_code: 3, action: { ...result.action, path: 'x/b.toml' } },
      context,
    );
    expect(bench.repo.subjects.at(-1)).toBe('b: failed (3)');
  });

  it('has landed when the same bytes are there already (R11)', async () => {
    const { bench, result, context } = await setUp();
    bench.repo.commitFiles({ [PATH]: encodeResult(result) });
    expect(await publishResult(result, context)).toEqual({ kind: 'recorded', result });
    expect(bench.repo.subjects.at(-1)).toBe('change');
  });

  it('keeps the one that an earlier crash left of the same attempt (R11)', async () => {
    const { bench, result, context } = await setUp();
    bench.repo.commitFiles({ [PATH]: encodeResult(result) });
    expect(await publishResult(later(result), context)).toEqual({ kind: 'recorded', result });
  });

  it('keeps the refusal that is there already', async () => {
    const { bench, result, context } = await setUp();
    const refused = { ...result, outcome: 'refused' as const, exit_code: 64, attempt: null };
    bench.repo.commitFiles({ [PATH]: encodeResult(refused) });
    expect(await publishResult(later(refused), context)).toEqual({ kind: 'recorded', result: refused });
    expect(await publishResult({ ...refused, outcome: 'invalid' }, context)).toMatchObject({ kind: 'conflict' });
    expect(await publishResult(result, context)).toMatchObject({ kind: 'conflict' });
  });

  it.each([
    [
      'another attempt',
      (result: Result) =>
        encodeResult({ ...result, attempt: { number: 1, token: 'x', dispatcher: 'edge-2', executions: 1 } }),
    ],
    [
      'other bytes of the action',
      (result: Result) => encodeResult({ ...result, action: { ...result.action, blob: 'x' } }),
    ],
    ['no result at all', () => Buffer.from('{"outcome":"succeeded"}')],
    ['no JSON', () => Buffer.from('done')],
    ['more than can be read', () => Buffer.alloc((1 << 20) + 1)],
  ])('never overwrites a result of %s (R11)', async (_, foreign) => {
    const { bench, result, context } = await setUp();
    const content = foreign(result);
    bench.repo.commitFiles({ [PATH]: content });
    const ending = await publishResult(result, context);
    expect(ending).toMatchObject({ kind: 'conflict', reason: { code: 'ERR_RESULT_CONFLICT' } });
    expect(bench.repo.textAt(PATH)).toBe(content.toString('utf8'));
  });

  it('names whose result it is', async () => {
    const { bench, result, context } = await setUp();
    const attempt = { number: 1, token: 'x', dispatcher: 'edge-2', executions: 1 };
    bench.repo.commitFiles({ [PATH]: encodeResult({ ...result, attempt }) });
    const ending = await publishResult(result, context);
    expect(ending.kind === 'conflict' && ending.reason.message).toBe(
      `${PATH} holds another result, of edge-2; ours is succeeded`,
    );
  });
});
