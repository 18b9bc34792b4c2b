import type { Evaluation, Metrics } from './types.ts';

/** Enough for a driver's error with its image name; what is longer belongs into the engine's own pages. */
const MAX_WORDS = 400;

/** The engine's words as one short line. */
export function oneLine(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ').trim();
  return line.length <= MAX_WORDS ? line : `${line.slice(0, MAX_WORDS)}…`;
}

/** Why the scheduler has no place for it, from the newest evaluation that says so; null: it has not looked yet. */
export function placementReason(evaluations: readonly Evaluation[]): string | null {
  const newest = evaluations
    .filter(({ Status }) => Status === 'blocked' || Status === 'failed')
    .toSorted((one, two) => two.CreateIndex - one.CreateIndex)[0];
  if (newest === undefined) return null;
  const groups = Object.values(newest.FailedTGAllocs).flatMap((metrics) => reasons(metrics));
  if (groups.length > 0) return oneLine(groups.join('; '));
  return oneLine(newest.StatusDescription || `its evaluation is ${newest.Status}`);
}

/** `memory exhausted on 1 node`, `missing compatible host volumes on 2 nodes`. */
function reasons(metrics: Metrics): readonly string[] {
  const nodes = (counts: Readonly<Record<string, number>>, words: (name: string) => string) =>
    Object.entries(counts).map(([name, count]) => `${words(name)} on ${count} ${count === 1 ? 'node' : 'nodes'}`);
  const told = [
    ...nodes(metrics.DimensionExhausted, (dimension) => `${dimension} exhausted`),
    ...nodes(metrics.ConstraintFiltered, (constraint) =>
      constraint.startsWith('missing') ? constraint : `constraint not met: ${constraint}`,
    ),
    ...nodes(metrics.ClassExhausted, (name) => `node class ${name} exhausted`),
    ...nodes(metrics.ClassFiltered, (name) => `node class ${name} filtered`),
    ...metrics.QuotaExhausted.map((quota) => `quota exhausted: ${quota}`),
  ];
  if (told.length > 0) return told;
  const available = Object.values(metrics.NodesAvailable).reduce((sum, count) => sum + count, 0);
  return [available === 0 ? 'no node is available in the datacenters of the job' : 'no node has room for it'];
}
