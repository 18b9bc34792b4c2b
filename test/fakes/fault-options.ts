import { inject } from 'vitest';

/**
 * What a run of the fault tests may be told: `EDGE_FAULTS_SEED=42 EDGE_FAULTS_KILLS=500 npx vitest run --project faults
 * test/faults/kill.faults.ts`. The seed is printed by whatever uses it, so that what failed can be asked for again.
 */
export function faultOption(name: 'SEED' | 'KILLS', otherwise: number): number {
  const given = inject('realServices')[`EDGE_FAULTS_${name}`];
  const value = Number(given ?? otherwise);
  if (!Number.isInteger(value) || value < 0) throw new Error(`EDGE_FAULTS_${name} is no whole number`);
  return value;
}
