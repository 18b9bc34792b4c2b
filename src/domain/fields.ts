import { z } from 'zod';
import { isReservedName, reservedNames } from './reserved.ts';

/** Field types that the files of the ops repo share. Messages are rules: they begin with "must" and quote no value. */

export const MAX_SECRETS = 32;
export const MAX_MINUTES = 10_080;

const ID = /^(?!.*\.(?:cancel|result)$)[a-z0-9][a-z0-9._-]{0,127}$/;
const FORMULA_NAME = /^[a-z0-9][a-z0-9._-]{0,127}$/;
const SECRET = /^[A-Z][A-Z0-9_]{0,63}$/;
const MOUNT = /^[a-z0-9][a-z0-9_-]{0,63}$/;
const TOOL = /^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}$/;
const MODEL = /^[A-Za-z0-9][A-Za-z0-9._:/@+[\]-]{0,127}$/;
const INPUT = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/;
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/;

const name = (pattern: RegExp, rule: string) => {
  const error = `must be ${rule}`;
  return z.string({ error }).regex(pattern, { error });
};

export const actionId = name(
  ID,
  'an id of lower-case letters, digits and . _ - (at most 128), not .cancel or .result at the end',
);
export const formulaName = name(FORMULA_NAME, 'a formula name of lower-case letters, digits and . _ - (at most 128)');
export const mountName = name(MOUNT, 'a mount name of lower-case letters, digits, _ and - (at most 64)');
export const toolName = name(TOOL, 'a tool name of letters, digits and . _ : / @ - (at most 128)');
export const modelName = name(MODEL, 'a model name of letters, digits and . _ : / @ + [ ] - (at most 128)');
export const inputName = name(INPUT, 'named by a letter, then letters, digits, _ and - (at most 64)');
export const secretName = name(
  SECRET,
  'the name of a secret: capitals, digits and _ (at most 64), never its value',
).refine((text) => !isReservedName(text), { error: `must be none of the reserved names ${reservedNames}` });
export const variableName = name(VARIABLE, 'named by letters, digits and _ (at most 64)').refine(
  (text) => !isReservedName(text),
  { error: `must be none of the reserved names ${reservedNames}` },
);

export const filledText = z.string({ error: 'must be a text in quotes' }).regex(/\S/, { error: 'must not be blank' });

export const wholeNumber = (min: number, max: number) => {
  const error = `must be a whole number from ${min} to ${max}`;
  return z.int({ error }).min(min, { error }).max(max, { error });
};

export const flag = () => z.boolean({ error: 'must be true or false' });

/** A list in which everything stands once. */
export const listOf = <T extends z.ZodType>(item: T, what: string, max: number) =>
  z
    .array(item, { error: `must be a list of ${what}` })
    .max(max, { error: `must be a list of at most ${max} ${what}` })
    .check(({ value, issues }) => {
      for (const [index, each] of value.entries()) {
        const first = value.indexOf(each);
        const message = `must be there once, but is the same as number ${first + 1} of the list`;
        if (first < index) issues.push({ code: 'custom', input: value, path: [index], message });
      }
    });

/** What an action may give and a formula may declare as an input's value. */
export const inputValue = z.union([z.string(), z.number(), z.boolean()], {
  error: 'must be a text, a number or a boolean',
});
export type InputValue = z.output<typeof inputValue>;
