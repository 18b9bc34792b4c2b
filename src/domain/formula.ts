import { z } from 'zod';
import type { Problem } from '../errors.ts';
import { stemOf } from './action.ts';
import {
  filledText,
  flag,
  formulaName,
  inputName,
  listOf,
  MAX_MINUTES,
  MAX_SECRETS,
  modelName,
  mountName,
  secretName,
  toolName,
  variableName,
  wholeNumber,
} from './fields.ts';
import { clashes, clashMessage, declarationProblems, type InputDeclaration, inputDeclarationSchema } from './inputs.ts';
import { type FileContext, fieldProblem, type Parsed, parsedFrom, problem, schemaProblems } from './problems.ts';
import { highestTier, TIERS, type Tier } from './tier.ts';
import { readTomlFile } from './toml.ts';

/** `vault/formulas/<name>.toml` (formats.md, Formula): what may be run. */
const FORMULA_MAX_BYTES = 64 * 1024;

const text = z.string({ error: 'must be a text in quotes' });
const groupName = text.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/, {
  error: 'must be a name of letters, digits and . _ - (at most 128)',
});

/** Beneath the work directory, whatever it matches: never absolute, never `..`, never a second line. */
const artifactGlob = text
  .max(255, { error: 'must have at most 255 characters' })
  .refine(
    (glob) => /^[^/\\\n\r\t]/.test(glob) && !/[\\\n\r\t]/.test(glob) && !/(?:^|\/)(?:\.{1,2})?(?:\/|$)/.test(glob),
    { error: 'must be a path within the work directory, like dist/*.tgz: not absolute, without .. and \\' },
  );

const programFile = z.strictObject(
  {
    path: text
      .max(1024, { error: 'must have at most 1024 characters' })
      .regex(/^(?:\/(?!\.{1,2}(?:\/|$))[^/\n\r\t]+)+$/, {
        error: 'must be an absolute path of a file, without . and ..',
      }),
    sha256: text.regex(/^[0-9a-f]{64}$/, { error: 'must be a SHA-256 as 64 lower-case hex digits' }),
  },
  { error: 'must be a table like { path = "/formulas/release.sh", sha256 = "…" }' },
);

/** The file itself, as JSON Schema for editors: `z.toJSONSchema(formulaSchema, { io: 'input' })`. */
export const formulaSchema = z.strictObject({
  name: formulaName.describe('The file name without .toml'),
  description: filledText,
  command: z
    .array(text, { error: 'must be a list of texts: the program and its arguments' })
    .min(1, { error: 'must name a program' })
    .max(256, { error: 'must be a list of at most 256 texts' })
    .refine((argv) => argv[0] !== '', { error: 'must name a program' })
    .optional()
    .describe('Program and arguments, no shell; or script, or prompt'),
  script: filledText.optional().describe('Run as a file, by its #! line, else by bash'),
  prompt: filledText.optional().describe("Run by the operator's agent command"),
  job: groupName.default('vault-runner').describe('Engine job to dispatch'),
  secrets: listOf(secretName, 'secret names', MAX_SECRETS).default([]).describe('The most an action may ask for'),
  mounts: listOf(mountName, 'mount names', 16).default([]).describe('The most an action may ask for'),
  tools: listOf(toolName, 'tool names', 64).default([]).describe('The most an action may ask for'),
  models: listOf(modelName, 'model names', 64).default([]).describe('What an action may ask for; empty: any'),
  tier: z.enum(TIERS).default('high'),
  unattended: flag().default(false).describe('May run as a sidecar'),
  files: z
    .array(programFile, { error: 'must be a list of tables' })
    .max(64, { error: 'must be a list of at most 64 tables' })
    .default([])
    .describe('Programs outside the repo, hashed before the start'),
  timeout_minutes: wholeNumber(1, MAX_MINUTES).default(60).describe('The most an action may ask for'),
  idempotent: flag().default(false).describe('Allows retry'),
  concurrency: groupName.optional().describe('Group in which concurrency_limit runs go at a time'),
  concurrency_limit: wholeNumber(1, 1000).default(1),
  artifacts: listOf(artifactGlob, 'paths', 64).default([]).describe('Collected from the work directory'),
  env: z.record(variableName, text, { error: 'must be a table of texts' }).default({}).describe('Never a secret'),
  inputs: z.record(inputName, inputDeclarationSchema, { error: 'must be a table of declarations' }).default({}),
  unmasked: flag().default(false).describe('Secrets that are too short to be masked are no reason not to start'),
});

