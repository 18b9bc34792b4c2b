import type { Dirent } from 'node:fs';
import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { lstat, readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { isErrno } from '../adapters/durable-file.ts';
import { findConfigFile } from '../config.ts';
import { readTomlFile } from '../domain/toml.ts';
import { UsageError } from '../errors.ts';
import type { GlobalOptions, Io } from './io.ts';

/** The ops repo as a folder on this machine: for the people who write to it, without a daemon, without the network. */

export interface OpsRepoPaths {
  readonly actionsDir: string;
  readonly formulasDir: string;
  readonly policyFile: string;
}

export interface OpsRepoFolder {
  /** Absolute; it holds `.git`. */
  readonly root: string;
  /** Relative to `root`, as the configuration says. */
  readonly paths: OpsRepoPaths;
  /** Absolute; null: there is none. */
  readonly configFile: string | null;
  /** What its `[[sidecar]]` name. */
  readonly sidecars: readonly NamedBySidecar[];
}

interface NamedBySidecar {
  readonly formula: string;
  /** Path of the project file. */
  readonly project: string;
}

/** The ops repo around `from`: the nearest folder above that holds `.git`, and `vault/` or the configured actions_dir. */
export function findOpsRepo(from: string, options: GlobalOptions, io: Io): OpsRepoFolder | null {
  for (const root of foldersAbove(from)) {
    if (!existsSync(path.join(root, '.git'))) continue;
    const repo = opsRepoAt(root, options, io);
    if ([USUAL_FOLDER, repo.paths.actionsDir].some((folder) => existsSync(path.join(root, folder)))) return repo;
  }
  return null;
}

const USUAL_FOLDER = 'vault';

/** As `findOpsRepo` from the working directory; throws UsageError when there is none. */
export function requireOpsRepo(options: GlobalOptions, io: Io, from = io.cwd): OpsRepoFolder {
  const repo = findOpsRepo(from, options, io);
  if (repo !== null) return repo;
  throw new UsageError('ERR_USAGE', `there is no ops repo around ${from}: no folder with .git and vault/`, {
    hint: 'Change into a clone of the ops repo, or make one with `edge-dispatcher init`.',
  });
}

/** What the configuration says of this folder, whether it holds anything already or not. */
export function opsRepoAt(root: string, options: GlobalOptions, io: Io): OpsRepoFolder {
  const configFile = findConfigFile(options.config, io.cwd) ?? findConfigFile(undefined, root);
  const config = configFile === null ? {} : readLoosely(configFile);
  return { root, paths: configuredPaths(config, io), configFile, sidecars: sidecarsOf(config) };
}

/** The folder itself, then every one it lies in. */
function foldersAbove(from: string): readonly string[] {
  const folders = [existsSync(from) ? realpathSync(from) : path.resolve(from)];
  for (let above = path.dirname(folders[0] ?? ''); above !== folders.at(-1); above = path.dirname(above)) {
    folders.push(above);
  }
  return folders;
}

/** Defaults of `[ops_repo]`. */
export const DEFAULT_PATHS: OpsRepoPaths = {
  actionsDir: 'vault/actions',
  formulasDir: 'vault/formulas',
  policyFile: 'vault/policy.toml',
};

/** Also of a configuration that is wrong elsewhere: its problems are told by those who use the rest of it. */
function configuredPaths(config: Table, io: Io): OpsRepoPaths {
  const section = tableOf(config['ops_repo']);
  const one = (key: string, usual: string) => {
    const given = io.env[`EDGE_OPS_REPO_${key.toUpperCase()}`] || section[key];
    return typeof given === 'string' && isPathInside(given) ? given : usual;
  };
  return {
    actionsDir: one('actions_dir', DEFAULT_PATHS.actionsDir),
    formulasDir: one('formulas_dir', DEFAULT_PATHS.formulasDir),
    policyFile: one('policy_file', DEFAULT_PATHS.policyFile),
  };
}

function sidecarsOf({ sidecar }: Table): readonly NamedBySidecar[] {
  return (Array.isArray(sidecar) ? sidecar : []).flatMap((rule: unknown) => {
    const { formula, project_toml: project } = tableOf(rule);
    const isRule = typeof formula === 'string' && typeof project === 'string' && isPathInside(project);
    return isRule ? [{ formula, project }] : [];
  });
}

type Table = Readonly<Record<string, unknown>>;

function readLoosely(configFile: string): Table {
  if (!existsSync(configFile) || !statSync(configFile).isFile()) return {};
  const options = { maxBytes: 256 * 1024, syntaxCode: 'ERR_CONFIG_SYNTAX' } as const;
  return readTomlFile(readFileSync(configFile), configFile, options).value ?? {};
}

function tableOf(value: unknown): Table {
  return typeof value === 'object' && value !== null && !(value instanceof Date) ? { ...value } : {};
}

const isPathInside = (text: string) => !/(?:^|\/)\.{0,2}(?:\/|$)/.test(text) && !/[\\\0\n]/.test(text);

type FoundKind = 'file' | 'symlink' | 'submodule' | 'folder' | 'special';

export interface FoundFile {
  /** From the root of the repo, with slashes. */
  readonly path: string;
  readonly kind: FoundKind;
}

/**
 * All files beneath a folder of the work tree, by path, and what pretends to be one: links (never followed), folders
 * that are repos of their own (not looked into) and folders that are named like files.
 */
export async function listFiles(root: string, dir: string): Promise<readonly FoundFile[]> {
  const link = await firstLink(root, dir);
  if (link !== null) return [{ path: link, kind: 'symlink' }];
  const found = await listFolder(root, dir);
  return found.toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

async function listFolder(root: string, dir: string): Promise<FoundFile[]> {
  const entries = await readdir(path.join(root, dir), { withFileTypes: true }).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  });
  const found: FoundFile[] = [];
  for (const entry of entries) {
    const inner = `${dir}/${entry.name}`;
    const kind = kindOf(entry, path.join(root, inner));
    if (kind !== 'folder' || /\.(?:toml|json)$/.test(inner)) found.push({ path: inner, kind });
    if (kind === 'folder') found.push(...(await listFolder(root, inner)));
  }
  return found;
}

/** The entry at one path of the work tree; null: there is none. */
export async function fileAt(root: string, file: string): Promise<FoundFile | null> {
  const link = await firstLink(root, file);
  if (link !== null) return { path: link, kind: 'symlink' };
  const entry = await stat(path.join(root, file));
  return entry === null ? null : { path: file, kind: kindOf(entry, path.join(root, file)) };
}

function kindOf(entry: Pick<Dirent, 'isFile' | 'isSymbolicLink' | 'isDirectory'>, absolute: string): FoundKind {
  if (entry.isFile()) return 'file';
  if (entry.isSymbolicLink()) return 'symlink';
  if (!entry.isDirectory()) return 'special';
  return existsSync(path.join(absolute, '.git')) ? 'submodule' : 'folder';
}

/** Git does not look through links: what lies behind one is not in the repo. */
async function firstLink(root: string, file: string): Promise<string | null> {
  const parts = file.split('/');
  for (let count = 1; count <= parts.length; count++) {
    const here = parts.slice(0, count).join('/');
    if ((await stat(path.join(root, here)))?.isSymbolicLink() === true) return here;
  }
  return null;
}

async function stat(absolute: string) {
  return lstat(absolute).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return null;
    throw error;
  });
}

/** Null: it can't be read. */
export async function readBytes(root: string, file: string): Promise<Uint8Array | null> {
  return readFile(path.join(root, file)).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT', 'EACCES', 'EPERM', 'EISDIR', 'EIO')) return null;
    throw error;
  });
}
