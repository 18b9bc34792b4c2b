import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { Command } from 'commander';
import { gitUrlProblem, isGitPath } from '../domain/config-urls.ts';
import { StalledError, UsageError } from '../errors.ts';
import type { CliCommand } from './command.ts';
import { initSteps, type Step } from './init-steps.ts';
import { trustCommit } from './init-trust.ts';
import { EXIT, type ExitCode, type GlobalOptions, type Io, paint, printJson, printLine, quoted } from './io.ts';
import { type OpsRepoPaths, opsRepoAt } from './ops-repo-files.ts';
import { findOwnIdentity, type OwnIdentity } from './own-key.ts';
import { writeNewFiles } from './plain-git.ts';
import { configScaffold, type FirstApprover, IGNORED, ignoreScaffold, opsRepoScaffold } from './scaffold.ts';
import { userGit } from './user-git.ts';

export function initCommand(): CliCommand {
  const command = new Command('init')
    .description('makes an ops repo and a dispatcher.toml; overwrites nothing')
    .argument('[dir]', 'folder of the ops repo, made if need be', '.')
    .option('--trust <commit>', 'write trusted_commit: its policy and formulas are in force to begin with');
  return { command, run: (io, options, [dir]) => init(io, options, path.resolve(io.cwd, String(dir))) };
}

async function init(io: Io, options: GlobalOptions & { trust?: string }, root: string): Promise<ExitCode> {
  if (options.trust !== undefined) return trustCommit(io, options, { revision: options.trust, from: root });
  refuseOtherRepos(root);
  const isNew = await ensureGit(io, root);
  const found = await lookAround(io, options, root);
  const { written, kept } = await writeMissing(found);
  const steps = initSteps({ ...found, written, cwd: io.cwd, ignored: await missingIgnores(root) });
  report(io, options, { found, isNew, written, kept, steps });
  return EXIT.ok;
}

// The git repo

function refuseOtherRepos(root: string): void {
  const hint = 'Choose a folder outside of it, or run init in its root.';
  if (existsSync(path.join(root, '.git'))) return;
  if (['HEAD', 'objects', 'refs'].every((name) => existsSync(path.join(root, name)))) {
    const clone = `git clone ${root} ops && cd ops`;
    throw new UsageError('ERR_USAGE', `${root} is a bare repo: init needs a clone of it`, { hint: clone });
  }
  for (let above = path.dirname(root); ; above = path.dirname(above)) {
    if (existsSync(path.join(above, '.git'))) {
      throw new UsageError('ERR_USAGE', `${root} lies inside the git repo ${above}`, { hint });
    }
    if (above === path.dirname(above)) return;
  }
}

/** True: there was none. */
async function ensureGit(io: Io, root: string): Promise<boolean> {
  await mkdir(root, { recursive: true }).catch((error: unknown) => {
    throw new UsageError('ERR_USAGE', `cannot make the folder ${root}`, { cause: error, hint: 'Choose another one.' });
  });
  if (existsSync(path.join(root, '.git'))) return false;
  const made = await userGit(io, root, ['init', '--quiet', '--initial-branch=main', '.']);
  if (made !== null) return true;
  throw new StalledError('ERR_GIT_UNAVAILABLE', `git init does not work in ${root}`, {
    hint: 'Try it by hand to see why.',
  });
}

/** What can be found out need not be asked. */
interface Found {
  readonly root: string;
  readonly paths: OpsRepoPaths;
  readonly configFile: string;
  readonly branch: string;
  /** What goes into `[ops_repo] url`. */
  readonly url: string;
  readonly remoteName: string;
  /** Where the url comes from: a remote that is there, or a bare repo beside that is still to be made. */
  readonly remote: 'configured' | 'unusable' | 'none';
  readonly identity: OwnIdentity | null;
}

