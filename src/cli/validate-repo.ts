import { isActionPath, parseAction, salvageId } from '../domain/action.ts';
import { checkAgainstFormula } from '../domain/action-check.ts';
import { cancelledId, cancelPath, isCancelPath, parseCancel } from '../domain/cancel.ts';
import { type Formula, parseFormula } from '../domain/formula.ts';
import { type Policy, parsePolicy } from '../domain/policy.ts';
import { type KeyPath, nearestName, type Parsed, type Place, problem } from '../domain/problems.ts';
import { SIDECAR_JOB } from '../domain/sidecar.ts';
import { locate } from '../domain/toml.ts';
import type { Code, Problem } from '../errors.ts';
import { resultId } from '../story/catalogue.ts';
import { parseProject } from '../story/gated-files.ts';
import { type FoundFile, fileAt, listFiles, type OpsRepoFolder, readBytes } from './ops-repo-files.ts';
import { type ActionFile, type CommitPlaces, crossActionProblems, warning } from './validate-actions.ts';
import { sidecarProblems } from './validate-sidecars.ts';

/** A file with all that is wrong with it; an empty list: nothing. */
export type Findings = ReadonlyMap<string, readonly Problem[]>;

/**
 * Every action, formula, policy and project file of the work tree, judged as the daemon would judge it if it were committed, approved
 * and in force as it is. Keyed by path from the root of the repo.
 */
export async function checkOpsRepo(repo: OpsRepoFolder, commitPlaces: CommitPlaces): Promise<Findings> {
  const findings = new Map<string, readonly Problem[]>();
  const formulas = await checkFormulas(repo, findings);
  await checkPolicy(repo, formulas, findings);
  await checkProjects(repo, findings);
  await checkActions(repo, { formulas, commitPlaces }, findings);
  return findings;
}

type Growing = Map<string, readonly Problem[]>;

// Formulas and policy

/** By file name; null: it is there, but says nothing that can be relied on. */
type Formulas = ReadonlyMap<string, Formula | null>;

async function checkFormulas({ root, paths, sidecars }: OpsRepoFolder, findings: Growing): Promise<Formulas> {
  const formulas = new Map<string, Formula | null>();
  for (const file of await listFiles(root, paths.formulasDir)) {
    const name = file.path.slice(paths.formulasDir.length + 1);
    if (!name.endsWith('.toml')) reportHidden(file, findings);
    else if (name.includes('/')) {
      findings.set(file.path, [
        warning('ERR_FILE_NAME', file.path, `only files directly in ${paths.formulasDir} are formulas`),
      ]);
    } else {
      const read = await readParsed(root, file, parseFormula);
      const named = sidecars.map(({ formula }) => formula);
      const more = read.value === null ? [] : sidecarProblems({ path: file.path, formula: read.value, ...read }, named);
      findings.set(file.path, [...read.problems, ...more]);
      formulas.set(name.slice(0, -'.toml'.length), read.value);
    }
  }
  return formulas;
}

async function checkPolicy({ root, paths }: OpsRepoFolder, formulas: Formulas, findings: Growing): Promise<void> {
  const path = paths.policyFile;
  const file = await fileAt(root, path);
  if (file === null) {
    findings.set(path, [problem('ERR_POLICY_MISSING', path, 'there is no policy: without one every action waits')]);
    return;
  }
  const { value, text, problems } = await readParsed<Policy>(root, file, parsePolicy);
  const unused = Object.keys(value?.tiers ?? {}).filter((name) => !formulas.has(name));
  findings.set(file.path, [
    ...problems,
    ...unused.map((name) => {
      const near = nearestName(name, [...formulas.keys()]);
      const hint = near === undefined ? undefined : `Did you mean ${near}?`;
      const place = locate(text, ['tiers', name]);
      return warning('ERR_POLICY_TIER_UNUSED', path, `tiers.${name}: there is no such formula`, { place, hint });
    }),
  ]);
}

async function checkProjects({ root, sidecars }: OpsRepoFolder, findings: Growing): Promise<void> {
  for (const path of new Set(sidecars.map(({ project }) => project))) {
    const file = await fileAt(root, path);
    const missing = problem(
      'ERR_PROJECT_UNAPPROVED',
      path,
      'there is no such project file, and a [[sidecar]] names it',
    );
    const { problems } = file === null ? { problems: [missing] } : await readParsed(root, file, parseProject);
    findings.set(file?.path ?? path, problems.map(asProject));
  }
}

/** Whatever is wrong with it, it does not come into force. */
const asProject = (found: Problem): Problem =>
  found.code === 'ERR_PROJECT_UNAPPROVED' || found.severity === 'warning'
    ? found
    : { ...found, code: 'ERR_PROJECT_INVALID' };

// Actions

interface Beside {
  readonly formulas: Formulas;
  readonly commitPlaces: CommitPlaces;
}

