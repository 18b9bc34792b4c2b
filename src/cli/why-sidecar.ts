import { UsageError } from '../errors.ts';
import { type Explained, explainBegun } from './explain-action.ts';
import type { Observed } from './observe.ts';
import { type SidecarTarget, sidecarRun, sidecarTarget } from './sidecar-target.ts';
import { type ExplainedIssue, explainIssue } from './why-issue.ts';

/**
 * `sidecar/<formula>-<issue>`: its live run, or what holds for the issue now; with `-<n>` that run. Throws UsageError
 * (ERR_NOT_FOUND) for what there is not.
 */
export function explainSidecar(
  given: string,
  observed: Observed,
  signal: AbortSignal,
): Promise<Explained | ExplainedIssue> {
  return explainTarget(sidecarTarget(given, observed), observed, signal);
}

/** `owner/name#<issue>`, by every rule of the repository. Throws UsageError (ERR_NOT_FOUND) where there is none. */
export async function explainForAllRules(given: string, observed: Observed, signal: AbortSignal) {
  const [, repo = '', number = ''] = /^([^#]+)#([1-9]\d{0,8})$/.exec(given) ?? [];
  const rules = observed.sidecars?.rules ?? [];
  const own = rules.filter((rule) => rule.repo.toLowerCase() === repo.toLowerCase());
  if (own.length === 0) {
    const repos = [...new Set(rules.map((rule) => rule.repo))].join(', ');
    const message = `no [[sidecar]] is about ${JSON.stringify(given)}; their repositories are: ${repos || 'none'}`;
    throw new UsageError('ERR_NOT_FOUND', message, { hint: 'An issue is <owner>/<name>#<number>.' });
  }
  const explained: (Explained | ExplainedIssue)[] = [];
  for (const rule of own) {
    const target = { formula: rule.formula, issue: Number(number), n: null, rule };
    explained.push(await explainTarget(target, observed, signal));
  }
  return explained;
}

async function explainTarget(
  target: SidecarTarget,
  observed: Observed,
  signal: AbortSignal,
): Promise<Explained | ExplainedIssue> {
  const { formula, issue, n, rule } = target;
  const run = await sidecarRun(target, observed);
  // Where no run is named, it is the issue that is asked about; without a rule nothing else is known than its runs.
  const isRun = run.state === 'live' || (run.state === 'recorded' && (n !== null || rule === null));
  const begun = isRun ? await explainBegun(run.id, observed, signal) : null;
  if (begun !== null) return begun;
  if (rule !== null) return explainIssue(rule, issue, observed, signal);
  throw new UsageError('ERR_NOT_FOUND', `no [[sidecar]] has the formula ${JSON.stringify(formula)} any more`);
}
