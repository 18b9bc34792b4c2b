import { lstatSync, readFileSync, realpathSync } from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import { Command } from 'commander';
import { findConfigFile, readConfig } from '../config.ts';
import { problem } from '../domain/problems.ts';
import { type Problem, UsageError } from '../errors.ts';
import { availableParts, sectionSchemas } from '../wiring.ts';
import { annotation, wantsAnnotations } from './ci-annotations.ts';
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
import { findOpsRepo, type OpsRepoFolder, requireOpsRepo } from './ops-repo-files.ts';
import { userGit } from './user-git.ts';
import type { CommitPlaces } from './validate-actions.ts';
import { checkOpsRepo, type Findings } from './validate-repo.ts';

export function validateCommand(): CliCommand {
  const command = new Command('validate')
    .description('checks actions, formulas, policy, project files and configuration; for a pre-commit hook or CI')
    .argument('[file...]', 'only these; default: every file of the ops repo around the working directory');
  return {
    command,
    run: (io, options, [files]) => validate(io, options, Array.isArray(files) ? files.map(String) : []),
  };
}

async function validate(io: Io, options: GlobalOptions, given: readonly string[]): Promise<ExitCode> {
  const wanted = given.map((file) => existing(path.resolve(io.cwd, file)));
  const { repo, base, configs } = surroundings(io, options, wanted);
  const findings = new Map(repo === null ? [] : await checkOpsRepo(repo, gitPlaces(io, repo.root)));
  for (const file of configs) findings.set(relative(base, file), checkConfig(file, base, io));
  const paths = wanted.map((file) => relative(base, file));
  const asked = given.length === 0 ? findings : onlyThese(findings, paths, io);
  report(io, options, asked);
  return [...asked.values()].flat().some(({ severity }) => severity === 'error') ? EXIT.problems : EXIT.ok;
}

/** Folders on the way are followed, the file itself is not: a link is what has to be told. */
function existing(file: string): string {
  if (lstatSync(file, { throwIfNoEntry: false }) === undefined) {
    throw new UsageError('ERR_NOT_FOUND', `there is no file ${file}`, { hint: 'Check the path.' });
  }
  return path.join(realpathSync(path.dirname(file)), path.basename(file));
}

interface Surroundings {
  readonly repo: OpsRepoFolder | null;
  /** Paths are told from here. */
  readonly base: string;
  readonly configs: ReadonlySet<string>;
}

/** A configuration can be checked without any ops repo; nothing else can. */
function surroundings(io: Io, options: GlobalOptions, wanted: readonly string[]): Surroundings {
  const starts = [io.cwd, ...wanted.map((file) => path.dirname(file))];
  const repo = starts.map((start) => findOpsRepo(start, options, io)).find((found) => found !== null) ?? null;
  const usual = repo === null ? findConfigFile(options.config, io.cwd) : repo.configFile;
  const named = wanted.filter((file) => path.basename(file) === 'dispatcher.toml');
  const configs = new Set([...(usual === null ? [] : [usual]), ...named]);
  if (repo === null && configs.size === 0) return { repo: requireOpsRepo(options, io), base: io.cwd, configs };
  return { repo, base: repo?.root ?? io.cwd, configs };
}

/** From the root of the repo, as git writes it. */
function relative(base: string, file: string): string {
  return path.relative(base, file).split(path.sep).join('/');
}

/** As `run` would read it here, environment included. */
function checkConfig(file: string, base: string, io: Io): readonly Problem[] {
  const shown = relative(base, file);
  const bytes = readFile(file);
  if (bytes === null) return [problem('ERR_CONFIG_FILE', shown, 'the file cannot be read')];
  const read = readConfig({
    ...availableParts(),
    file: { path: shown, bytes },
    env: io.env,
    sections: sectionSchemas(),
    hostname: hostname(),
    cwd: path.dirname(file),
  });
  return read.ok ? read.warnings : read.problems;
}

function readFile(file: string): Uint8Array | null {
  try {
    return readFileSync(file);
  } catch {
    return null;
  }
}

/** A folder stands for all in it. What is checked by nobody is said, because a hook may well hand over every file. */
function onlyThese(findings: Findings, wanted: readonly string[], io: Io): Findings {
  const isWanted = (file: string) => wanted.some((one) => one === '' || file === one || file.startsWith(`${one}/`));
  const asked = new Map([...findings].filter(([file]) => isWanted(file)));
  const unknown = wanted.filter(
    (one) => one !== '' && ![...asked.keys()].some((file) => `${file}/`.startsWith(`${one}/`)),
  );
  const what = 'neither action, formula, policy, project file nor configuration';
  if (asked.size === 0)
    throw new UsageError('ERR_USAGE', `there is nothing to check: ${unknown.join(', ')} is ${what}`);
  for (const file of unknown) io.stderr.write(`not checked: ${quoted(file)} is ${what}\n`);
  return asked;
}

/** How many commits there were when each file got its present bytes; what differs from HEAD is not committed yet. */
function gitPlaces(io: Io, root: string): CommitPlaces {
  return async (paths) => {
    const places = new Map<string, number>();
    for (const file of paths) {
      const isCommitted = (await userGit(io, root, ['diff', '--quiet', 'HEAD', '--', file])) !== null;
      const commit = isCommitted
        ? await userGit(io, root, ['log', '-1', '--first-parent', '--format=%H', '--', file])
        : null;
      if (commit === null || commit === '') continue;
      const count = await userGit(io, root, ['rev-list', '--count', '--first-parent', commit]);
      if (count !== null) places.set(file, Number(count));
    }
    return places;
  };
}

// What is told

function report(io: Io, options: GlobalOptions, findings: Findings): void {
  const files = [...findings].toSorted(([a], [b]) => (a < b ? -1 : 1));
  if (options.json === true) return printJson(io, { files: files.map(([file, problems]) => toJson(file, problems)) });
  const problems = files.flatMap(([, found]) => found);
  for (const one of problems) {
    printLine(io, problemLine(io, { ...one, path: quoted(one.path) }));
    if (wantsAnnotations(io.env)) printLine(io, annotation(one));
  }
  const errors = problems.filter(({ severity }) => severity === 'error').length;
  const warnings = problems.length - errors;
  const summary = [
    count(files.length, 'file'),
    errors === 0 ? 'no errors' : count(errors, 'error'),
    ...(warnings === 0 ? [] : [count(warnings, 'warning')]),
  ].join(', ');
  printLine(io, paint(io, errors > 0 ? 'red' : warnings > 0 ? 'yellow' : 'green', summary));
}

const count = (number: number, what: string) => `${number} ${what}${number === 1 ? '' : 's'}`;

/** Nothing is null: what is not known is left out. */
function toJson(file: string, found: readonly Problem[]) {
  const problems = found.map(({ code, path: where, message, severity, line, column, hint }) => ({
    code,
    path: where,
    message,
    severity,
    line,
    column,
    hint,
  }));
  return { path: file, ok: found.every(({ severity }) => severity !== 'error'), problems };
}
