import { nearestName } from '../domain/problems.ts';
import type { SidecarRule } from '../domain/sidecar.ts';
import { CODES, EdgeError } from '../errors.ts';
import type { IssueTracker } from '../ports/issues.ts';
import { formulaOf, projectMissing } from '../story/sidecar/read-sidecar.ts';
import type { SidecarSettings } from '../story/sidecar/sidecars.ts';
import { bad, type Finding, failed, finding, good, warning } from './doctor-finding.ts';
import type { Observed } from './observe.ts';

/** Whether the issues can be read, by each tracker's own answer, and whether their labels are those of the rules. */
export async function trackerFindings(
  { rules, trackers }: SidecarSettings,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const found: Finding[] = [];
  for (const [repo, tracker] of trackers) {
    const own = rules.filter((rule) => rule.repo === repo);
    const name = `sidecar.${repo}`;
    const answers = await orFailed(name, async () => (await tracker.check(signal)).map(finding));
    found.push(...answers);
    if (answers.some(({ check }) => !check.ok)) continue;
    found.push(...(await orFailed(name, () => labelFindings(tracker, own, signal))));
  }
  return found;
}

/** A slip of the pen shows nowhere else: no issue ever matches. */
async function labelFindings(
  tracker: IssueTracker,
  rules: readonly SidecarRule[],
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const issues = await tracker.changedSince(null, signal);
  const there = [...new Set(issues.flatMap(({ labels }) => labels))];
  if (issues.length === 0) return [];
  return rules.flatMap(({ formula, labels }) =>
    labels
      .filter((label) => !there.includes(label))
      .map((label) => {
        const near = nearestName(label, there);
        const message = `no issue of ${tracker.repo} carries the label ${JSON.stringify(label)}`;
        // Labels come and go; only one that nearly is another is a slip of the pen.
        if (near === undefined) return good(`sidecar.${formula}`, `${message} just now`);
        const fix = `Did you mean ${JSON.stringify(near)}? Mend labels of the [[sidecar]].`;
        return warning(`sidecar.${formula}`, null, message, fix);
      }),
  );
}

/** Whether what each rule names is in force, and fit to run without anybody. */
export function ruleFindings(observed: Observed): readonly Finding[] {
  return (observed.sidecars?.rules ?? []).flatMap((rule) => ruleFinding(rule, observed));
}

/** Whether an action could find no slot for as long as a sidecar runs. */
export function slotFindings({ sidecars, settings }: Pick<Observed, 'sidecars' | 'settings'>): readonly Finding[] {
  const most = (sidecars?.rules ?? []).reduce((sum, { in_flight }) => sum + in_flight, 0);
  const { inFlight } = settings;
  if (most === 0 || most < inFlight) return [];
  const message = `sidecars may take ${most} slots, and [limits] in_flight is ${inFlight}: an action may have to wait for one to end`;
  return [warning('sidecar.slots', null, message, 'Raise [limits] in_flight, or lower in_flight of the [[sidecar]]s.')];
}

function ruleFinding(rule: SidecarRule, { world }: Observed): readonly Finding[] {
  const name = `sidecar.${rule.formula}`;
  const { inForce } = world();
  // Of the policy there is a line already, and without it nobody knows about the others.
  if (inForce.policy === null) return [];
  const formula = formulaOf(rule, world());
  const project = inForce.projects.get(rule.project_toml);
  const wrong = [
    ...('kind' in formula ? [formula.reason] : []),
    ...(project === undefined || project.problem !== null ? [projectMissing(rule, world()).reason] : []),
  ];
  if (wrong.length > 0) return wrong.map(({ code, message }) => bad(name, code, message, CODES[code].hint));
  return [good(name, `formula ${rule.formula} and project file ${rule.project_toml} are in force`)];
}

async function orFailed(name: string, work: () => Promise<readonly Finding[]>): Promise<readonly Finding[]> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof EdgeError) return [failed(name, error)];
    throw error;
  }
}
