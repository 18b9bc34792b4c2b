import { formulaName } from '../domain/fields.ts';
import { type Formula, parseFormula } from '../domain/formula.ts';
import type { Oid } from '../domain/ids.ts';
import { type Policy, parsePolicy } from '../domain/policy.ts';
import type { Parsed } from '../domain/problems.ts';
import { parseTomlFile } from '../domain/toml.ts';
import { type Code, InvalidError } from '../errors.ts';
import type { FirstParentChange, OpsRepo, TreeEntry } from '../ports/ops-repo.ts';

/** The files of the ops repo that are themselves gated: which these are, how they are read, what a commit did to them. */

export interface GatedPaths {
  readonly formulasDir: string;
  readonly policyFile: string;
  /** Project files of sidecars. */
  readonly projectFiles: readonly string[];
}

/** A code of the class `waiting`, and what is the matter. */
export interface Told {
  readonly code: Code;
  readonly message: string;
}

/** What one commit made of one gated file; `entry` null: it deleted the file. */
export interface Edit {
  readonly commit: Oid;
  readonly path: string;
  readonly entry: TreeEntry | null;
}

/**
 * The policy, project files, and what is named as a formula directly in the formulas folder; what lies deeper is no
 * formula.
 */
export function isGated(path: string, { formulasDir, policyFile, projectFiles }: GatedPaths): boolean {
  return (
    path === policyFile ||
    projectFiles.includes(path) ||
    /^\/[^/]*\.toml$/.test(path.startsWith(formulasDir) ? path.slice(formulasDir.length) : '')
  );
}

/** The last state of each gated file that a commit touched. A folder in a file's place is two changes of one path. */
export function editsOf({ commit, changes }: FirstParentChange, paths: GatedPaths): readonly Edit[] {
  const edits = new Map<string, Edit>();
  for (const { path, after } of changes) {
    if (!isGated(path, paths) || (after === null && edits.has(path))) continue;
    edits.set(path, { commit, path, entry: after });
  }
  return [...edits.values()];
}

export type ReadFile<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: Told };

type ProjectFile = Readonly<Record<string, unknown>>;

/** As an action: its bytes travel in the same payload. */
const PROJECT_MAX_BYTES = 16 * 1024;

/** Reads gated files, each version once. */
export interface GatedFiles {
  policy(entry: TreeEntry): Promise<ReadFile<Policy>>;
  formula(entry: TreeEntry): Promise<ReadFile<Formula>>;
  /** Of a project file nothing is read but that it is TOML: its tables are for the agents. */
  project(entry: TreeEntry): Promise<ReadFile<ProjectFile>>;
}

export function createGatedFiles(opsRepo: OpsRepo): GatedFiles {
  const policies = new Map<string, ReadFile<Policy>>();
  const formulas = new Map<string, ReadFile<Formula>>();
  const projects = new Map<string, ReadFile<ProjectFile>>();
  return {
    policy: (entry) =>
      once(policies, entry, () => read(entry, { opsRepo, code: 'ERR_POLICY_INVALID', parse: parsePolicy })),
    formula: (entry) =>
      once(formulas, entry, () => {
        const code = 'ERR_FORMULA_INVALID';
        if (isFormulaName(entry.path)) return read(entry, { opsRepo, code, parse: parseFormula });
        return Promise.resolve(invalid(code, `${entry.path} is named like no formula could be`));
      }),
    project: (entry) =>
      once(projects, entry, () => read(entry, { opsRepo, code: 'ERR_PROJECT_INVALID', parse: parseProject })),
  };
}

export function parseProject(bytes: Uint8Array, path: string): Parsed<ProjectFile> {
  return parseTomlFile(bytes, path, { maxBytes: PROJECT_MAX_BYTES, syntaxCode: 'ERR_PROJECT_INVALID' });
}

/** The name of the formula that lies at a gated path. */
export function formulaNameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1, -'.toml'.length);
}

function isFormulaName(path: string): boolean {
  return formulaName.safeParse(formulaNameOf(path)).success;
}

async function once<T>(known: Map<string, ReadFile<T>>, entry: TreeEntry, ask: () => Promise<ReadFile<T>>) {
  const key = `${entry.kind} ${entry.oid} ${entry.path}`;
  const answer = known.get(key) ?? (await ask());
  known.set(key, answer);
  return answer;
}

interface Reading<T> {
  readonly opsRepo: OpsRepo;
  readonly code: Code;
  readonly parse: (bytes: Uint8Array, path: string) => Parsed<T>;
}

async function read<T>({ kind, oid, path }: TreeEntry, { opsRepo, code, parse }: Reading<T>): Promise<ReadFile<T>> {
  if (kind !== 'file' && kind !== 'executable') return invalid(code, `${path} is a ${kind}, not a regular file`);
  try {
    const parsed = parse(await opsRepo.read(oid), path);
    if (parsed.ok) return { ok: true, value: parsed.value };
    return invalid(code, `${path}: ${parsed.problems.map(({ message }) => message).join('; ')}`);
  } catch (error) {
    if (error instanceof InvalidError) return invalid(code, `${path}: ${error.message}`);
    throw error;
  }
}

function invalid(code: Code, message: string): { readonly ok: false; readonly problem: Told } {
  return { ok: false, problem: { code, message } };
}
