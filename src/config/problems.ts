import type { SchemaIssue } from '../domain/config-sections.ts';
import { isTable, type Setting, secretName, type Table, variableName } from '../domain/config-settings.ts';
import { fieldName, type KeyPath, nearestName, type Place } from '../domain/problems.ts';
import type { TomlFile } from '../domain/toml.ts';
import { CODES, type Problem } from '../errors.ts';
import { ENVIRONMENT, type Override } from './environment.ts';
import { NOT_YET_KEYS, NOT_YET_SECTIONS, NOT_YET_VALUES } from './not-yet.ts';

/** What was given, and where: to say of each problem which line or variable it comes from. No value is ever quoted. */
export interface Origin {
  readonly file: { readonly path: string; readonly locate: TomlFile['locate'] } | null;
  readonly overrides: readonly Override[];
  /** File and environment laid over one another. */
  readonly tree: Table;
  readonly settings: readonly Setting[];
}

/** All that the schema found, in its order; of a key whose value fails several checks, the first, which is the coarsest. */
export function schemaProblems(issues: readonly SchemaIssue[], origin: Origin, above: KeyPath = []): Problem[] {
  const first = new Map<string, SchemaIssue>();
  for (const issue of issues) {
    const place = fieldPlace(issue);
    if (!first.has(place)) first.set(place, issue);
  }
  return [...first.values()].flatMap((issue) => issueProblems(issue, above, origin));
}

/** What is unknown in a table is a defect of its own, beside what is wrong with the table. */
function fieldPlace({ code, path }: SchemaIssue): string {
  return JSON.stringify([code === 'unrecognized_keys', ...asKeys(path)]);
}

/** One problem at one key: in the file with its line, or in the environment with its variable. */
export function problemAt(path: KeyPath, what: string, origin: Origin, more: Partial<Problem> = {}): Problem {
  const code = more.code ?? 'ERR_CONFIG_FIELD';
  const base = { code, severity: 'error', hint: CODES[code].hint } as const;
  const override = origin.overrides.find((one) => isPrefix(one.path, path));
  if (override !== undefined) return { ...base, path: ENVIRONMENT, message: `${override.variable} ${what}`, ...more };
  const message = `${fieldName(path)} ${what}`;
  if (origin.file === null) return { ...base, path: ENVIRONMENT, message, ...more };
  return { ...base, path: origin.file.path, message, ...placeOf(path, origin.file.locate), ...more };
}

/** Of the key itself, or of the nearest table around it that is written. */
function placeOf(path: KeyPath, locate: TomlFile['locate']): Partial<Place> {
  if (path.length === 0) return {};
  return locate(path) ?? placeOf(path.slice(0, -1), locate);
}

function isPrefix(path: KeyPath, of: KeyPath): boolean {
  return path.every((part, index) => part === of[index]);
}

// What the schema says

function issueProblems(issue: SchemaIssue, above: KeyPath, origin: Origin): Problem[] {
  const path = [...above, ...asKeys(issue.path)];
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownProblem([...path, key], origin));
  if (issue.code === 'invalid_union') return unionProblems(issue.errors, path, origin);
  if (issue.code === 'invalid_key') return schemaProblems(issue.issues, origin, path);
  if (issue.code === 'invalid_value') return [optionProblem(path, issue.values.map(String), origin)];
  return [keyProblem(path, sentence(issue), origin)];
}

/** TOML has no symbols. */
function asKeys(path: readonly PropertyKey[]): KeyPath {
  return path.map((part) => (typeof part === 'number' ? part : String(part)));
}

function sentence(issue: SchemaIssue): string {
  if (issue.message.startsWith('must ')) return issue.message;
  if (issue.code === 'invalid_type') return `must be ${TYPES[issue.expected] ?? `a value of type ${issue.expected}`}`;
  if (issue.code === 'too_small') return sizeSentence(issue.origin, 'least', issue.minimum);
  if (issue.code === 'too_big') return sizeSentence(issue.origin, 'most', issue.maximum);
  return issue.message;
}

/** A limit of a text or a list is one of its length. */
function sizeSentence(origin: string, side: 'least' | 'most', limit: number | bigint): string {
  const unit = UNITS[origin];
  if (unit === undefined) return `must be at ${side} ${limit}`;
  return side === 'least' && Number(limit) === 1 ? 'must not be empty' : `must have at ${side} ${limit} ${unit}`;
}

const UNITS: Readonly<Record<string, string>> = { string: 'characters', array: 'elements' };

const TYPES: Readonly<Record<string, string>> = {
  string: 'a string in quotes',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list: ["…"]',
  object: 'a table',
  record: 'a table',
};

function keyProblem(path: KeyPath, what: string, origin: Origin): Problem {
  if (NOT_YET_KEYS.includes(path.join('.'))) return notYet(path, origin);
  if (valueAt(origin.tree, path) !== undefined) return problemAt(path, what, origin);
  const hint = `Add it to the file, or set ${variableName(path.map(String))}.`;
  return problemAt(path, 'is missing', origin, { hint });
}

