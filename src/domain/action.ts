import { z } from 'zod';
import type { Problem } from '../errors.ts';
import {
  actionId,
  filledText,
  formulaName,
  type InputValue,
  inputName,
  inputValue,
  listOf,
  MAX_MINUTES,
  MAX_SECRETS,
  modelName,
  mountName,
  secretName,
  toolName,
  wholeNumber,
} from './fields.ts';
import { type ActionId, actionIdRule, isActionId } from './ids.ts';
import { type FileContext, fieldProblem, type Parsed, parsedFrom, problem, schemaProblems } from './problems.ts';
import { TIERS, type Tier } from './tier.ts';
import { readTomlFile } from './toml.ts';

/** `vault/actions/<id>.toml` (formats.md, Action). */
const ACTION_MAX_BYTES = 16 * 1024;

const date = 'must be a date-time with time zone, like 2026-04-01T08:00:00Z';
const moment = z.iso.datetime({ offset: true, error: date });

/** The file itself, as JSON Schema for editors: `z.toJSONSchema(actionSchema, { io: 'input' })`. */
export const actionSchema = z.strictObject({
  id: actionId.describe('The file name without .toml'),
  formula: formulaName.describe('What to run: a formula of the catalogue'),
  context: filledText.describe('Why, for the people who approve it'),
  secrets: listOf(secretName, 'secret names', MAX_SECRETS).describe('Names of the secrets that the run gets'),
  mounts: listOf(mountName, 'mount names', 16).default([]).describe('Within those of the formula'),
  model: modelName.optional().describe('For prompt formulas; within the models of the formula, if it names any'),
  tools: listOf(toolName, 'tool names', 64).default([]).describe('Within those of the formula'),
  timeout_minutes: wholeNumber(1, MAX_MINUTES).default(60).describe('The maximum of the formula wins'),
  blast_radius: z.enum(TIERS).optional().describe('May raise the tier, never lower it'),
  dispatch_mode: z.enum(['pr', 'direct']).optional().describe('Accepted for compatibility; changes nothing'),
  inputs: z.record(inputName, inputValue, { error: 'must be a table of inputs' }).default({}),
  depends_on: listOf(actionId, 'action ids', 64).default([]).describe('Starts when all of these have succeeded'),
  not_before: moment.optional().describe('Not started before'),
  expires_at: moment.optional().describe('Not started after; later than not_before'),
  priority: wholeNumber(1, 100).default(50).describe('Higher goes first'),
  retry: z
    .strictObject(
      {
        attempts: wholeNumber(1, 10).describe('Runs at most, the first one included'),
        on: listOf(z.enum(['failed']), 'outcomes', 1).min(1, { error: 'must name at least one outcome' }),
      },
      { error: 'must be a table like { attempts = 2, on = ["failed"] }' },
    )
    .optional()
    .describe('Only for formulas that are idempotent'),
});

/** What the file says, defaults applied; times are ISO 8601 in UTC. */
export interface Action {
  readonly id: ActionId;
  readonly formula: string;
  readonly context: string;
  readonly secrets: string[];
  readonly mounts: string[];
  readonly model: string | null;
  readonly tools: string[];
  readonly timeout_minutes: number;
  readonly blast_radius: Tier | null;
  readonly dispatch_mode: 'pr' | 'direct' | null;
  readonly inputs: Record<string, InputValue>;
  readonly depends_on: ActionId[];
  readonly not_before: string | null;
  readonly expires_at: string | null;
  readonly priority: number;
  readonly retry: { readonly attempts: number; readonly on: 'failed'[] } | null;
}

/** Bytes of an action file → the action, or every problem of it. Never throws. `path` is that within the repo. */
export function parseAction(bytes: Uint8Array, path: string): Parsed<Action> {
  const file = readTomlFile(bytes, path, { maxBytes: ACTION_MAX_BYTES, syntaxCode: 'ERR_ACTION_SYNTAX' });
  const found = [...nameProblems(path), ...file.problems];
  if (file.value === null) return parsedFrom<Action>(undefined, found);
  const context: FileContext = { path, locate: file.locate, fieldCode: 'ERR_ACTION_FIELD' };
  const fields = { ...file.value, ...timesAsText(file.value) };
  const problems = [...found, ...schemaProblems(actionSchema, fields, context), ...ruleProblems(fields, context)];
  const parsed = actionSchema.safeParse(fields);
  return parsedFrom(parsed.success ? toAction(parsed.data) : undefined, problems);
}

