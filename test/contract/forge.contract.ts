import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ForgeFactory } from '../../src/adapters/factory.ts';
import type { Kind, OpenStage } from '../fakes/forge-stage.ts';
import { type Judged, judgeHistories, saidOf } from '../fakes/forge-stage-judge.ts';
import type { History } from '../fakes/forge-stage-play.ts';
import { forgePortContract } from './forge-port.contract.ts';

const FILE = path.join(import.meta.dirname, '../fixtures/review-histories/histories.json');
const HISTORIES = JSON.parse(readFileSync(FILE, 'utf8')) as readonly History[];

interface ForgeUnderTest {
  readonly kind: Kind;
  readonly factory: ForgeFactory;
}

interface Times {
  /** To make everything, and for each of the other cases, in milliseconds. */
  readonly making: number;
  readonly each: number;
}

/** What the rules make of every history on one stage, and the cases that every implementation of ports/forge.ts passes. */
export function forgeContract(
  name: string,
  open: () => Promise<OpenStage>,
  forges: readonly ForgeUnderTest[],
  { making, each }: Times = { making: 60_000, each: 30_000 },
): void {
  describe(`forges, over ${name}`, () => {
    let opened: OpenStage;
    let judged: ReadonlyMap<Kind, ReadonlyMap<string, Judged>>;

    beforeAll(async () => {
      opened = await open();
      judged = await judgeHistories(opened, forges, HISTORIES);
    }, making);

    afterAll(() => opened.close(), making);

    describe.each(forges)('$kind', ({ kind, factory }) => {
      const own = HISTORIES.filter(({ not = [] }) => !not.includes(kind));

      it('is asked about at least forty histories, each of a name of its own', () => {
        expect(own.length).toBeGreaterThanOrEqual(40);
        expect(new Set(own.map((history) => history.name)).size).toBe(own.length);
      });

      it.each(own.map((history) => [history.name, history.about, history] as const))(
        '%s: %s (R1, R2, R3)',
        (_name, _about, history) => {
          const { said, why } = judged.get(kind)?.get(history.name) ?? { said: 'not judged', why: '' };
          const steps = history.steps.map((step) => `  ${JSON.stringify(step)}`).join('\n');
          const lost = opened.stage.losesRaces && history.lost !== undefined ? [saidOf(history.lost)] : [];
          expect([saidOf(history.expected), ...lost], `${history.name}\n${steps}\n${why}\n`).toContain(said);
        },
      );

      forgePortContract({ kind, factory, opened: () => opened, timeout: each });
    });
  });
}
