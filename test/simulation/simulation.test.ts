import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { MUTANTS } from './mutants.ts';
import { simulate } from './simulate.ts';

const SEEDS = 100;
const PARTS = 4;

describe('in a simulated world', () => {
  it.each(Array.from({ length: PARTS }, (_, part) => [part]))(
    'nothing runs twice, nothing is lost and nothing untrue is recorded, whatever befalls it: part %i (R4, R8, R9, R11, R19, R20, E2, E8)',
    async (part) => {
      const broken: string[] = [];
      for (let seed = 1 + part; seed <= SEEDS; seed += PARTS) {
        const { violations } = await simulate(seed);
        for (const violation of violations) broken.push(`npm run simulate -- --seed ${seed}: ${violation}`);
      }
      expect(broken).toEqual([]);
    },
  );

  it('the same seed is the same world, step by step', async () => {
    const [once, again] = [await simulate(4711, { traces: true }), await simulate(4711, { traces: true })];
    expect(once.trace.length).toBeGreaterThan(100);
    expect(again).toEqual(once);
  });

  it.each(MUTANTS.map((mutant) => [mutant.name, mutant] as const))(
    'the planted mistake still fits the program: %s',
    async (_, { file, find, replace }) => {
      expect((await readFile(file, 'utf8')).split(find)).toHaveLength(2);
      expect(replace).not.toBe(find);
    },
  );
});
