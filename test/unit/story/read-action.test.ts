import { describe, expect, it } from 'vitest';
import { judgeAction } from '../../../src/story/run-action.ts';
import type { Candidate } from '../../../src/story/world.ts';
import { StoryBench } from '../../fakes/story-bench.ts';

/** What becomes of one action beside its formula. */
async function endOf(fields: Record<string, unknown>, formula: Record<string, unknown> = {}) {
  const bench = new StoryBench();
  bench.access.secrets.set('TOKEN', 'present');
  bench.addFormula('tidy', formula);
  bench.addAction('a', fields);
  const { report } = await bench.once();
  const result = bench.result('a');
  return { bench, result, told: result?.reason?.code ?? report.waiting[0]?.reason.code ?? result?.outcome };
}

describe('what an action asks for', () => {
  it.each([
    ['a secret', { secrets: ['OTHER'] }, {}, 'ERR_SECRET_NOT_ALLOWED'],
    ['a mount', { mounts: ['ssh'] }, {}, 'ERR_MOUNT_NOT_ALLOWED'],
    ['a tool', { tools: ['x'] }, {}, 'ERR_TOOL_NOT_ALLOWED'],
    ['a model', { model: 'y' }, { models: ['x'] }, 'ERR_MODEL_NOT_ALLOWED'],
  ])('is refused beyond its formula: %s', async (_, fields, formula, code) => {
    const { bench, result } = await endOf(fields, formula);
    expect(result).toMatchObject({ outcome: 'refused', exit_code: 64, reason: { code } });
    expect([bench.access.wrappers.size, bench.engine.known]).toEqual([0, 0]);
  });

  it.each([
    ['an unknown formula', { formula: 'nothing' }, 'ERR_FORMULA_UNKNOWN'],
    ['an unknown input', { inputs: { x: 1 } }, 'ERR_INPUT'],
    ['a retry of what is not idempotent', { retry: { attempts: 2, on: ['failed'] } }, 'ERR_RETRY_NOT_ALLOWED'],
    ['a field of another type', { secrets: 'TOKEN' }, 'ERR_ACTION_FIELD'],
    ['another id', { id: 'b' }, 'ERR_ACTION_ID'],
    ['a field that nobody knows', { secert: [] }, 'ERR_UNKNOWN_FIELD'],
  ])('is invalid with %s (S1.5)', async (_, fields, code) => {
    const { bench, result, told } = await endOf(fields);
    expect(result).toMatchObject({ outcome: 'invalid', exit_code: 64 });
    expect(told).toBe(code);
    expect([bench.access.wrappers.size, bench.journal.state.ended.size]).toEqual([0, 0]);
  });

  it('stays invalid, also where it is not allowed either', async () => {
    const { result } = await endOf({ secrets: ['OTHER'], inputs: { x: 1 } });
    expect(result).toMatchObject({ outcome: 'invalid', reason: { code: 'ERR_INPUT' } });
  });

  it('says how many more things are wrong', async () => {
    const { result } = await endOf({ secrets: 1, tools: 1, mounts: 1 });
    expect(result?.reason?.message).toMatch(/ \(and 2 more\)$/);
  });

  it.each(['symlink', 'submodule', 'tree'] as const)('is invalid as a %s', async (kind) => {
    const bench = new StoryBench();
    bench.repo.commitFiles({ 'vault/actions/a.toml': { kind } });
    await bench.once();
    expect(bench.result('a')).toMatchObject({ outcome: 'invalid', reason: { code: 'ERR_FILE_KIND' } });
  });

  it('runs for the time it asks for, at most that of its formula', async () => {
    const { bench } = await endOf({ timeout_minutes: 300 }, { timeout_minutes: 2 });
    expect(bench.result('a')?.outcome).toBe('succeeded');
    const [wrapper] = [...bench.access.wrappers.values()];
    expect(wrapper?.request.wrapSeconds).toBe(720);
  });
});

describe('a formula that is not in force', () => {
  it('is waited for while there is no policy', async () => {
    const bench = new StoryBench();
    bench.repo.commitFiles({ 'vault/policy.toml': null });
    bench.addAction('a');
    const { report } = await bench.once();
    expect(report.waiting).toMatchObject([{ id: 'a', reason: { code: 'ERR_POLICY_MISSING' } }]);
  });

  it('is waited for while its file can’t be read, and runs when it is mended', async () => {
    const bench = new StoryBench();
    bench.repo.commitFiles({ 'vault/formulas/other.toml': 'name = ' });
    bench.addAction('a', { formula: 'other' });
    const { report } = await bench.once();
    expect(report.waiting).toMatchObject([{ id: 'a', reason: { code: 'ERR_FORMULA_INVALID' } }]);
    bench.addFormula('other');
    await bench.once();
    expect(bench.result('a')?.outcome).toBe('succeeded');
  });

  it('gives no result to a name that is no id, and says so once', async () => {
    const bench = new StoryBench();
    bench.repo.commitFiles({ 'vault/actions/Bad Name.toml': 'id = "x"' });
    const { report, log } = await bench.once();
    expect(report).toEqual({ results: [], waiting: [], unreachable: [] });
    expect(log.filter(({ fields }) => fields['code'] === 'ERR_FILE_NAME')).toHaveLength(1);
  });
});

describe('an action that asks for more than the formula in force gives', () => {
  const reason = { code: 'ERR_FORMULA_UNAPPROVED', message: 'not approved' } as const;

  it.each([
    ['waits while a newer version of that formula is not in force yet', 'tidy', 'ERR_FORMULA_UNAPPROVED'],
    ['is refused when only another formula is pending', 'other', 'ERR_SECRET_NOT_ALLOWED'],
  ])('%s (R22)', async (_, pending, code) => {
    const bench = new StoryBench();
    bench.addFormula('tidy');
    bench.addAction('a', { secrets: ['TOKEN'] });
    const context = await bench.process().context();
    const world = context.world();
    const [candidate] = world.candidates.values();
    const { oid: blob } = candidate?.file.entry ?? { oid: world.tips.tip };
    const edit = { path: `vault/formulas/${pending}.toml`, blob, commit: world.tips.tip, reason };
    const changed = { ...world, inForce: { ...world.inForce, pending: [edit] } };
    const verdict = await judgeAction(candidate as Candidate, { ...context, world: () => changed });
    expect(verdict).toMatchObject({ reason: { code } });
  });
});
