import { readFileSync, realpathSync, statSync } from 'node:fs';
import path from 'node:path';
import { writeDurably } from '../adapters/durable-file.ts';
import { formulaTier, parseFormula } from '../domain/formula.ts';
import { isOid, type Oid } from '../domain/ids.ts';
import { type Policy, parsePolicy, tierOf } from '../domain/policy.ts';
import { problem } from '../domain/problems.ts';
import { highestTier, type Tier } from '../domain/tier.ts';
import { type Problem, UsageError } from '../errors.ts';
import { editsUpTo, printEdits } from './init-trust-edits.ts';
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
import { type OpsRepoFolder, requireOpsRepo } from './ops-repo-files.ts';
import { textAt, withSetting } from './toml-edit.ts';
import { readBlob, userGit } from './user-git.ts';

/**
 * `init --trust <commit>`: the policy and formulas of that commit are in force to begin with. Changes one line of
 * dispatcher.toml; again with the same commit changes nothing.
 */
export async function trustCommit(io: Io, options: GlobalOptions, { revision, from }: Asked): Promise<ExitCode> {
  const repo = requireOpsRepo(options, io, from);
  const commit = await resolveCommit(io, repo, revision);
  const isPushed = await requireOnBranch(io, repo, commit);
  const found = await inForceAt(io, repo, commit);
  const config = configFileOf(repo, options);
  const former = textAt(readConfigText(config), ['approval', 'trusted_commit']);
  const edits = await editsUpTo(io, repo, { former, commit });
  const changed = await writeTrusted(config, commit);
  report(io, options, { commit, config: path.relative(io.cwd, config) || config, changed, isPushed, edits, ...found });
  return EXIT.ok;
}

interface Asked {
  /** As a person wrote it: a branch, a tag, an abbreviated id. */
  readonly revision: string;
  readonly from: string;
}

// The commit

async function resolveCommit(io: Io, { root }: OpsRepoFolder, revision: string): Promise<Oid> {
  const args = ['rev-parse', '--verify', '--quiet', '--end-of-options', `${revision}^{commit}`];
  const found = revision === '' ? null : await userGit(io, root, args);
  if (found !== null && isOid(found)) return found;
  const hint = 'git log --oneline shows the commits; git fetch brings what is not here yet.';
  throw new UsageError('ERR_NOT_FOUND', `${JSON.stringify(revision)} is no commit of the ops repo in ${root}`, {
    hint,
  });
}

/**
 * The daemon takes a commit of its branch only, and with another one nothing would be in force. Answers whether the
 * commit is pushed, as far as this clone knows.
 */
async function requireOnBranch(io: Io, repo: OpsRepoFolder, commit: Oid): Promise<boolean> {
  const branch = await branchOf(io, repo);
  const listed = await userGit(io, repo.root, ['for-each-ref', '--format=%(refname)', `--contains=${commit}`]);
  const refs = (listed ?? '').split('\n');
  const isPushed = refs.some((ref) => ref.startsWith('refs/remotes/') && ref.split('/').slice(3).join('/') === branch);
  if (isPushed || refs.includes(`refs/heads/${branch}`)) return isPushed;
  const hint = 'Merge it first, or trust a commit of the branch: git log --first-parent --oneline';
  throw new UsageError('ERR_NOT_FOUND', `${commit.slice(0, 12)} is not on the branch ${branch}`, { hint });
}

async function branchOf(io: Io, { root, configFile }: OpsRepoFolder): Promise<string> {
  const configured = configFile === null ? null : textAt(readConfigText(configFile), ['ops_repo', 'branch']);
  return configured ?? (await userGit(io, root, ['symbolic-ref', '--short', 'HEAD'])) ?? 'main';
}

// What is in force with it

interface InForceThere {
  readonly formulas: readonly { readonly name: string; readonly tier: Tier }[];
  readonly approvers: Policy['approvers'];
  /** Formula files that are none. */
  readonly problems: readonly Problem[];
}

async function inForceAt(io: Io, { root, paths }: OpsRepoFolder, commit: Oid): Promise<InForceThere> {
  const policy = await policyAt(io, { root, path: paths.policyFile }, commit);
  const listed = (await userGit(io, root, ['ls-tree', '-z', '--full-tree', commit, `${paths.formulasDir}/`])) ?? '';
  const formulas: { name: string; tier: Tier }[] = [];
  const problems: Problem[] = [];
  for (const record of listed.split('\0')) {
    const [, mode = '', oid = '', file = ''] = /^(\d+) \w+ (\w+)\t([^]*\.toml)$/.exec(record) ?? [];
    if (mode === '') continue;
    if (!mode.startsWith('100')) {
      problems.push(problem('ERR_FILE_KIND', file, 'the file is no regular file'));
      continue;
    }
    const parsed = parseFormula(await readBlob(io, root, oid), file);
    if (!parsed.ok) problems.push(...parsed.problems);
    else {
      const { name } = parsed.value;
      formulas.push({ name, tier: highestTier(tierOf(policy, name), formulaTier(parsed.value)) });
    }
  }
  return { formulas, approvers: policy.approvers, problems };
}

