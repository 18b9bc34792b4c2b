import { z } from 'zod';
import type { Problem } from '../errors.ts';
import { filledText } from './fields.ts';
import { type ActionId, actionIdRule, isActionId } from './ids.ts';
import { type FileContext, type Parsed, parsedFrom, problem, schemaProblems } from './problems.ts';
import { readTomlFile } from './toml.ts';

/** `vault/actions/<id>.cancel.toml` (formats.md, Cancel request): the wish to stop an action, committed like one. */
const CANCEL_MAX_BYTES = 4 * 1024;
const CANCEL = '.cancel.toml';

/** The file itself, as JSON Schema for editors: `z.toJSONSchema(cancelSchema, { io: 'input' })`. */
export const cancelSchema = z.strictObject({
  reason: filledText.describe('Why it is to be stopped; it becomes the message of the result'),
});

export type Cancel = z.output<typeof cancelSchema>;

/** Bytes of a cancel request → what it says, or every problem of it. Never throws. `path` is that within the repo. */
export function parseCancel(bytes: Uint8Array, path: string): Parsed<Cancel> {
  const file = readTomlFile(bytes, path, { maxBytes: CANCEL_MAX_BYTES, syntaxCode: 'ERR_CANCEL_INVALID' });
  const found = [...nameProblems(path), ...file.problems];
  if (file.value === null) return parsedFrom<Cancel>(undefined, found);
  const context: FileContext = { path, locate: file.locate, fieldCode: 'ERR_CANCEL_INVALID' };
  const problems = [...found, ...schemaProblems(cancelSchema, file.value, context)];
  return parsedFrom(cancelSchema.safeParse(file.value).data, problems);
}

/** Whether a path of actions_dir is meant to be a cancel request. */
export function isCancelPath(path: string): boolean {
  return path.endsWith(CANCEL);
}

/** The path of the cancel request that belongs beside an action file. */
export function cancelPath(actionPath: string): string {
  return `${actionPath.replace(/\.toml$/, '')}${CANCEL}`;
}

/** The action that a cancel request is of; null: what it names is no id. */
export function cancelledId(path: string): ActionId | null {
  const stem = path.slice(path.lastIndexOf('/') + 1, -CANCEL.length);
  return isCancelPath(path) && isActionId(stem) ? stem : null;
}

function nameProblems(path: string): Problem[] {
  if (cancelledId(path) !== null) return [];
  const message = `the file name is no action id (${actionIdRule}) with ${CANCEL}`;
  return [problem('ERR_CANCEL_INVALID', path, message, { hint: `Name it after the action: <id>${CANCEL}.` })];
}
