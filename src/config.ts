import { existsSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { crossProblems } from './config/checks.ts';
import { type Environment, type Override, readEnvironment } from './config/environment.ts';
import { type GivenFile, readFile, withDefaultKinds, withOverride } from './config/layers.ts';
import { hiddenSecrets, type Origin, schemaProblems } from './config/problems.ts';
import {
  type Available,
  type CheckedConfig,
  configSchema,
  type SectionSchemas,
  type SectionValue,
} from './domain/config-sections.ts';
import { isTable, settingsOf, type Table } from './domain/config-settings.ts';
import { isGitPath } from './domain/config-urls.ts';
import type { SecretText } from './domain/secret-text.ts';
import type { Tier } from './domain/tier.ts';
import type { Requirement } from './domain/verdict.ts';
import type { Problem } from './errors.ts';

type Core = DeepReadonly<Omit<CheckedConfig, 'engine' | 'access' | 'approval' | 'dispatcher' | 'store' | 'forge'>>;
/** A branded string is an object to the type system, and stays what it is. */
type DeepReadonly<T> = T extends string ? T : T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> } : T;

/**
 * The configuration, complete and frozen: keys as in the file, every default applied, what is not set is null. Folders,
 * files and a path as `ops_repo.url` are absolute. Durations are numbers with their unit in the name.
 */
export interface Config<S extends SectionSchemas = SectionSchemas> extends Core {
  /** Where it comes from; `embedded`: neither file nor environment names an ops repo. */
  readonly source: 'file' | 'environment' | 'embedded';
  readonly dispatcher: DeepReadonly<CheckedConfig['dispatcher']> & { readonly name: string };
  /** What each tier needs; null: nothing configured, actions of this tier wait for ever. */
  readonly approval: DeepReadonly<Omit<CheckedConfig['approval'], Tier>> & Readonly<Record<Tier, Requirement | null>>;
  /** null: nothing on a forge is asked. */
  readonly forge: DeepReadonly<NonNullable<CheckedConfig['forge']>> | null;
  readonly engine: { readonly kind: string };
  readonly access: { readonly kind: string };
  readonly store: { readonly url: string };
  /** Sections of implementations (`engine.subprocess`): of the chosen ones always, of others when they are given. */
  readonly sections: { readonly [K in keyof S]?: Readonly<SectionValue<S[K]>> };
  /** Secrets that the environment gave, by path (`ops_repo.token`); such a one counts before its `…_file`. */
  readonly secrets: Readonly<Record<string, SecretText>>;
}

export interface ConfigInput<S extends SectionSchemas = SectionSchemas> extends Available {
  /** Null: no file; then the environment alone counts, or the embedded default. */
  readonly file: GivenFile | null;
  readonly env: Environment;
  /** Sections of the implementations that this version has, keyed by where they stand: `engine.subprocess`. */
  readonly sections: S;
  /** Default of `dispatcher.name`. */
  readonly hostname: string;
  /** Relative paths start here. */
  readonly cwd: string;
}

export type ConfigResult<S extends SectionSchemas = SectionSchemas> =
  | { readonly ok: true; readonly config: Config<S>; readonly warnings: readonly Problem[] }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/**
 * File and environment to a frozen configuration, or every problem at once (warnings among them). Safe to repeat. No
 * problem quotes a value of the file or the environment.
 */
export function readConfig<S extends SectionSchemas>(input: ConfigInput<S>): ConfigResult<S> {
  const schema = configSchema(input, input.sections);
  const settings = settingsOf(schema);
  const file = readFile(input.file);
  if (file.tree === null) return { ok: false, problems: file.problems };
  const env = readEnvironment(input.env, settings, input);
  const source = sourceOf(input);
  const given = source === 'embedded' ? defaultConfig('edge-data') : file.tree;
  const overrides = env.overrides.filter((override) => !isStray(override, given, env.overrides));
  const tree = withDefaultKinds(overrides.reduce(withOverride, given), input);
  const origin: Origin = { file: file.origin, overrides, tree, settings };
  const checked = schema.safeParse(tree);
  const issues = checked.error?.issues ?? [];
  const problems = [
    ...file.problems,
    ...env.problems,
    ...schemaProblems(issues, origin),
    ...hiddenSecrets(issues, origin),
  ];
  if (checked.data !== undefined) {
    const name = checked.data.dispatcher.name ?? asName(input.hostname);
    problems.push(...crossProblems(checked.data, { ...input, secrets: Object.keys(env.secrets), name }, origin));
  }
  if (problems.length > 0 || checked.data === undefined) return { ok: false, problems: [...problems, ...env.warnings] };
  const config = assemble(checked.data, input, { source, secrets: env.secrets });
  return { ok: true, config: deepFreeze(config), warnings: env.warnings };
}

