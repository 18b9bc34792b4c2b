import { distance } from 'fastest-levenshtein';
import { z } from 'zod';
import { CODES, type Code, type Problem } from '../errors.ts';

/** What is wrong with a file, each with place and hint. No message quotes a value: it might be a pasted secret. */

/** A value with what a person should know of it, or every problem of it (errors first, at least one). */
export type Parsed<T> =
  | { readonly ok: true; readonly value: T; readonly warnings: readonly Problem[] }
  | { readonly ok: false; readonly problems: readonly Problem[] };

export interface Place {
  /** Both from 1; a column counts UTF-16 units. */
  readonly line: number;
  readonly column: number;
}

export type KeyPath = readonly (string | number)[];

/** The file that is being judged. */
export interface FileContext {
  readonly path: string;
  /** Where the key is written; undefined where that is not known. */
  readonly locate: (key: KeyPath) => Place | undefined;
  /** Code of a field with a wrong value. */
  readonly fieldCode: Code;
  /** Code of a field that nobody knows. */
  readonly unknownCode?: Code;
}

export interface ProblemDetails {
  readonly severity?: Problem['severity'];
  readonly hint?: string;
  readonly place?: Place | undefined;
}

export function problem(code: Code, path: string, message: string, details: ProblemDetails = {}): Problem {
  const { severity = 'error', hint = CODES[code].hint, place } = details;
  return { code, path, message, severity, ...place, hint };
}

/** A problem of the field at `key`; where it is not written, the place is that of what it belongs to. */
export function fieldProblem(
  context: FileContext,
  key: KeyPath,
  rule: string,
  details: ProblemDetails & { readonly code?: Code } = {},
): Problem {
  const place = context.locate(key) ?? context.locate(key.slice(0, -1));
  return problem(details.code ?? context.fieldCode, context.path, `${fieldName(key)} ${rule}`, { place, ...details });
}

/** The value when nothing is wrong (warnings aside), else every problem, errors first and each once. */
export function parsedFrom<T>(value: T | undefined, problems: readonly Problem[]): Parsed<T> {
  const warnings = problems.filter(({ severity }) => severity === 'warning');
  const errors = problems.filter(({ severity }) => severity === 'error');
  if (errors.length === 0 && value !== undefined) return { ok: true, value, warnings };
  return { ok: false, problems: [...inOrder(errors), ...inOrder(warnings)] };
}

function inOrder(problems: readonly Problem[]): Problem[] {
  const once = new Map(problems.map((each) => [JSON.stringify([each.code, each.line, each.message]), each]));
  return [...once.values()].toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0));
}

/**
 * The issues that `schema` has with `value`, in our words. A schema's own messages are taken where they begin with
 * "must" or "may": "must be a whole number from 1 to 100".
 */
export function schemaProblems(schema: z.ZodType, value: unknown, context: FileContext): Problem[] {
  const parsed = schema.safeParse(value);
  if (parsed.success) return [];
  return parsed.error.issues.flatMap((issue) => issueProblems(issue, { schema, value, context }));
}

interface Judged {
  readonly schema: z.ZodType;
  readonly value: unknown;
  readonly context: FileContext;
}

function issueProblems(issue: z.core.$ZodIssue, judged: Judged): Problem[] {
  const key = keyPath(issue.path);
  const { context } = judged;
  if (issue.code === 'unrecognized_keys') {
    const known = knownFields(judged.schema, key);
    return issue.keys.map((name) => unknownField(context, [...key, name], known));
  }
  const value = valueAt(judged.value, key);
  if (value === undefined) return [fieldProblem(context, key, 'is missing', { hint: missingHint(issue) })];
  const rule = ruleOf(issue);
  const found = issue.code === 'invalid_key' || issue.code === 'custom' ? '' : `; it is ${describe(value)}`;
  return [fieldProblem(context, key, `${rule}${found}`)];
}

function ruleOf(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_key' && issue.issues[0] !== undefined) return ruleOf(issue.issues[0]);
  if (/^(?:must|may) /.test(issue.message)) return issue.message;
  return `must be ${expected(issue)}`;
}

