import { Buffer } from 'node:buffer';
import type { Available } from '../domain/config-sections.ts';
import { type Setting, secretName, variableName } from '../domain/config-settings.ts';
import { nearestName } from '../domain/problems.ts';
import { SecretText } from '../domain/secret-text.ts';
import { parseTomlFile } from '../domain/toml.ts';
import type { Problem } from '../errors.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** One value that the environment gives. */
export interface Override {
  readonly path: readonly string[];
  readonly value: unknown;
  readonly variable: string;
}

export interface FromEnvironment {
  readonly overrides: readonly Override[];
  /** By the dotted path without `_file`: `ops_repo.token`. */
  readonly secrets: Readonly<Record<string, SecretText>>;
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

/**
 * What the environment says. Of two variables for one key, `EDGE_…` counts before the tool's usual one. An empty
 * variable sets a text to nothing and is ignored otherwise.
 */
export function readEnvironment(env: Environment, settings: readonly Setting[], available: Available): FromEnvironment {
  const given = [...usualVariables(env, settings), ...backendVariable(env, available), ...edgeVariables(env, settings)];
  const byPath = new Map(given.map((one) => [one.path.join('.'), one]));
  const secrets = [...byPath].flatMap(([path, one]) =>
    one.isSecret ? [[path, new SecretText(one.text)] as const] : [],
  );
  const values = [...byPath.values()].filter((one) => !one.isSecret).map(toValue);
  return {
    overrides: values.flatMap((one) => ('value' in one ? [one] : [])),
    secrets: Object.fromEntries(secrets),
    problems: values.flatMap((one) => ('code' in one ? [one] : [])).concat(backendProblem(env, available)),
    warnings: unknownVariables(env, settings),
  };
}

interface Given {
  readonly path: readonly string[];
  readonly variable: string;
  readonly text: string;
  readonly isText: boolean;
  readonly isSecret: boolean;
}

/** Variables of each tool, by the key they stand for. A `token` is the secret itself, not its file. */
const USUAL: Readonly<Record<string, readonly string[]>> = {
  NOMAD_ADDR: ['engine', 'nomad', 'address'],
  NOMAD_TOKEN: ['engine', 'nomad', 'token'],
  NOMAD_NAMESPACE: ['engine', 'nomad', 'namespace'],
  NOMAD_CACERT: ['engine', 'nomad', 'ca_file'],
  NOMAD_CLIENT_CERT: ['engine', 'nomad', 'client_cert_file'],
  NOMAD_CLIENT_KEY: ['engine', 'nomad', 'client_key_file'],
  VAULT_ADDR: ['access', 'vault', 'address'],
  VAULT_TOKEN: ['access', 'vault', 'token'],
  VAULT_NAMESPACE: ['access', 'vault', 'namespace'],
  VAULT_CACERT: ['access', 'vault', 'ca_file'],
  FORGE_URL: ['forge', 'url'],
  FORGE_TOKEN: ['forge', 'token'],
};

function usualVariables(env: Environment, settings: readonly Setting[]): Given[] {
  return Object.entries(USUAL).flatMap(([variable, path]) => {
    // Nomad sets this one in every task, to the namespace of the dispatcher itself, which is not where its runs go.
    if (variable === 'NOMAD_NAMESPACE' && env['NOMAD_ALLOC_ID'] !== undefined) return [];
    const match = targets(settings).find((target) => target.path.join('.') === path.join('.'));
    return match === undefined ? [] : given(env, variable, match);
  });
}

function backendVariable(env: Environment, available: Available): Given[] {
  const text = env['DISPATCHER_BACKEND'];
  if (text === undefined || !Object.keys(available.engines).includes(text)) return [];
  return [{ path: ['engine', 'kind'], variable: 'DISPATCHER_BACKEND', text, isText: true, isSecret: false }];
}

function backendProblem(env: Environment, available: Available): Problem[] {
  const text = env['DISPATCHER_BACKEND'];
  const kinds = Object.keys(available.engines);
  if (text === undefined || text === '' || kinds.includes(text)) return [];
  const message = `DISPATCHER_BACKEND is now [engine] kind (or EDGE_ENGINE_KIND), and this version has: ${kinds.join(', ')}`;
  const hint = `Remove DISPATCHER_BACKEND and set kind in [engine] to one of: ${kinds.join(', ')}.`;
  return [{ code: 'ERR_CONFIG_FIELD', path: ENVIRONMENT, message, severity: 'error', hint }];
}

function edgeVariables(env: Environment, settings: readonly Setting[]): Given[] {
  return targets(settings).flatMap((target) =>
    target.path.includes('*') ? namedByOperator(env, target) : given(env, variableName(target.path), target),
  );
}

interface Target {
  readonly path: readonly string[];
  readonly isText: boolean;
  readonly isSecret: boolean;
}

/** All keys, and with each `…_file` of a secret the secret itself. */
function targets(settings: readonly Setting[]): Target[] {
  return settings.flatMap((setting) => {
    const secret = secretName(setting);
    const itself = { path: setting.path, isText: setting.isText, isSecret: false };
    if (secret === null) return [itself];
    return [itself, { path: [...setting.path.slice(0, -1), secret], isText: true, isSecret: true }];
  });
}

function given(env: Environment, variable: string, target: Target): Given[] {
  const text = env[variable];
  const isUsual = variable in USUAL;
  if (text === undefined || (text === '' && (isUsual || target.isSecret || !target.isText))) return [];
  return [{ ...target, variable, text }];
}

/** `EDGE_MOUNTS_SSH_PATH`: the name in the middle, in lower case. */
function namedByOperator(env: Environment, target: Target): Given[] {
  const [before = '', after = ''] = variableName(target.path).split('*');
  return Object.keys(env).flatMap((variable) => {
    if (!isBetween(variable, before, after)) return [];
    const name = variable.slice(before.length, -after.length).toLowerCase();
    return given(env, variable, { ...target, path: target.path.map((part) => (part === '*' ? name : part)) });
  });
}

function isBetween(variable: string, before: string, after: string): boolean {
  return variable.startsWith(before) && variable.endsWith(after) && variable.length > before.length + after.length;
}

function toValue(one: Given): Override | Problem {
  const { path, variable, text } = one;
  if (one.isText) return { path, variable, value: text };
  const options = { maxBytes: text.length * 4 + 100, syntaxCode: 'ERR_CONFIG_SYNTAX' } as const;
  const parsed = parseTomlFile(Buffer.from(`value = ${text}`), ENVIRONMENT, options);
  if (parsed.ok && Object.keys(parsed.value).length === 1) return { path, variable, value: parsed.value['value'] };
  const hint = `Write it as in the file, behind the equals sign: ${variable}='["a", "b"]', 5 or true.`;
  const message = `${variable} is no TOML value`;
  return { code: 'ERR_CONFIG_SYNTAX', path: ENVIRONMENT, message, severity: 'error', hint };
}

function unknownVariables(env: Environment, settings: readonly Setting[]): Problem[] {
  const all = targets(settings);
  const known = all.map((target) => variableName(target.path));
  const patterns = known.filter((name) => name.includes('*')).map((name) => name.split('*'));
  return Object.keys(env)
    .filter((name) => name.startsWith('EDGE_') && !known.includes(name))
    .filter((name) => !patterns.some(([before = '', after = '']) => isBetween(name, before, after)))
    .map((name) => {
      const meant = nearestName(name, known);
      const message = `${name} is no variable of this version${meant === undefined ? '' : `; did you mean ${meant}?`}`;
      const hint = 'Remove the variable or mend its spelling.';
      return { code: 'ERR_CONFIG_UNKNOWN', path: ENVIRONMENT, message, severity: 'warning', hint };
    });
}

/** In place of a file path in problems of the environment. */
export const ENVIRONMENT = 'environment';
