import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Command } from 'commander';
import { isErrno } from '../adapters/durable-file.ts';
import { type Action, isActionPath, parseAction, salvageId, stemOf } from '../domain/action.ts';
import { type ActionId, isActionId, sidecarNameOf } from '../domain/ids.ts';
import { nearestName } from '../domain/problems.ts';
import { resultSchema } from '../domain/result.ts';
import { locate } from '../domain/toml.ts';
import { type Problem, UsageError } from '../errors.ts';
import { resultId } from '../story/catalogue.ts';
import type { CliCommand } from './command.ts';
import {
  EXIT,
  type ExitCode,
  type GlobalOptions,
  type Io,
  paint,
  printJson,
  printLine,
  problemLine,
  quoted,
} from './io.ts';
import { type FoundFile, listFiles, type OpsRepoFolder, readBytes, requireOpsRepo } from './ops-repo-files.ts';
import { freeId, takenIds } from './rerun-id.ts';
import { loadSettings } from './settings.ts';
import { shellWord } from './shell-word.ts';
import { isSidecarText } from './sidecar-target.ts';
import { withText } from './toml-edit.ts';
import { warning } from './validate-actions.ts';

export function rerunCommand(): CliCommand {
  const command = new Command('rerun')
    .description('writes a new action file with a new id, to be approved like any other')
    .argument('<id>', 'the action to be asked for again, ended or not');
  return { command, run: (io, options, [id]) => rerun(io, options, String(id)) };
}

async function rerun(io: Io, options: GlobalOptions, given: string): Promise<ExitCode> {
  if (isSidecarText(given)) throw noFile(given);
  const repo = requireOpsRepo(options, io);
  const listed = await listFiles(repo.root, repo.paths.actionsDir);
  const { id, path: old } = findAction(listed, given);
  const text = await readText(repo, old);
  const newId = freeId(id, await takenIds(io, repo, { listed, id }));
  const copy = withText(text, ['id'], newId);
  if (copy === null) throw unreadable(old, text);
  const file = path.posix.join(path.posix.dirname(old), `${newId}.toml`);
  await writeNew(path.join(repo.root, file), copy);
  const ended = await endOf(repo, listed, id);
  const parsed = parseAction(Buffer.from(copy), file);
  const problems = parsed.ok
    ? [...parsed.warnings, ...timeProblems(parsed.value, file, copy), ...endProblems(ended, id, file)]
    : parsed.problems;
  const forge = hasForge(repo, options, io);
  report(io, options, { id: newId, path: file, of: id, problems, root: repo.root, ended, forge });
  return parsed.ok ? EXIT.ok : EXIT.problems;
}

/** Its issue asks for it. */
function noFile(given: string): UsageError {
  const name = sidecarNameOf(given);
  const id = name === null ? given : `sidecar/${name.formula}-${name.issue}`;
  return new UsageError('ERR_USAGE', `${given} was asked for by an issue, not by a file that could be written again`, {
    hint: `It runs again after its rest, when somebody who may write changes the issue or comments on it; \`why ${id}\` tells when.`,
  });
}

// The action that there is

function findAction(listed: readonly FoundFile[], id: string): { readonly id: ActionId; readonly path: string } {
  const same = listed.filter((file) => isActionPath(file.path) && stemOf(file.path) === id);
  const [first, ...others] = same;
  if (first === undefined) throw notFound(listed, id);
  if (!isActionId(id)) throw new UsageError('ERR_FILE_NAME', `${first.path}: the file name is no action id with .toml`);
  if (others.length > 0) {
    const paths = same.map((file) => file.path).join(', ');
    throw new UsageError('ERR_ACTION_DUPLICATE', `several actions have the id ${id}: ${paths}`);
  }
  if (first.kind === 'file') return { id, path: first.path };
  throw new UsageError('ERR_FILE_KIND', `${first.path} is a ${first.kind}, not a regular file`);
}

function notFound(listed: readonly FoundFile[], id: string): UsageError {
  const result = listed.find((file) => file.path.endsWith('.result.json') && resultId(file.path) === id);
  if (result !== undefined) {
    const gone = result.path.replace(/\.result\.json$/, '.toml');
    const hint = `Bring it back first: git log --diff-filter=D -- ${shellWord(gone)} names the commit that removed it.`;
    return new UsageError('ERR_NOT_FOUND', `${id} has a result, but its action file is gone`, { hint });
  }
  const ids = listed.flatMap((file) => salvageId(file.path) ?? []);
  const near = nearestName(stemOf(id), ids);
  const hint = near === undefined ? 'Is the clone up to date? git pull' : `Did you mean ${near}?`;
  return new UsageError('ERR_NOT_FOUND', `there is no action ${JSON.stringify(id)} in this clone`, { hint });
}

async function readText({ root }: OpsRepoFolder, file: string): Promise<string> {
  const bytes = await readBytes(root, file);
  const text = bytes === null ? null : Buffer.from(bytes).toString('utf8');
  // Bytes that are no UTF-8 could not be kept as they are.
  if (bytes !== null && text !== null && Buffer.from(text).equals(bytes)) return text;
  throw new UsageError('ERR_FILE_ENCODING', `${file} cannot be read as UTF-8`);
}

