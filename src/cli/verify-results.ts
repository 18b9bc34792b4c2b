import type { Check } from '../domain/check.ts';
import { attemptToken, isOid, isRunId, type Oid } from '../domain/ids.ts';
import { type Result, resultSchema } from '../domain/result.ts';
import { printable } from '../domain/text.ts';
import { CODES, type Code, InvalidError } from '../errors.ts';
import type { AllowedSigner, OpsRepo, TreeEntry } from '../ports/ops-repo.ts';
import { recordedId, resultPathOf } from '../story/catalogue.ts';
import { foreignReason } from '../story/foreign-reason.ts';
import { createOwnResults, isResultPath, type Whose } from '../story/own-results.ts';
import { type BranchHistory, readHistory } from './verify-history.ts';

/** A clone and what is known of who may write results. */
export interface Clone {
  readonly opsRepo: OpsRepo;
  readonly tip: Oid;
  readonly root: Oid;
  readonly actionsDir: string;
  readonly sidecarsDir: string;
  /** Nobody configured that folder, so that one which is not there is a slip of whoever named it. */
  readonly isFolderGuessed: boolean;
  /** None: nobody's signature is asked for. */
  readonly keys: readonly AllowedSigner[];
  readonly trustedCommit: Oid | null;
}

interface VerifiedResult {
  readonly id: string;
  readonly path: string;
  /** The newest commit of the branch that changed it. */
  readonly commit: string | null;
  /** Fingerprint of the key. */
  readonly signed_by: string | null;
  /**
   * `own`: signed by one of the keys, or the trusted commit holds it; `foreign`: signed by another key; `unsigned`: by
   * none, or there are no keys to ask for; `broken`: it is no result, or its commit was changed after it was signed.
   */
  readonly state: 'own' | 'foreign' | 'unsigned' | 'broken';
}

export interface Verified {
  readonly checks: readonly Check[];
  readonly results: readonly VerifiedResult[];
}

/** Every result at the tip, and those that are gone from it. Errors: TransientError and StalledError of the ops repo; the signal's reason. */
export async function verifyResults(clone: Clone, signal: AbortSignal): Promise<Verified> {
  const { opsRepo, tip, actionsDir, sidecarsDir } = clone;
  const folders = [actionsDir, sidecarsDir];
  const entries = (await opsRepo.list(tip, folders)).filter(({ path }) => isResultPath(path));
  const history = await readHistory(opsRepo, tip);
  const judged = await createOwnResults({ ...clone, folders, parallel: AT_ONCE }).judge(tip, entries, signal);
  const checks: Check[] = [];
  const results: VerifiedResult[] = [];
  for (const entry of entries) {
    signal.throwIfAborted();
    const whose = judged.get(entry.path);
    const result = await readEntry(entry, opsRepo);
    if (whose?.kind === 'foreign') checks.push(problem('signature', foreignReason(whose).message, FOREIGN));
    checks.push(...(await problemsOf(entry, result, history, clone)));
    results.push({
      id: recordedId(entry.path, sidecarsDir),
      path: entry.path,
      commit: history.setterOf(entry.path),
      signed_by: signerOf(whose),
      state: stateOf(whose, result, clone.keys.length > 0),
    });
  }
  checks.push(...twins(results), ...commitProblems(history, judged), ...removals(history, folders));
  return { checks: [...summaries(results, clone), ...(await folderProblems(clone)), ...checks], results };
}

/** Each is three short processes. */
const AT_ONCE = 4;
const FOREIGN: Code = 'ERR_FOREIGN_RESULT';
const INVALID: Code = 'ERR_RESULT_INVALID';

function problem(name: string, message: string, code: Code = INVALID): Check {
  return { name, ok: false, code, message, fix: CODES[code].hint };
}

function stateOf(whose: Whose | undefined, result: Result | null, areSigned: boolean): VerifiedResult['state'] {
  if (result === null || whose === undefined) return 'broken';
  if (!areSigned) return 'unsigned';
  if (whose.kind === 'own') return 'own';
  return ({ unsigned: 'unsigned', bad: 'broken', 'unknown-key': 'foreign' } as const)[whose.signature];
}

const signerOf = (whose: Whose | undefined): string | null => whose?.fingerprint ?? null;

/** null: it is no result that this version can read. */
async function readEntry({ kind, oid }: TreeEntry, opsRepo: OpsRepo): Promise<Result | null> {
  if (kind !== 'file') return null;
  try {
    const text = Buffer.from(await opsRepo.read(oid)).toString('utf8');
    return resultSchema.parse(JSON.parse(text));
  } catch (error) {
    if (error instanceof InvalidError || error instanceof SyntaxError || isSchemaError(error)) return null;
    throw error;
  }
}

const isSchemaError = (error: unknown): boolean => error instanceof Error && error.name === 'ZodError';