async function checkActions({ root, paths }: OpsRepoFolder, beside: Beside, findings: Growing): Promise<void> {
  const listed = await listFiles(root, paths.actionsDir);
  const ended = new Set(listed.filter(({ path }) => path.endsWith('.result.json')).map(({ path }) => resultId(path)));
  const actions: ActionFile[] = [];
  for (const file of listed) {
    if (isCancelPath(file.path)) await checkCancel(root, { file, listed }, findings);
    else if (!isActionPath(file.path)) reportHidden(file, findings);
    if (!isActionPath(file.path)) continue;
    const { value, text, problems } = await readParsed(root, file, parseAction);
    const id = salvageId(file.path);
    const action = { path: file.path, id, action: value, text, isPending: id !== null && !ended.has(id) };
    actions.push(action);
    findings.set(file.path, [...problems, ...againstFormula(action, beside.formulas)]);
  }
  for (const found of await crossActionProblems(actions, ended, beside.commitPlaces)) {
    findings.set(found.path, [...(findings.get(found.path) ?? []), found]);
  }
}

/** Whether somebody entitled wrote it shows only when it is committed. */
async function checkCancel(
  root: string,
  { file, listed }: { readonly file: FoundFile; readonly listed: readonly FoundFile[] },
  findings: Growing,
): Promise<void> {
  const { problems } = await readParsed(root, file, parseCancel);
  const isBeside = listed.some(({ path }) => isActionPath(path) && cancelPath(path) === file.path);
  const hint = 'Name it after the action that it is to stop, and put it into the same folder.';
  const alone = warning('ERR_CANCEL_INVALID', file.path, 'there is no action beside it, so it stops nothing', { hint });
  findings.set(file.path, isBeside || cancelledId(file.path) === null ? problems : [...problems, alone]);
}

function againstFormula({ path, action, text, isPending }: ActionFile, formulas: Formulas): readonly Problem[] {
  if (action === null || !isPending) return [];
  const formula = formulas.get(action.formula);
  if (formula === undefined) {
    const near = nearestName(action.formula, [...formulas.keys()]);
    const hint = near === undefined ? undefined : `Did you mean ${near}?`;
    const details = { place: locate(text, ['formula']), ...(hint !== undefined && { hint }) };
    return [problem('ERR_FORMULA_UNKNOWN', path, `there is no formula ${JSON.stringify(action.formula)}`, details)];
  }
  if (formula === null) return [];
  if (formula.job === SIDECAR_JOB) {
    const message = `formula ${formula.name} is for sidecars: its job is ${SIDECAR_JOB}`;
    return [problem('ERR_SIDECAR_JOB', path, message, { place: locate(text, ['formula']) })];
  }
  return checkAgainstFormula(action, formula, path).map((one) => ({ ...placeOfAsked(one.code, text), ...one }));
}

/** Where the action asks for what it may not have. */
function placeOfAsked(code: Code, text: string): Partial<Place> {
  const key = ASKED[code];
  return key === undefined ? {} : (locate(text, key) ?? {});
}

const ASKED: Partial<Record<Code, KeyPath>> = {
  ERR_SECRET_NOT_ALLOWED: ['secrets'],
  ERR_MOUNT_NOT_ALLOWED: ['mounts'],
  ERR_TOOL_NOT_ALLOWED: ['tools'],
  ERR_MODEL_NOT_ALLOWED: ['model'],
  ERR_RETRY_NOT_ALLOWED: ['retry'],
  ERR_INPUT: ['inputs'],
};

// Files

interface Read<T> {
  readonly value: T | null;
  readonly text: string;
  readonly problems: readonly Problem[];
}

async function readParsed<T>(
  root: string,
  { path, kind }: FoundFile,
  parse: (bytes: Uint8Array, path: string) => Parsed<T>,
): Promise<Read<T>> {
  if (kind !== 'file') {
    const found = problem('ERR_FILE_KIND', path, `the file is ${KINDS[kind]}, not a regular file`);
    return { value: null, text: '', problems: [found] };
  }
  const bytes = await readBytes(root, path);
  if (bytes === null) {
    const hint = 'Check its permissions, and that its name is UTF-8.';
    return { value: null, text: '', problems: [problem('ERR_FILE_KIND', path, 'the file cannot be read', { hint })] };
  }
  const parsed = parse(bytes, path);
  const text = Buffer.from(bytes).toString('utf8');
  if (parsed.ok) return { value: parsed.value, text, problems: parsed.warnings };
  return { value: null, text, problems: parsed.problems };
}

const KINDS = {
  symlink: 'a symbolic link',
  submodule: 'a repo of its own (sub-module)',
  folder: 'a folder',
  special: 'a pipe, socket or device',
} as const;

/** Whatever lies behind a link or in a sub-module is not in the repo, so an action in there would never be seen. */
function reportHidden({ path, kind }: FoundFile, findings: Growing): void {
  if (kind !== 'symlink' && kind !== 'submodule') return;
  findings.set(path, [warning('ERR_FILE_KIND', path, `this is ${KINDS[kind]}: nothing in it is ever seen`)]);
}