/** The branch that the value was meant for is the one that takes its kind; with none, all kinds are named. */
function unionProblems(branches: readonly (readonly SchemaIssue[])[], path: KeyPath, origin: Origin): Problem[] {
  const meant = branches.find((issues) => !issues.some((one) => one.code === 'invalid_type' && one.path.length === 0));
  if (meant !== undefined) return schemaProblems(meant, origin, path);
  const kinds = branches.flatMap((issues) => issues.map((one) => sentence(one).replace('must be ', '')));
  return [keyProblem(path, `must be ${kinds.join(' or ')}`, origin)];
}

function optionProblem(path: KeyPath, options: readonly string[], origin: Origin): Problem {
  if (NOT_YET_KEYS.includes(path.join('.'))) return notYet(path, origin);
  const given = valueAt(origin.tree, path);
  const choice = options.join(', ');
  if (typeof given !== 'string') return keyProblem(path, `must be one of: ${choice}`, origin);
  if (NOT_YET_VALUES.includes(given))
    return problemAt(path, `${given} is not available; this version has: ${choice}`, origin);
  const meant = nearestName(given, options);
  const question = meant === undefined ? '' : `; did you mean ${meant}?`;
  return problemAt(path, `must be one of: ${choice}${question}`, origin);
}

// Keys that are not in the schema

function unknownProblem(path: KeyPath, origin: Origin): Problem {
  const name = path.join('.');
  const isSection = isTable(valueAt(origin.tree, path)) || isTableList(valueAt(origin.tree, path));
  if (NOT_YET_SECTIONS.includes(name) || NOT_YET_KEYS.includes(name)) return notYet(path, origin);
  const file = fileOf(path, origin);
  const isSecret = isSecretName(String(path.at(-1))) || (file !== undefined && secretName(file) !== null);
  if (!isSection && isSecret) return secretProblem(path, origin);
  const meant = nearestName(String(path.at(-1)), siblings(path, origin.settings));
  const question = meant === undefined ? '' : `; did you mean ${meant}?`;
  const what = `is no ${isSection ? 'section' : 'key'} of the configuration${question}`;
  return problemAt(path, what, origin, { code: 'ERR_CONFIG_UNKNOWN' });
}

function notYet(path: KeyPath, origin: Origin): Problem {
  const hint = 'Remove it: in this version nothing acts on it.';
  return problemAt(path, 'is not available in this version', origin, { code: 'ERR_CONFIG_UNKNOWN', hint });
}

function secretProblem(path: KeyPath, origin: Origin): Problem {
  const setting = fileOf(path, origin);
  const what = 'looks like a secret, and secrets are never values of the configuration file';
  if (setting === undefined) return problemAt(path, what, origin, { code: 'ERR_CONFIG_SECRET' });
  const variable = secretName(setting) === null ? '' : `, or set ${variableName(path.map(String))}`;
  const hint = `Put it into a file of mode 0600 and name that with ${setting.path.join('.')}${variable}. Change the secret: it was readable.`;
  return problemAt(path, what, origin, { code: 'ERR_CONFIG_SECRET', hint });
}

/** The key that names a file for what somebody wrote as a value. */
function fileOf(path: KeyPath, { settings }: Origin): Setting | undefined {
  const key = `${path.map(String).join('.')}_file`;
  return settings.find((one) => one.path.join('.') === key);
}

function isSecretName(key: string): boolean {
  return /(?:^|_)(?:token|password|passwd|passphrase|secret|secret_id|credentials?|key)$/i.test(key);
}

/** Secrets that stand in sections which the schema does not look into, because it knows nothing of them. */
export function hiddenSecrets(issues: readonly SchemaIssue[], origin: Origin): Problem[] {
  const unknown = issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys' ? issue.keys.map((key) => [...asKeys(issue.path), key]) : [],
  );
  return unknown.flatMap((path) => secretsBelow(path, valueAt(origin.tree, path), origin));
}

function secretsBelow(path: KeyPath, value: unknown, origin: Origin): Problem[] {
  const children = Array.isArray(value) ? value.entries() : isTable(value) ? Object.entries(value) : [];
  return [...children].flatMap(([key, child]) => {
    const below = [...path, key];
    if (typeof key === 'string' && !isTable(child) && isSecretName(key)) return [secretProblem(below, origin)];
    return secretsBelow(below, child, origin);
  });
}

// Looking around

function valueAt(tree: unknown, path: KeyPath): unknown {
  return path.reduce<unknown>((value, key) => {
    if (Array.isArray(value)) return value[Number(key)];
    return isTable(value) && Object.hasOwn(value, key) ? value[String(key)] : undefined;
  }, tree);
}

function isTableList(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && value.every(isTable);
}

/** The names that could stand at this place: keys of the same section, or sections. */
function siblings(path: KeyPath, settings: readonly Setting[]): string[] {
  const above = path.slice(0, -1);
  const beside = settings.filter((one) => one.path.length >= path.length && isPrefix(above, wildcard(one.path, path)));
  return [...new Set(beside.flatMap((one) => one.path[above.length] ?? []))].filter((name) => name !== '*');
}

function wildcard(path: readonly string[], actual: KeyPath): KeyPath {
  return path.map((part, index) => (part === '*' ? String(actual[index]) : part));
}