async function problemsOf(
  { path }: TreeEntry,
  result: Result | null,
  history: BranchHistory,
  clone: Clone,
): Promise<readonly Check[]> {
  const shown = printable(path);
  if (result === null) return [problem('format', `${shown} is no result of schema 1`)];
  const { attempt, approval } = result;
  const found: Check[] = [];
  if (result.id !== recordedId(path, clone.sidecarsDir))
    found.push(problem('id', `${shown} is of the id ${printable(result.id)}`));
  found.push(...(await actionProblems(path, result, history, clone)));
  if (attempt !== null && attempt.executions > 1) {
    found.push(problem('attempt', `${shown} says that its attempt was executed ${attempt.executions} times`));
  }
  if (!hasItsToken(result, clone.root)) {
    found.push(problem('attempt', `${shown} has a token that is not of this repo, id, blob and attempt`));
  }
  if (attempt !== null && approval !== null && approval.required.length > 0 && approval.evidence.length === 0) {
    found.push(problem('approval', `${shown} ran without evidence of ${approval.required.join(', ')}`));
  }
  if (lacksApproval(result)) found.push(problem('approval', `${shown} ran, and does not say who approved it`));
  return found;
}

/** A dispatcher that lost its note of a run knows nothing of formula and approval, and takes its bytes from the journal. */
function lacksApproval({ attempt, approval, formula, action }: Result): boolean {
  const isNoteLost = formula === null && action.sha256 === null;
  return attempt !== null && approval === null && !isNoteLost;
}

async function actionProblems(
  path: string,
  { id, action }: Result,
  history: BranchHistory,
  { opsRepo, tip, sidecarsDir }: Clone,
): Promise<readonly Check[]> {
  const shown = `${printable(path)} is of ${printable(action.path)}`;
  if (resultPathOf(id, action.path, sidecarsDir) !== path)
    return [problem('action', `${shown}, which does not lie beside it`)];
  const { blob, commit } = action;
  if (blob === null || history.held(action.path, blob)) return [];
  // After a merge the wrong way round the branch remembers less than what once was its tip.
  if (commit !== null && isOid(commit) && (await opsRepo.isAncestor(commit, tip))) {
    if ((await opsRepo.entryAt(commit, action.path))?.oid === blob) return [];
  }
  return [problem('action', `${shown}, which never had the bytes ${printable(blob)}`)];
}

/** Also where there is nothing to compute it from. */
function hasItsToken({ id, action: { blob }, attempt }: Result, repo: Oid): boolean {
  if (attempt === null || blob === null || !isOid(blob) || !isRunId(id)) return true;
  return attempt.token === attemptToken({ repo, id, blob, attempt: attempt.number });
}

/** Commits of ours bring results and nothing else. */
function commitProblems(history: BranchHistory, judged: ReadonlyMap<string, Whose>): readonly Check[] {
  const ours = new Set<Oid>();
  for (const [path, whose] of judged) {
    const commit = history.setterOf(path);
    if (commit !== null && whose.kind === 'own' && whose.fingerprint !== null) ours.add(commit);
  }
  return [...ours].flatMap((commit) => {
    const other = history.otherThanResult(commit);
    if (other === null) return [];
    return [problem('commit', `commit ${commit.slice(0, 12)} brings results, and changes ${printable(other)} too`)];
  });
}

/** Of one id there is one result: an action that was moved is not run again. */
function twins(results: readonly VerifiedResult[]): readonly Check[] {
  const first = new Map<string, string>();
  return results.flatMap(({ id, path }) => {
    const earlier = first.get(id);
    if (earlier === undefined) first.set(id, path);
    if (earlier === undefined) return [];
    return [problem('id', `${printable(path)} is a second result of the id of ${printable(earlier)}`)];
  });
}

function removals({ removed }: BranchHistory, folders: readonly string[]): readonly Check[] {
  const gone = [...removed]
    .filter(([path]) => folders.some((folder) => path.startsWith(`${withoutSlash(folder)}/`)))
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
  return gone.map(([path, commit]) => {
    return problem('removed', `${printable(path)} is gone: commit ${commit.slice(0, 12)} took it away`);
  });
}

async function folderProblems({ opsRepo, tip, actionsDir, isFolderGuessed }: Clone): Promise<readonly Check[]> {
  if (!isFolderGuessed) return [];
  const folder = withoutSlash(actionsDir);
  if (folder !== '' && (await opsRepo.entryAt(tip, folder))?.kind === 'tree') return [];
  const message = `the branch has no folder ${printable(actionsDir)}, so no result was looked at`;
  const fix = 'Name the folder of the actions: --actions <folder>';
  return [{ name: 'folder', ok: false, code: 'ERR_USAGE', message, fix }];
}

const withoutSlash = (folder: string): string => folder.replace(/\/+$/, '');

function summaries(results: readonly VerifiedResult[], { keys }: Clone): readonly Check[] {
  const count = (state: VerifiedResult['state']) => results.filter((result) => result.state === state).length;
  const states = (['own', 'foreign', 'unsigned', 'broken'] as const).filter((state) => count(state) > 0);
  const parts = states.map((state) => `${count(state)} ${state}`).join(', ');
  const good = (name: string, message: string): Check => ({ name, ok: true, code: null, message, fix: null });
  const said = keys.length === 0 ? 'no key is given, so no signature was asked for' : `${keys.length} may sign results`;
  return [good('keys', said), good('results', results.length === 0 ? 'there are none' : parts)];
}
