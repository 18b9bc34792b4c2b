import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Command } from 'commander';
import { systemClock } from '../adapters/clock.ts';
import { openOpsRepo } from '../adapters/ops-repo/branch.ts';
import { isOid, type Oid } from '../domain/ids.ts';
import { readSignerLine } from '../domain/signer-line.ts';
import { UsageError } from '../errors.ts';
import type { AllowedSigner } from '../ports/ops-repo.ts';
import { trustedCommit } from '../wiring/approval.ts';
import { resultKeys } from '../wiring/results.ts';
import type { CliCommand } from './command.ts';
import { EXIT, type ExitCode, type GlobalOptions, type Io, paint, printJson, printLine } from './io.ts';
import { margin, printBeside } from './layout.ts';
import { observe } from './observe.ts';
import { userGit } from './user-git.ts';
import { type Clone, type Verified, verifyResults } from './verify-results.ts';

/** What the auditor gives in place of a configuration. */
interface VerifyOptions extends GlobalOptions {
  readonly keys?: string;
  readonly trusted?: string;
  readonly actions?: string;
  readonly sidecars?: string;
}

export function verifyCommand(): CliCommand {
  const command = new Command('verify')
    .description('checks the results of the ops repo: who signed them, and whether they hold together')
    .argument('[dir]', 'a clone of the ops repo, of which nothing else has to be known (default: by the configuration)')
    .option('--keys <file>', 'allowed signers of results, in place of those of the configuration')
    .option('--trusted <commit>', 'with a clone: results that lie in this commit count without a signature')
    .option('--actions <folder>', 'with a clone: where actions and results lie', 'vault/actions')
    .option('--sidecars <folder>', 'with a clone: where results of sidecars lie', 'vault/sidecars');
  return {
    command,
    run: (io, options, [dir]) => verify(io, options, typeof dir === 'string' ? path.resolve(io.cwd, dir) : null),
  };
}

async function verify(io: Io, options: VerifyOptions, dir: string | null): Promise<ExitCode> {
  const work = (clone: Clone) => verifyResults(clone, io.signal);
  const verified = dir === null ? await ofConfiguration(io, options, work) : await ofClone(io, options, dir, work);
  if (options.json === true) printJson(io, verified);
  else printVerified(io, verified);
  return verified.checks.every(({ ok }) => ok) ? EXIT.ok : EXIT.problems;
}

function ofConfiguration<T>(io: Io, options: VerifyOptions, work: (clone: Clone) => Promise<T>): Promise<T> {
  return observe(io, options, async ({ config, context, world }) => {
    const { tip, root } = world().tips;
    return work({
      opsRepo: context.opsRepo,
      tip,
      root,
      actionsDir: config.ops_repo.actions_dir,
      sidecarsDir: config.ops_repo.sidecars_dir,
      isFolderGuessed: false,
      keys: options.keys === undefined ? await resultKeys(config, true) : readKeys(io, options.keys),
      trustedCommit: trustedCommit(config),
    });
  });
}

/** The branch that the clone is on, read through a copy that goes again: nothing is written into the clone. */
async function ofClone<T>(io: Io, options: VerifyOptions, dir: string, work: (clone: Clone) => Promise<T>): Promise<T> {
  if (options.keys === undefined) {
    throw new UsageError('ERR_USAGE', 'of a clone alone nobody knows who may sign results', {
      hint: 'Name a file with their public keys: --keys allowed_signers',
    });
  }
  const keys = readKeys(io, options.keys);
  const trusted = toCommit(options.trusted);
  const branch = await userGit(io, dir, ['symbolic-ref', '--short', 'HEAD']);
  if (branch === null) throw new UsageError('ERR_USAGE', `${dir} is no clone that is on a branch`);
  const scratch = await mkdtemp(path.join(tmpdir(), 'edge-verify-'));
  const opsRepo = await openOpsRepo(
    { ...NOBODY, url: dir, branch, dir: scratch, acceptedTipFile: path.join(scratch, 'tip') },
    systemClock,
  );
  try {
    const { tip, root } = await opsRepo.refresh(io.signal);
    const folder = { actionsDir: options.actions ?? '', sidecarsDir: options.sidecars ?? '', isFolderGuessed: true };
    return await work({ opsRepo, tip, root, ...folder, keys, trustedCommit: trusted });
  } finally {
    await opsRepo.close();
    await rm(scratch, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** A folder needs no account, and nothing is pushed. */
const NOBODY = {
  username: '',
  tokenFile: null,
  sshKeyFile: null,
  knownHostsFile: null,
  author: 'nobody <nobody@localhost>',
  timeoutMs: 60_000,
  pushSpacingMs: 0,
};

function toCommit(text: string | undefined): Oid | null {
  if (text === undefined || isOid(text)) return text ?? null;
  throw new UsageError('ERR_USAGE', '--trusted must be a whole commit id, 40 or 64 hex digits');
}

/** Lines of allowed_signers; empty ones and comments are left out. Throws UsageError. */
function readKeys(io: Io, name: string): readonly AllowedSigner[] {
  const lines = readKeyFile(path.resolve(io.cwd, name)).split('\n');
  const keys = lines.flatMap((line, index) => {
    if (/^\s*(?:#|$)/.test(line)) return [];
    const read = readSignerLine(line.trimEnd());
    if (!read.ok) throw new UsageError('ERR_CONFIG_FIELD', `${name}:${index + 1}: the line ${read.rule}`);
    return [{ principal: `line-${index + 1}`, key: read.signer.key }];
  });
  if (keys.length === 0) throw new UsageError('ERR_CONFIG_FILE', `${name} names no key`);
  return keys;
}

function readKeyFile(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError('ERR_CONFIG_FILE', `cannot read ${file}`, { cause: error });
  }
}

function printVerified(io: Io, { checks }: Verified): void {
  const problems = checks.filter(({ ok }) => !ok);
  for (const { code, message, fix } of problems) {
    printBeside(io, { head: `${paint(io, 'red', 'no')}   `, width: 5 }, `${message} [${code ?? ''}]`);
    if (fix !== null) printBeside(io, margin(5), fix, 'dim');
  }
  for (const { name, message } of checks.filter(({ ok }) => ok)) printLine(io, `${name}: ${message}`);
  const found = problems.length === 1 ? '1 problem.' : `${problems.length} problems.`;
  printLine(io, problems.length === 0 ? 'No problem was found.' : found);
}