function expected(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_value') return `one of ${issue.values.map(String).join(', ')}`;
  if (issue.code === 'invalid_type') return TYPE_NAMES[issue.expected] ?? 'of another type';
  return 'of the form that the format asks for';
}

const TYPE_NAMES: Partial<Record<string, string>> = {
  string: 'a text in quotes',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a table',
  record: 'a table',
};

function missingHint(issue: z.core.$ZodIssue): string {
  const rule = /^must be (?<form>.*)$/s.exec(ruleOf(issue))?.groups?.['form'];
  return rule === undefined ? 'Add the field.' : `Add the field: ${rule}.`;
}

function unknownField(context: FileContext, key: KeyPath, known: readonly string[]): Problem {
  const nearest = nearestName(String(key.at(-1)), known);
  const hint = nearest === undefined ? `Known here: ${known.join(', ')}.` : `Did you mean ${nearest}?`;
  const code = context.unknownCode ?? 'ERR_UNKNOWN_FIELD';
  return fieldProblem(context, key, 'is no field that is known here', { code, ...(known.length > 0 && { hint }) });
}

/** The known name that a person most likely meant; undefined when none is near. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const near = known
    .map((candidate) => ({ candidate, far: farness(plainName(name), plainName(candidate)) }))
    .filter(({ candidate, far }) => far <= (candidate.length < 4 ? 1 : Math.max(2, Math.floor(candidate.length / 3))));
  return near.toSorted((a, b) => a.far - b.far)[0]?.candidate;
}

const plainName = (text: string) => text.toLowerCase().replaceAll(/[-_ ]/g, '');

/** How many letters apart; a name that was only not written to its end (`timeout`) is near. */
function farness(name: string, candidate: string): number {
  return name.length >= 4 && candidate.startsWith(name) ? 1 : distance(name, candidate);
}

/** The fields of the table that `schema` has at `key`. */
function knownFields(schema: z.core.$ZodType, key: KeyPath): readonly string[] {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodNullable) {
    return knownFields(schema.unwrap(), key);
  }
  const [first, ...rest] = key;
  if (schema instanceof z.ZodObject) {
    if (first === undefined) return Object.keys(schema.shape);
    const inner: unknown = (schema.shape as Record<string, unknown>)[String(first)];
    return inner instanceof z.ZodType ? knownFields(inner, rest) : [];
  }
  if (schema instanceof z.ZodArray) return knownFields(schema.element, rest);
  if (schema instanceof z.ZodRecord) return knownFields(schema.valueType, rest);
  return [];
}

/** What a value is, without saying it; a number of a few digits holds no secret. */
export function describe(value: unknown): string {
  if (value === '') return 'an empty text';
  if (typeof value === 'string') return `a text of ${value.length} character${value.length === 1 ? '' : 's'}`;
  if (typeof value === 'bigint') return 'a number too large to be exact';
  if (typeof value === 'number') return describeNumber(value);
  if (typeof value === 'boolean') return 'a boolean';
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (!(value instanceof Date)) return 'a table';
  return Number.isNaN(value.getTime()) ? 'a date or time without time zone, or no day of the calendar' : 'a date-time';
}

function describeNumber(value: number): string {
  if (!Number.isFinite(value)) return 'a number that is not finite';
  return String(value).length <= 6 ? String(value) : 'a longer number';
}

/** `inputs.version`, `secrets[2]`. A key that is no plain name is described, not quoted. */
export function fieldName(key: KeyPath): string {
  if (key.length === 0) return 'the file';
  const parts = key.map((part) => (typeof part === 'number' ? `[${part}]` : `.${keyName(part)}`));
  return parts.join('').replace(/^\./, '');
}

function keyName(key: string): string {
  return /^[A-Za-z0-9_-]{1,64}$/.test(key) ? key : `(a key of ${key.length} characters)`;
}

function keyPath(path: readonly PropertyKey[]): KeyPath {
  return path.map((part) => (typeof part === 'number' ? part : String(part)));
}

function valueAt(value: unknown, key: KeyPath): unknown {
  let inner = value;
  for (const part of key) {
    if (typeof inner !== 'object' || inner === null || !Object.hasOwn(inner, part)) return undefined;
    inner = (inner as Record<string | number, unknown>)[part];
  }
  return inner;
}
