import type { Code, Problem } from '../errors.ts';
import type { Action } from './action.ts';
import type { Formula } from './formula.ts';
import type { ActionId } from './ids.ts';
import { checkInputs } from './inputs.ts';
import { fieldName, nearestName, problem } from './problems.ts';

/** An action against its formula, and against the other actions. Pure. */

/**
 * What the action asks for and its formula does not allow: `ERR_SECRET_NOT_ALLOWED`, `ERR_MOUNT_NOT_ALLOWED`,
 * `ERR_TOOL_NOT_ALLOWED`, `ERR_MODEL_NOT_ALLOWED`, `ERR_RETRY_NOT_ALLOWED`, `ERR_INPUT`. `path` is the action's.
 */
export function checkAgainstFormula(action: Action, formula: Formula, path: string): readonly Problem[] {
  const within = (kind: Kind, asked: readonly string[], allowed: readonly string[]) => {
    const outside = asked.filter((name) => !allowed.includes(name));
    return outside.map((name) => notAllowed(kind, name, { allowed, formula, path }));
  };
  const models = action.model === null || formula.models.length === 0 ? [] : [action.model];
  const retry = action.retry !== null && !formula.idempotent;
  return [
    ...within('secret', action.secrets, formula.secrets),
    ...within('mount', action.mounts, formula.mounts),
    ...within('tool', action.tools, formula.tools),
    ...within('model', models, formula.models),
    ...(retry ? [problem('ERR_RETRY_NOT_ALLOWED', path, `formula ${formula.name} is not idempotent`)] : []),
    ...checkInputs(formula.inputs, action.inputs, path).problems,
  ];
}

type Kind = 'secret' | 'mount' | 'tool' | 'model';

const NOT_ALLOWED: Record<Kind, Code> = {
  secret: 'ERR_SECRET_NOT_ALLOWED',
  mount: 'ERR_MOUNT_NOT_ALLOWED',
  tool: 'ERR_TOOL_NOT_ALLOWED',
  model: 'ERR_MODEL_NOT_ALLOWED',
};

interface Limits {
  readonly allowed: readonly string[];
  readonly formula: Formula;
  readonly path: string;
}

function notAllowed(kind: Kind, name: string, { allowed, formula, path }: Limits): Problem {
  const nearest = nearestName(name, allowed);
  const list = allowed.length === 0 ? `it allows no ${kind}` : `it allows ${allowed.join(', ')}`;
  const hint = nearest === undefined ? `Ask for less, or add it to the formula: ${list}.` : `Did you mean ${nearest}?`;
  return problem(NOT_ALLOWED[kind], path, `formula ${formula.name} does not allow the ${kind} ${fieldName([name])}`, {
    hint,
  });
}

/** How long the command may run: what the action asks for, at most what the formula allows. */
export function effectiveTimeoutSeconds(
  action: Pick<Action, 'timeout_minutes'>,
  formula: Pick<Formula, 'timeout_minutes'>,
): number {
  return Math.min(action.timeout_minutes, formula.timeout_minutes) * 60;
}

/**
 * The actions that close a circle of `depends_on`: of each circle the one that was committed last, with the circle that
 * begins at it. `actions`: id → what it depends on; ids that are not in there are no part of a circle. `committed`: all
 * ids, oldest first.
 */
export function dependencyCycle(
  actions: ReadonlyMap<ActionId, readonly ActionId[]>,
  committed: readonly ActionId[],
): ReadonlyMap<ActionId, readonly ActionId[]> {
  const closing = new Map<ActionId, readonly ActionId[]>();
  const older = new Set<ActionId>();
  const awaited = new Set<ActionId>();
  for (const id of committed) {
    older.add(id);
    for (const dependency of actions.get(id) ?? []) awaited.add(dependency);
    // Only what something as old waits for can close a circle: most actions are never looked at further.
    const circle = awaited.has(id) ? wayBack(id, actions, older) : null;
    if (circle !== null) closing.set(id, circle);
  }
  return closing;
}

/** The way from `id` over ids that are `known` back to it, without the return; null when there is none. */
function wayBack(
  id: ActionId,
  actions: ReadonlyMap<ActionId, readonly ActionId[]>,
  known: ReadonlySet<ActionId>,
): readonly ActionId[] | null {
  const cameFrom = new Map<ActionId, ActionId>();
  const open = [id];
  for (let here = open.shift(); here !== undefined; here = open.shift()) {
    for (const next of actions.get(here) ?? []) {
      if (next === id) return trace(here, cameFrom);
      if (!known.has(next) || cameFrom.has(next)) continue;
      cameFrom.set(next, here);
      open.push(next);
    }
  }
  return null;
}

function trace(end: ActionId, cameFrom: ReadonlyMap<ActionId, ActionId>): readonly ActionId[] {
  const way = [end];
  for (let here = cameFrom.get(end); here !== undefined; here = cameFrom.get(here)) way.unshift(here);
  return way;
}
