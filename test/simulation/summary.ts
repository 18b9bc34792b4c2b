import type { SeedReport } from './simulate.ts';

/** What many seeds came to. */
export interface Summary {
  readonly seeds: number;
  readonly steps: number;
  readonly starts: number;
  readonly executions: number;
  readonly simulatedMs: number;
  readonly failures: readonly { readonly seed: number; readonly violations: readonly string[] }[];
  readonly outcomes: ReadonlyMap<string, number>;
  /** In how many worlds each of them happened. */
  readonly facts: ReadonlyMap<string, number>;
}

export const emptySummary = (): Summary => ({
  seeds: 0,
  steps: 0,
  starts: 0,
  executions: 0,
  simulatedMs: 0,
  failures: [],
  outcomes: new Map(),
  facts: new Map(),
});

export function withReport(sum: Summary, { seed, violations, facts, figures }: SeedReport): Summary {
  const outcomes = new Map(sum.outcomes);
  for (const [name, count] of Object.entries(figures.outcomes)) outcomes.set(name, (outcomes.get(name) ?? 0) + count);
  const seen = new Map(sum.facts);
  for (const name of facts) seen.set(name, (seen.get(name) ?? 0) + 1);
  return {
    seeds: sum.seeds + 1,
    steps: sum.steps + figures.steps,
    starts: sum.starts + figures.starts,
    executions: sum.executions + figures.executions,
    simulatedMs: sum.simulatedMs + figures.simulatedMs,
    failures: violations.length === 0 ? sum.failures : [...sum.failures, { seed, violations }],
    outcomes,
    facts: seen,
  };
}

export function summaryText(sum: Summary, seconds: number): string {
  const listed = (counts: ReadonlyMap<string, number>) =>
    [...counts]
      .toSorted((one, other) => other[1] - one[1])
      .map(([name, count]) => `${name} ${count}`)
      .join(', ');
  const results = [...sum.outcomes.values()].reduce((total, count) => total + count, 0);
  return [
    `seeds              ${sum.seeds}, broken: ${sum.failures.length}`,
    `simulated          ${Math.round(sum.simulatedMs / 3_600_000)} hours in ${Math.round(seconds)} s, ${sum.steps} steps`,
    `dispatchers        ${sum.starts} starts`,
    `commands executed  ${sum.executions}`,
    `results recorded   ${results}: ${listed(sum.outcomes)}`,
    `what befell        ${listed(sum.facts)}`,
  ].join('\n');
}
