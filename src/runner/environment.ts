import type { InputValue } from '../domain/fields.ts';
import { inputVariable } from '../domain/inputs.ts';
import type { Payload, SidecarWork } from '../domain/payload.ts';
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
  /** null: an action. */
  readonly sidecar: SidecarParts | null;
}

/** What only sidecars have. The bot's token is one of the secrets. */
interface SidecarParts {
  readonly work: SidecarWork;
  /** Path of the project file's copy. */
  readonly projectFile: string;
  /** Path of a directory for this run alone; null: the job has none. */
  readonly agentData: string | null;
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
    ...(parts.sidecar === null ? {} : sidecarVariables(parts.sidecar)),
    ...parts.mounts.variables,
    HOME: parts.home,
    PATH: [...parts.mounts.path, STANDARD_PATH].join(':'),
  };
}

function sidecarVariables({ work, projectFile, agentData }: SidecarParts): Record<string, string> {
  return {
    EDGE_ISSUE_NUMBER: String(work.issue),
    EDGE_ISSUE_REPO: work.repo,
    EDGE_ISSUE_URL: work.url,
    EDGE_PROJECT_FILE: projectFile,
    ...(agentData === null ? {} : { EDGE_AGENT_DATA: agentData }),
  };
}

/** Content of EDGE_INPUTS_FILE: one JSON object, typed as the formula declares. */
export function inputsFileContent(inputs: Readonly<Record<string, InputValue>>): string {
  return `${JSON.stringify(inputs)}\n`;
}

function inputVariables(inputs: Readonly<Record<string, InputValue>>): Record<string, string> {
  return Object.fromEntries(Object.entries(inputs).map(([name, value]) => [inputVariable(name), String(value)]));
}
