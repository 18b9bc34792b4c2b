import { toml } from '../fakes/story-bench.ts';
import type { Chance } from './chance.ts';
import type { Behaviour } from './nomad.ts';

export type FormulaName = 'tidy' | 'solo' | 'again' | 'reviewed' | 'secret';

/** What one action is, what its runs do, and what people do about it. Times in simulated milliseconds. */
export interface ActionPlan {
  readonly id: string;
  readonly formula: FormulaName;
  readonly committedAt: number;
  readonly author: string;
  readonly secrets: readonly string[];
  readonly timeoutMinutes: number;
  /** Of attempt 1, 2, … */
  readonly behaviours: readonly Behaviour[];
  /** When an approver says yes; null: never. Only for `reviewed`. */
  readonly approvedAt: number | null;
  readonly isRejected: boolean;
  readonly cancelledAt: number | null;
}

export const ATTEMPTS = 3;

export const FORMULAS: Readonly<Record<FormulaName, Readonly<Record<string, unknown>>>> = {
  tidy: {},
  solo: { concurrency: 'solo' },
  again: { idempotent: true },
  reviewed: { tier: 'medium' },
  secret: { secrets: ['RELEASE_TOKEN', 'NOT_THERE'] },
};

export const SECRETS = new Set(['RELEASE_TOKEN']);

export function formulaText(name: FormulaName): string {
  return toml({
    name,
    description: 'Tidies up',
    command: ['true'],
    tier: 'low',
    timeout_minutes: 10,
    ...FORMULAS[name],
  });
}

export const POLICY = `[tiers]\n${(Object.keys(FORMULAS) as FormulaName[])
  .map((name) => `${name} = "${name === 'reviewed' ? 'medium' : 'low'}"\n`)
  .join('')}`;

export function actionText({ id, formula, secrets, timeoutMinutes }: ActionPlan): string {
  const retry = formula === 'again' ? { retry: { attempts: ATTEMPTS, on: ['failed'] } } : {};
  return toml({ id, formula, context: 'it is time', secrets, timeout_minutes: timeoutMinutes, ...retry });
}

export const actionPath = (id: string) => `vault/actions/${id}.toml`;
export const resultPath = (id: string) => `vault/actions/${id}.result.json`;

export function planActions(chance: Chance, until: number): readonly ActionPlan[] {
  const count = chance.between(1, 6);
  return Array.from({ length: count }, (_, at) => planAction(chance, `a-${at + 1}`, until));
}

function planAction(chance: Chance, id: string, until: number): ActionPlan {
  const formula = chance.pick(['tidy', 'tidy', 'solo', 'solo', 'again', 'reviewed', 'secret'] as const);
  const committedAt = chance.between(0, until / 2);
  const isReviewed = formula === 'reviewed';
  return {
    id,
    formula,
    committedAt,
    author: chance.pick(['ada', 'ben']),
    secrets:
      formula === 'secret' ? [chance.pick(['RELEASE_TOKEN', 'RELEASE_TOKEN', 'RELEASE_TOKEN', 'NOT_THERE'])] : [],
    timeoutMinutes: chance.pick([1, 1, 2]),
    behaviours: Array.from({ length: ATTEMPTS + 1 }, () => planBehaviour(chance)),
    approvedAt: isReviewed && chance.happens(0.8) ? committedAt + chance.between(0, until / 2) : null,
    isRejected: isReviewed && chance.happens(0.1),
    cancelledAt: chance.happens(0.15) ? committedAt + chance.between(0, until / 2) : null,
  };
}

function planBehaviour(chance: Chance): Behaviour {
  return {
    queuedMs: chance.happens(0.2) ? chance.between(1_000, 90_000) : 0,
    isNeverPlaced: chance.happens(0.06),
    startMs: chance.happens(0.1) ? chance.between(10_000, 150_000) : chance.between(50, 2_000),
    runMs: chance.happens(0.1) ? chance.between(50_000, 300_000) : chance.between(10, 40_000),
    exitCode: chance.happens(0.3) ? chance.between(1, 3) : 0,
    stopMs: chance.happens(0.2) ? chance.between(1_000, 30_000) : 20,
    isStoreAway: chance.happens(0.03),
  };
}