/** The file name without folders and `.toml`: the action's id, if it is one. */
export function stemOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1).replace(/\.toml$/, '');
}

/** Whether a path of actions_dir is meant to be an action: any `.toml` but a cancel request. */
export function isActionPath(path: string): boolean {
  return path.endsWith('.toml') && !path.endsWith('.cancel.toml');
}

/** The id that the result of a broken file gets: its stem. null: the stem is no id, so there can be no result. */
export function salvageId(path: string): ActionId | null {
  const stem = stemOf(path);
  return isActionPath(path) && isActionId(stem) ? stem : null;
}

function nameProblems(path: string): Problem[] {
  if (salvageId(path) !== null) return [];
  return [problem('ERR_FILE_NAME', path, `the file name is no action id (${actionIdRule}) with .toml`)];
}

/** TOML date-times as the schema knows them: ISO text in UTC. What is no usable date stays as it is, to be refused. */
function timesAsText(fields: Record<string, unknown>): Record<string, unknown> {
  const times = ['not_before', 'expires_at'].filter((key) => isUsableDate(fields[key]));
  return Object.fromEntries(times.map((key) => [key, (fields[key] as Date).toISOString()]));
}

const isUsableDate = (value: unknown) => value instanceof Date && !Number.isNaN(value.getTime());

/** Rules over several fields, asked also when some field is wrong, so that one look names everything. */
function ruleProblems(fields: Record<string, unknown>, context: FileContext): Problem[] {
  return [idProblem, selfProblem, windowProblem, modeProblem].flatMap((rule) => rule(fields, context) ?? []);
}

type Rule = (fields: Record<string, unknown>, context: FileContext) => Problem | undefined;

const idProblem: Rule = ({ id }, context) => {
  const stem = stemOf(context.path);
  if (typeof id !== 'string' || id === stem || !isActionId(stem)) return undefined;
  const hint = `Write id = "${stem}", or rename the file.`;
  return fieldProblem(context, ['id'], 'is not the file name without .toml', { code: 'ERR_ACTION_ID', hint });
};

const selfProblem: Rule = ({ id, depends_on }, context) => {
  const at = Array.isArray(depends_on) && typeof id === 'string' ? depends_on.indexOf(id) : -1;
  if (at < 0) return undefined;
  return fieldProblem(context, ['depends_on', at], 'is the action itself', { code: 'ERR_DEPENDENCY_CYCLE' });
};

const windowProblem: Rule = ({ not_before, expires_at }, context) => {
  const [from, until] = [not_before, expires_at].map((time) => moment.safeParse(time).data);
  if (from === undefined || until === undefined || Date.parse(from) < Date.parse(until)) return undefined;
  return fieldProblem(context, ['expires_at'], 'must be later than not_before');
};

const modeProblem: Rule = ({ dispatch_mode }, context) => {
  if (dispatch_mode !== 'direct') return undefined;
  const hint = 'Remove the field. Which approval an action needs is decided by its tier alone.';
  const details = { code: 'ERR_COMPATIBILITY', severity: 'warning', hint } as const;
  return fieldProblem(context, ['dispatch_mode'], 'is "direct", which lowers nothing', details);
};

function toAction(fields: z.output<typeof actionSchema>): Action {
  const { model = null, blast_radius = null, dispatch_mode = null, retry = null } = fields;
  const utc = (time: string | undefined) => (time === undefined ? null : new Date(time).toISOString());
  return {
    ...fields,
    id: fields.id as ActionId,
    depends_on: fields.depends_on as ActionId[],
    model,
    blast_radius,
    dispatch_mode,
    retry,
    not_before: utc(fields.not_before),
    expires_at: utc(fields.expires_at),
  };
}