/** What the file says, defaults applied. Exactly one of command, script and prompt is not null. */
export type Formula = Omit<z.output<typeof formulaSchema>, 'command' | 'script' | 'prompt' | 'concurrency'> & {
  command: string[] | null;
  script: string | null;
  prompt: string | null;
  concurrency: string | null;
};

/** Bytes of a formula file → the formula, or every problem of it. Never throws. `path` is that within the repo. */
export function parseFormula(bytes: Uint8Array, path: string): Parsed<Formula> {
  const file = readTomlFile(bytes, path, { maxBytes: FORMULA_MAX_BYTES, syntaxCode: 'ERR_FORMULA_SYNTAX' });
  if (file.value === null) return parsedFrom<Formula>(undefined, file.problems);
  const context: FileContext = { path, locate: file.locate, fieldCode: 'ERR_FORMULA_FIELD' };
  const rules = RULES.flatMap((rule) => rule(file.value ?? {}, context));
  const problems = [...file.problems, ...schemaProblems(formulaSchema, file.value, context), ...rules];
  const parsed = formulaSchema.safeParse(file.value);
  return parsedFrom(parsed.success ? toFormula(parsed.data) : undefined, problems);
}

/** The tier by the formula alone: what may mount the machine's keys is medium at least. */
export function formulaTier(formula: Formula): Tier {
  return highestTier(formula.tier, formula.mounts.length > 0 ? 'medium' : undefined);
}

/** Rules over several fields, asked also when some field is wrong, so that one look names everything. */
type Rule = (fields: Record<string, unknown>, context: FileContext) => Problem[];

const nameRule: Rule = ({ name }, context) => {
  if (typeof name !== 'string' || name === stemOf(context.path)) return [];
  return [fieldProblem(context, ['name'], 'is not the file name without .toml')];
};

const programRule: Rule = (fields, context) => {
  const there = ['command', 'script', 'prompt'].filter((key) => fields[key] !== undefined);
  if (there.length === 1) return [];
  if (there.length > 1)
    return there.slice(1).map((key) => fieldProblem(context, [key], `stands beside ${there[0]}`, ONE));
  return [problem(context.fieldCode, context.path, 'command, script or prompt is missing', ONE)];
};
const ONE = { hint: 'Write exactly one of command, script and prompt.' };

const groupRule: Rule = ({ concurrency, concurrency_limit }, context) => {
  if (concurrency !== undefined || concurrency_limit === undefined) return [];
  return [fieldProblem(context, ['concurrency_limit'], 'has no meaning without concurrency')];
};

const fileRule: Rule = ({ files }, context) => {
  if (!Array.isArray(files)) return [];
  const paths = files.map((file: unknown) => programFile.safeParse(file).data?.path);
  return paths.flatMap((path, index) => {
    if (path === undefined || paths.indexOf(path) === index) return [];
    return [fieldProblem(context, ['files', index, 'path'], 'is named twice')];
  });
};

const envRule: Rule = ({ env, secrets }, context) => {
  if (!isTable(env) || !Array.isArray(secrets)) return [];
  const both = Object.keys(env).filter((name) => secrets.includes(name));
  return both.map((name) => fieldProblem(context, ['env', name], 'is the name of a secret as well'));
};

const inputRule: Rule = ({ inputs }, context) => {
  if (!isTable(inputs)) return [];
  const declared = Object.entries(inputs).flatMap(([name, each]): [string, InputDeclaration][] => {
    const parsed = inputDeclarationSchema.safeParse(each);
    return parsed.success ? [[name, parsed.data]] : [];
  });
  const clashing = clashes(Object.keys(inputs)).map(([name, other]) => {
    const place = context.locate(['inputs', name]);
    return problem(context.fieldCode, context.path, clashMessage(name, other), { place });
  });
  return [...declared.flatMap(([name, each]) => declarationProblems(each, name, context)), ...clashing];
};

const RULES: readonly Rule[] = [nameRule, programRule, groupRule, fileRule, envRule, inputRule];

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function toFormula(fields: z.output<typeof formulaSchema>): Formula {
  const { command = null, script = null, prompt = null, concurrency = null } = fields;
  return { ...fields, command, script, prompt, concurrency };
}