/** Without a policy nothing could ever be approved, the policy itself included. */
async function policyAt(io: Io, file: { root: string; path: string }, commit: Oid): Promise<Policy> {
  const entry = await userGit(io, file.root, ['ls-tree', '-z', '--full-tree', commit, file.path]);
  const [, oid = ''] = /^100\d+ blob (\w+)\t/.exec(entry ?? '') ?? [];
  const short = commit.slice(0, 12);
  if (oid === '') {
    const hint = 'Commit a policy first, then trust that commit.';
    throw new UsageError('ERR_POLICY_MISSING', `there is no ${file.path} in commit ${short}`, { hint });
  }
  const parsed = parsePolicy(await readBlob(io, file.root, oid), file.path);
  if (parsed.ok) return parsed.value;
  throw new UsageError('ERR_POLICY_INVALID', `${file.path} of commit ${short} is no policy`, {
    problems: parsed.problems,
  });
}

// The line of dispatcher.toml

function configFileOf({ root, configFile }: OpsRepoFolder, { config }: GlobalOptions): string {
  const file = configFile ?? path.join(root, 'dispatcher.toml');
  if (statSync(file, { throwIfNoEntry: false })?.isFile() === true) return realpathSync(file);
  const hint =
    config === undefined ? 'Make one with `edge-dispatcher init`, or name it with --config.' : 'Check the path.';
  throw new UsageError('ERR_CONFIG_FILE', `there is no ${file}`, { hint });
}

async function writeTrusted(file: string, commit: Oid): Promise<boolean> {
  const text = readConfigText(file);
  if (textAt(text, ['approval', 'trusted_commit']) === commit) return false;
  const after = withSetting(text, 'approval', 'trusted_commit', commit);
  if (after === null) {
    const hint = `Write it yourself, in [approval]: trusted_commit = "${commit}"`;
    throw new UsageError('ERR_CONFIG_FIELD', `${file} is written in a way that cannot be changed safely`, { hint });
  }
  await writeDurably(file, after, statSync(file).mode & 0o777);
  return true;
}

function readConfigText(file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(readFileSync(file));
  } catch (error) {
    throw new UsageError('ERR_CONFIG_FILE', `cannot read ${file}`, { cause: error });
  }
}

// What is told

interface Trusted extends InForceThere {
  readonly commit: Oid;
  readonly config: string;
  readonly changed: boolean;
  readonly isPushed: boolean;
  readonly edits: Awaited<ReturnType<typeof editsUpTo>>;
}

function report(
  io: Io,
  options: GlobalOptions,
  { commit, config, changed, isPushed, edits, formulas, approvers, problems }: Trusted,
): void {
  if (options.json === true) {
    const people = approvers.map(({ name, forge, keys }) => ({ name, forge, keys: keys.map(({ key }) => key) }));
    return printJson(io, {
      trusted_commit: commit,
      config,
      changed,
      pushed: isPushed,
      edits,
      formulas,
      approvers: people,
      problems,
    });
  }
  const what = changed ? 'now trusts' : 'trusts already';
  printLine(io, `${quoted(config)} ${what} ${paint(io, 'bold', commit)}`);
  printLine(io, '\nIn force with it:');
  for (const { name, tier } of formulas) printLine(io, `  formula   ${name} (${tier})`);
  if (formulas.length === 0) printLine(io, paint(io, 'yellow', '  no formula: nothing can run'));
  for (const { name, forge, keys } of approvers) {
    const known = [
      ...(forge === null ? [] : [`${forge.login} at ${forge.url}`]),
      ...keys.map(({ principal }) => principal),
    ];
    printLine(io, `  approver  ${quoted(name)}: ${quoted(known.join(', '))}`);
  }
  if (approvers.length === 0) printLine(io, paint(io, 'yellow', '  no approver: nobody can approve anything'));
  for (const one of problems) printLine(io, problemLine(io, { ...one, path: quoted(one.path) }));
  printEdits(io, edits);
  printLine(io, '\nWhat comes after it is judged by its rules. A running dispatcher has to be started anew.');
  if (!isPushed) {
    printLine(
      io,
      paint(io, 'yellow', 'This clone does not know the commit as pushed: until it is, nothing is in force. git push'),
    );
  }
  if ((io.env['EDGE_APPROVAL_TRUSTED_COMMIT'] ?? '') !== '') {
    printLine(
      io,
      paint(io, 'yellow', 'EDGE_APPROVAL_TRUSTED_COMMIT is set here, and the environment wins over the file.'),
    );
  }
}
