import { z } from 'zod';
import type { Problem } from '../errors.ts';
import { flag, type InputValue, inputValue, listOf } from './fields.ts';
import { matchesPattern, PATTERN_VALUE_MAX_LENGTH, patternProblem } from './pattern.ts';
import { describe, type FileContext, fieldName, fieldProblem, nearestName, problem } from './problems.ts';

/** Inputs: what a formula declares and an action gives. */

const INPUT_TYPES = ['string', 'integer', 'boolean', 'enum'] as const;

export const inputDeclarationSchema = z.strictObject(
  {
    type: z.enum(INPUT_TYPES),
    values: listOf(z.string({ error: 'must be a text in quotes' }), 'texts', 256)
      .min(1, { error: 'must be a list of at least one text' })
      .optional()
      .describe('Of an enum: what it may be'),
    pattern: z
      .string({ error: 'must be a text in quotes' })
      .optional()
      .describe('Of a string: the whole value matches'),
    required: flag().default(false),
    default: inputValue.optional(),
  },
  { error: 'must be a table like { type = "string", required = true }' },
);
export type InputDeclaration = z.output<typeof inputDeclarationSchema>;

/** The variable that a run finds an input in: `INPUT_` and the name in capitals, `-` as `_`. */
export function inputVariable(name: string): string {
  return `INPUT_${name.toUpperCase().replaceAll('-', '_')}`;
}

export interface CheckedInputs {
  /** All `ERR_INPUT`. */
  readonly problems: readonly Problem[];
  /** What the run gets: given values and defaults, in the order of the declarations. Only of use without problems. */
  readonly values: Readonly<Record<string, InputValue>>;
}

/** Values given by an action against the declarations of its formula. */
export function checkInputs(
  declared: Readonly<Record<string, InputDeclaration>>,
  given: Readonly<Record<string, InputValue>>,
  path: string,
): CheckedInputs {
  const problems: string[] = [...unknownInputs(declared, given)];
  const values: [string, InputValue][] = [];
  for (const [name, declaration] of Object.entries(declared)) {
    const value = Object.hasOwn(given, name) ? given[name] : declaration.default;
    if (value === undefined && !declaration.required) continue;
    const rule = value === undefined ? 'is missing' : valueProblem(declaration, value);
    if (rule !== null) problems.push(`${fieldName(['inputs', name])} ${rule}`);
    if (value !== undefined) values.push([name, value]);
  }
  for (const [name, other] of clashes(values.map(([name]) => name))) problems.push(clashMessage(name, other));
  return {
    problems: problems.map((message) => problem('ERR_INPUT', path, message)),
    values: Object.fromEntries(values),
  };
}

/** Rules of one declaration that no schema says. */
export function declarationProblems(declaration: InputDeclaration, name: string, context: FileContext): Problem[] {
  const rules: readonly (readonly [string, string | null])[] = [
    ['values', valuesRule(declaration)],
    ['pattern', patternRule(declaration)],
    ['default', defaultRule(declaration)],
  ];
  return rules.flatMap(([field, rule]) =>
    rule === null ? [] : [fieldProblem(context, ['inputs', name, field], rule)],
  );
}

function valuesRule({ type, values }: InputDeclaration): string | null {
  if (type === 'enum') return values === undefined ? 'is missing: an enum says what it may be' : null;
  return values === undefined ? null : 'may be there for an enum only';
}

function patternRule({ type, pattern }: InputDeclaration): string | null {
  if (pattern === undefined) return null;
  return type === 'string' ? patternProblem(pattern) : 'may be there for a string only';
}

function defaultRule(declaration: InputDeclaration): string | null {
  if (declaration.default === undefined) return null;
  if (declaration.required) return 'may not be there for an input that is required';
  const unusable = valuesRule(declaration) ?? patternRule(declaration);
  return unusable === null ? valueProblem(declaration, declaration.default) : null;
}

/** Pairs of names that would end in the same variable: the later one, the earlier one. */
export function clashes(names: readonly string[]): readonly (readonly [string, string])[] {
  return names.flatMap((name, index) => {
    const other = names.slice(0, index).find((earlier) => inputVariable(earlier) === inputVariable(name));
    return other === undefined ? [] : [[name, other] as const];
  });
}

export function clashMessage(name: string, other: string): string {
  return `${fieldName(['inputs', name])} and ${fieldName(['inputs', other])} would both be ${inputVariable(name)}`;
}

function unknownInputs(declared: object, given: object): string[] {
  const known = Object.keys(declared);
  const unknown = Object.keys(given).filter((name) => !known.includes(name));
  return unknown.map((name) => {
    const nearest = nearestName(name, known);
    const hint = nearest === undefined ? '' : `; did you mean ${nearest}?`;
    return `${fieldName(['inputs', name])} is not declared by the formula${hint}`;
  });
}

function valueProblem({ type, values = [], pattern }: InputDeclaration, value: InputValue): string | null {
  if (type === 'boolean') return typeof value === 'boolean' ? null : `must be true or false; it is ${describe(value)}`;
  if (type === 'integer') {
    return Number.isSafeInteger(value) ? null : `must be a whole number; it is ${describe(value)}`;
  }
  if (typeof value !== 'string') return `must be a text in quotes; it is ${describe(value)}`;
  if (type === 'enum') return values.includes(value) ? null : `must be one of ${choices(values)}`;
  if (pattern === undefined || matchesPattern(pattern, value)) return null;
  if (value.length <= PATTERN_VALUE_MAX_LENGTH) return 'must match the pattern of the formula, from end to end';
  return `must have at most ${PATTERN_VALUE_MAX_LENGTH} characters, because it is matched against a pattern`;
}

/** Only what is as short as a name is repeated. */
function choices(values: readonly string[]): string {
  const text = values.join(', ');
  return text.length <= 120 && values.every((value) => value.length <= 64) ? text : `${values.length} values`;
}