async function lookAround(io: Io, options: GlobalOptions, root: string): Promise<Found> {
  const configFile = path.resolve(options.config === undefined ? root : io.cwd, options.config ?? 'dispatcher.toml');
  const { paths } = opsRepoAt(root, { config: configFile }, io);
  const branch = (await userGit(io, root, ['symbolic-ref', '--quiet', '--short', 'HEAD'])) ?? 'main';
  const remotes = ((await userGit(io, root, ['remote'])) ?? '').split('\n').filter((name) => name !== '');
  const name = remotes.includes('origin') ? 'origin' : remotes[0];
  const given = name === undefined ? null : await userGit(io, root, ['remote', 'get-url', name]);
  const url = given === null ? null : usableUrl(given, root);
  return {
    root,
    paths,
    configFile,
    branch,
    url: url ?? LOCAL_REPO,
    remoteName: name ?? 'origin',
    remote: url !== null ? 'configured' : given !== null ? 'unusable' : 'none',
    identity: await findOwnIdentity(io, root),
  };
}

/** As the embedded default has it. */
const LOCAL_REPO = './edge-data/ops.git';

/** Without user and password, which belong into files; null: the dispatcher does not take it. */
function usableUrl(url: string, root: string): string | null {
  if (isGitPath(url)) return path.resolve(root, url);
  const plain = /^https?:/i.test(url) ? url.replace(/^([a-z]+:\/\/)[^/@]*@/i, '$1') : url;
  return gitUrlProblem(plain) === null ? plain : null;
}

// The files

async function writeMissing(found: Found): Promise<{ written: readonly string[]; kept: readonly string[] }> {
  const { root, paths, configFile, url, branch, identity } = found;
  const approver: FirstApprover | null =
    identity?.key == null ? null : { name: identity.name, key: identity.key, counts: identity.signs };
  const inRepo = { '.gitignore': ignoreScaffold(), ...opsRepoScaffold(paths, approver) };
  const wanted = await withoutExamples(root, paths, inRepo);
  const config = { [path.basename(configFile)]: configScaffold({ url, branch }) };
  const written = [
    ...(await writeNewFiles(root, wanted)),
    ...(await writeNewFiles(path.dirname(configFile), config)).map(() => path.relative(root, configFile)),
  ];
  const all = [...Object.keys(wanted), path.relative(root, configFile)];
  return { written, kept: all.filter((name) => !written.includes(name)) };
}

/** A repo that has formulas or actions already needs no example of them. */
async function withoutExamples(
  root: string,
  { formulasDir, actionsDir }: OpsRepoPaths,
  files: Readonly<Record<string, string>>,
): Promise<Readonly<Record<string, string>>> {
  const inUse: string[] = [];
  for (const dir of [formulasDir, actionsDir]) {
    const names = await readdir(path.join(root, dir)).catch(() => []);
    if (names.some((name) => !Object.hasOwn(files, `${dir}/${name}`))) inUse.push(dir);
  }
  return Object.fromEntries(Object.entries(files).filter(([name]) => !inUse.some((dir) => name.startsWith(`${dir}/`))));
}

async function missingIgnores(root: string): Promise<readonly string[]> {
  const lines = (await readFile(path.join(root, '.gitignore'), 'utf8').catch(() => '')).split(/\r?\n/);
  return IGNORED.filter((line) => !lines.includes(line) && !lines.includes(line.replace(/^\//, '')));
}

// What is told

interface Made {
  readonly found: Found;
  readonly isNew: boolean;
  readonly written: readonly string[];
  readonly kept: readonly string[];
  readonly steps: readonly Step[];
}

function report(io: Io, options: GlobalOptions, { found, isNew, written, kept, steps }: Made): void {
  const { root, branch, url, identity } = found;
  if (options.json === true) {
    const approver = identity?.key == null ? null : { name: identity.name, key: identity.key };
    return printJson(io, { root, branch, url, approver, written, kept, next: steps });
  }
  printLine(
    io,
    `${isNew ? 'Made an ops repo' : 'Ops repo'} in ${paint(io, 'bold', quoted(root))}, branch ${quoted(branch)}`,
  );
  for (const name of written) printLine(io, `  ${paint(io, 'green', 'wrote')}  ${quoted(name)}`);
  for (const name of kept) printLine(io, `  ${paint(io, 'dim', 'kept')}   ${quoted(name)} (it was there)`);
  printLine(io, '\nNext:');
  for (const [index, { text, commands }] of steps.entries()) {
    printLine(io, `\n${String(index + 1).padStart(2)}. ${quoted(text)}`);
    for (const command of commands) printLine(io, `      ${paint(io, 'cyan', quoted(command))}`);
  }
}