/**
 * The embedded default, in the form of the file: an ops repo in `stateDir`, the subprocess engine with file access,
 * and whoever can push is trusted.
 */
export function defaultConfig(stateDir: string): Table {
  const trusted = ['trust-branch'];
  return {
    dispatcher: { state_dir: stateDir },
    ops_repo: { url: path.join(stateDir, 'ops.git') },
    approval: { low: trusted, medium: trusted, high: trusted },
    engine: { kind: 'subprocess' },
    access: { kind: 'file' },
  };
}

const FILE_NAME = 'dispatcher.toml';

/** The file of `--config`, whether it is there or not; else `dispatcher.toml` in `cwd`; null: there is none. */
export function findConfigFile(option: string | undefined, cwd: string): string | null {
  if (option !== undefined) return path.resolve(cwd, option);
  const usual = path.join(cwd, FILE_NAME);
  return existsSync(usual) ? usual : null;
}

/** The environment of this process; nothing else reads it. */
export function processEnvironment(): Environment {
  return { ...process.env };
}

/** A usual variable (`FORGE_URL`) fills a section that something else asks for; alone it makes none. */
function isStray(override: Override, given: Table, all: readonly Override[]): boolean {
  const [section = ''] = override.path;
  if (section !== 'forge' || override.variable.startsWith('EDGE_') || Object.hasOwn(given, section)) return false;
  return !all.some(({ path: [other], variable }) => other === section && variable.startsWith('EDGE_'));
}

/** With an ops repo from the environment, the embedded default's trust in whoever can push must not come along. */
function sourceOf({ file, env }: ConfigInput): Config['source'] {
  if (file !== null) return 'file';
  return (env['EDGE_OPS_REPO_URL'] ?? '') === '' ? 'embedded' : 'environment';
}

// What comes out

interface Sources {
  readonly source: Config['source'];
  readonly secrets: Config['secrets'];
}

function assemble<S extends SectionSchemas>(
  checked: CheckedConfig,
  input: ConfigInput<S>,
  sources: Sources,
): Config<S> {
  const { dispatcher, ops_repo, approval, forge, runner, mounts, limits, http, notify, store, sidecar, sidecar_job } =
    checked;
  const at = (relative: string) => path.resolve(input.cwd, relative);
  const file = (relative: string | null) => (relative === null ? null : at(relative));
  const repo = (url: string) => (isGitPath(url) ? at(url) : url);
  const state_dir = at(dispatcher.state_dir);
  return {
    ...sources,
    dispatcher: { ...dispatcher, name: dispatcher.name ?? asName(input.hostname), state_dir },
    ops_repo: {
      ...ops_repo,
      url: repo(ops_repo.url),
      journal_url: ops_repo.journal_url === null ? null : repo(ops_repo.journal_url),
      token_file: file(ops_repo.token_file),
      ssh_key_file: file(ops_repo.ssh_key_file),
      known_hosts_file: file(ops_repo.known_hosts_file),
      signing_key_file: file(ops_repo.signing_key_file),
    },
    forge:
      forge === undefined
        ? null
        : {
            ...forge,
            token_file: file(forge.token_file),
            admin_token_file: file(forge.admin_token_file),
            ca_file: file(forge.ca_file),
          },
    approval: { ...approval, medium: approval.medium ?? null, high: approval.high ?? null },
    runner,
    mounts,
    engine: { kind: checked.engine.kind },
    access: { kind: checked.access.kind },
    store: { url: store.url ?? pathToFileURL(path.join(state_dir, 'store')).href },
    limits,
    http: { ...http, token_file: file(http.token_file), webhook_secret_file: file(http.webhook_secret_file) },
    notify: { url_file: file(notify.url_file) },
    sidecar,
    sidecar_job,
    sections: ownedSections(checked, input.sections),
  };
}

/** The schema has checked each section; only its key says which type it has. */
function ownedSections<S extends SectionSchemas>(checked: CheckedConfig, sections: S): Config<S>['sections'] {
  const found = Object.keys(sections).flatMap((key) => {
    const value = key.split('.').reduce<unknown>((table, part) => (isTable(table) ? table[part] : undefined), checked);
    return value === undefined ? [] : [[key, value] as const];
  });
  return Object.fromEntries(found) as Config<S>['sections'];
}

function asName(hostname: string): string {
  return (
    hostname
      .replaceAll(/[^A-Za-z0-9._-]/g, '-')
      .replace(/^[^A-Za-z0-9]+/, '')
      .slice(0, 64) || 'edge-dispatcher'
  );
}

/** Secrets stay as they are: their value is out of reach anyway. */
function deepFreeze<T extends object>(value: T): T {
  for (const child of Object.values(value)) if (typeof child === 'object' && child !== null) deepFreeze(child);
  return Object.freeze(value);
}
