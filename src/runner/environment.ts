import type { InputValue } from '../domain/fields.ts';
import { inputVariable } from '../domain/inputs.ts';
import type { Payload } from '../domain/payload.ts';
import type { Secret } from '../domain/redact.ts';
import type { Approved } from './approved.ts';

export const STANDARD_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Everything that a command's environment is made of; nothing comes from the runner's own. */
export interface EnvironmentParts extends Approved {
  readonly payload: Pick<Payload, 'id' | 'attempt' | 'inputs'>;
  readonly secrets: readonly Secret[];
  readonly home: string;
  /** Path of `inputsFile`'s content. */
  readonly inputsFile: string;
  /** What the mounts need: see mounts.ts. */
  readonly mounts: { readonly path: readonly string[]; readonly variables: Readonly<Record<string, string>> };
}

/** The closed environment of formats.md, "What a command finds": these names and no other. */
export function buildEnvironment(parts: EnvironmentParts): Record<string, string> {
  const { action, formula, payload } = parts;
  return {
    LANG: 'C.UTF-8',
    ...formula.env,
    ...Object.fromEntries(parts.secrets.map(({ name, value }) => [name, value])),
    ...inputVariables(payload.inputs),
    EDGE_ACTION_ID: payload.id,
    EDGE_FORMULA: formula.name,
    EDGE_ATTEMPT: String(payload.attempt),
    EDGE_CONTEXT: action.context,
    EDGE_MODEL: action.model ?? '',
    EDGE_TOOLS: action.tools.join(','),
    EDGE_INPUTS_FILE: parts.inputsFile,
    ...parts.mounts.variables,
    HOME: parts.home,
    PATH: [...parts.mounts.path, STANDARD_PATH].join(':'),
  };
}

/** Content of EDGE_INPUTS_FILE: one JSON object, typed as the formula declares. */
export function inputsFileContent(inputs: Readonly<Record<string, InputValue>>): string {
  return `${JSON.stringify(inputs)}\n`;
}

function inputVariables(inputs: Readonly<Record<string, InputValue>>): Record<string, string> {
  return Object.fromEntries(Object.entries(inputs).map(([name, value]) => [inputVariable(name), String(value)]));
}