function unreadable(file: string, text: string): UsageError {
  const parsed = parseAction(Buffer.from(text), file);
  const hint = 'Mend the file, or write the new action by hand.';
  const problems = parsed.ok ? [] : parsed.problems;
  return new UsageError('ERR_ACTION_ID', `the id of ${file} cannot be changed safely`, { hint, problems });
}

// What to write

async function writeNew(file: string, text: string): Promise<void> {
  await writeFile(file, text, { flag: 'wx' }).catch((error: unknown) => {
    const what = isErrno(error, 'EEXIST') ? 'is there already' : 'cannot be written';
    throw new UsageError('ERR_USAGE', `${file} ${what}`, { cause: error, hint: 'Look at it, then try again.' });
  });
}

// What to know of it

interface End {
  readonly outcome: string;
  readonly code: string | null;
}

async function endOf({ root }: OpsRepoFolder, listed: readonly FoundFile[], id: string): Promise<End | null> {
  const found = listed.find((file) => file.path.endsWith('.result.json') && resultId(file.path) === id);
  if (found === undefined) return null;
  const bytes = found.kind === 'file' ? await readBytes(root, found.path) : null;
  try {
    const { outcome, reason } = resultSchema.parse(JSON.parse(Buffer.from(bytes ?? []).toString('utf8')));
    return { outcome, code: reason?.code ?? null };
  } catch {
    return { outcome: 'unreadable', code: null };
  }
}

function endProblems(ended: End | null, id: string, file: string): Problem[] {
  if (ended?.outcome !== 'lost' && ended?.outcome !== 'unknown') return [];
  const code = ended.outcome === 'lost' ? 'ERR_LOST' : 'ERR_RUN_UNKNOWN';
  const hint = 'Check what it did before this one is approved.';
  return [warning(code, file, `${id} ended ${ended.outcome}: it may have done all of its work, or a part`, { hint })];
}

function timeProblems({ not_before, expires_at }: Action, file: string, text: string): Problem[] {
  const isPast = (time: string | null) => time !== null && Date.parse(time) <= Date.now();
  const found: Problem[] = [];
  if (isPast(expires_at)) {
    const hint = 'Change it before you commit, or remove it.';
    const details = { place: locate(text, ['expires_at']), hint };
    found.push(warning('ERR_EXPIRED', file, `expires_at ${expires_at} has passed: it would be refused`, details));
  }
  if (isPast(not_before)) {
    const details = { place: locate(text, ['not_before']), hint: 'Change it if it shall wait again.' };
    found.push(
      warning(
        'ERR_NOT_BEFORE',
        file,
        `not_before ${not_before} has passed: it runs as soon as it is approved`,
        details,
      ),
    );
  }
  return found;
}

interface Rerun {
  readonly id: string;
  readonly path: string;
  readonly of: string;
  readonly problems: readonly Problem[];
  readonly root: string;
  readonly ended: End | null;
  /** Changes come to the branch through a forge. */
  readonly forge: boolean;
}

/** Without a configuration, or with one that is wrong anywhere, nobody knows: then it is told as without a forge. */
function hasForge({ configFile }: OpsRepoFolder, options: GlobalOptions, io: Io): boolean {
  if (configFile === null) return false;
  try {
    return loadSettings({ ...options, config: configFile }, io).config.forge !== null;
  } catch (error) {
    if (error instanceof UsageError) return false;
    throw error;
  }
}

function report(io: Io, options: GlobalOptions, told: Rerun): void {
  const { id, path: file, of, problems, root, ended } = told;
  if (options.json === true) return printJson(io, { id, path: file, of, outcome: ended?.outcome ?? null, problems });
  const before =
    ended === null ? '' : `, which ended ${ended.outcome}${ended.code === null ? '' : ` (${quoted(ended.code)})`}`;
  printLine(io, `Wrote ${paint(io, 'bold', quoted(file))}: ${id}, a copy of ${of}${before}.`);
  if (ended === null) {
    printLine(
      io,
      paint(io, 'yellow', `${of} has no result in this clone: without \`edge-dispatcher cancel ${of}\` both may run.`),
    );
  }
  for (const one of problems) printLine(io, problemLine(io, { ...one, path: quoted(one.path) }));
  const here = path.relative(root, io.cwd) === '' ? 'git' : `git -C ${shellWord(path.relative(io.cwd, root) || root)}`;
  printNext(io, here, told);
}

function printNext(io: Io, here: string, { id, path: file, of, forge }: Rerun): void {
  printLine(io, '\nNext: change what has to be different, then');
  if (forge) printLine(io, `  ${here} switch -c ${shellWord(`rerun-${id}`)}`);
  printLine(io, `  ${here} add ${shellWord(file)}`);
  printLine(io, `  ${here} commit -m ${shellWord(`Rerun ${of} as ${id}`)}`);
  printLine(io, `  ${here} push${forge ? ' -u origin HEAD' : ''}`);
  const next = forge ? 'open a change of that branch, have it reviewed and merged' : 'have it approved';
  printLine(io, `and ${next} like any other action.`);
}
