import { Command } from 'commander';
import type { Catalogue, Change } from '../adapters/factory.ts';
import { EdgeError, StalledError, TransientError, UsageError } from '../errors.ts';
import { planDeployment } from '../wiring/adapters.ts';
import type { CliCommand } from './command.ts';
import { catalogueOf, type KnownFormulas, knownFormulas } from './deploy-catalogue.ts';
import {
  type Colour,
  EXIT,
  type ExitCode,
  type GlobalOptions,
  type Io,
  paint,
  printJson,
  printLine,
  quoted,
} from './io.ts';
import { observe, quietLog } from './observe.ts';

export function deployCommand(): CliCommand {
  const command = new Command('deploy')
    .description('registers jobs, policies and roles for the formulas in force; shows the difference first')
    .option('--dry-run', 'only show the difference');
  return { command, run: deploy };
}

export type DeployOptions = GlobalOptions & { readonly dryRun?: boolean };

async function deploy(io: Io, options: DeployOptions): Promise<ExitCode> {
  return deployBy(io, options, (deployment) =>
    observe(io, options, async (observed) => {
      const plan = (catalogue: Catalogue) => planDeployment(observed.config, quietLog(io), catalogue);
      await deployFor(await knownFormulas(observed), plan, deployment);
    }),
  );
}

interface Made {
  readonly change: Change;
  applied: boolean;
}

export interface Deployment {
  readonly io: Io;
  readonly options: DeployOptions;
  readonly teller: Teller;
  /** Filled in as it goes, so that a failure half-way leaves what was done to be told. */
  readonly made: Made[];
}

/** Does `work`, tells what came of it, and answers the exit code. Throws UsageError and mistakes of ours. */
export async function deployBy(
  io: Io,
  options: DeployOptions,
  work: (deployment: Deployment) => Promise<void>,
): Promise<ExitCode> {
  const made: Made[] = [];
  try {
    await work({ io, options, teller: options.json === true ? silent : tellerOf(io), made });
    if (options.json === true) printJson(io, { changes: made.map(asJson) });
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof EdgeError) || error instanceof UsageError) throw error;
    const { code, message } = error;
    const hint = hintOf(error);
    if (options.json === true) printJson(io, { changes: made.map(asJson), error: { code, message, hint } });
    else io.stderr.write(`${code}: ${quoted(message)}\n    ${quoted(hint)}\n`);
    return error instanceof TransientError ? EXIT.unreachable : EXIT.problems;
  }
}

/** The difference first, then each change in its order. Errors: those of `plan` and of the changes. */
export async function deployFor(
  known: KnownFormulas,
  plan: (catalogue: Catalogue) => Promise<readonly Change[]>,
  { io, options, teller, made }: Deployment,
): Promise<void> {
  teller.begin(known);
  const changes = await plan(catalogueOf(known.formulas, known.sidecars));
  made.push(...changes.map((change) => ({ change, applied: false })));
  teller.plan(changes);
  if (options.dryRun === true) return;
  for (const one of made.filter(({ change }) => change.kind !== 'same')) {
    if (io.signal.aborted) throw new StalledError('ERR_SHUTTING_DOWN', 'interrupted');
    await one.change.apply();
    one.applied = true;
    teller.done(one.change);
  }
}

const asJson = ({ change: { what, kind, difference }, applied }: Made) => ({ what, kind, difference, applied });

/** What the daemon may do is not enough for this. */
function hintOf({ code, hint }: EdgeError): string {
  if (!['ERR_ENGINE_DENIED', 'ERR_ACCESS_DENIED'].includes(code)) return hint;
  return `${hint} To deploy takes tokens of an administrator, in NOMAD_TOKEN and VAULT_TOKEN of the environment.`;
}

interface Teller {
  begin(known: KnownFormulas): void;
  plan(changes: readonly Change[]): void;
  done(change: Change): void;
}

const silent: Teller = { begin: () => undefined, plan: () => undefined, done: () => undefined };

const COLOURS: Readonly<Record<Change['kind'], Colour>> = { same: 'dim', new: 'green', changed: 'yellow' };
const KIND_WIDTH = 'changed'.length;

function tellerOf(io: Io): Teller {
  const kindOf = (kind: Change['kind']) => paint(io, COLOURS[kind], kind.padEnd(KIND_WIDTH));
  return {
    begin({ formulas, from }) {
      const which = from === 'in-force' ? 'in force' : 'at the tip of the branch (no policy is in force yet)';
      printLine(io, `for ${formulas.length} formula${formulas.length === 1 ? '' : 's'} ${which}:`);
    },
    plan(changes) {
      for (const { what, kind, difference } of changes) {
        printLine(io, `  ${kindOf(kind)} ${quoted(what)}`);
        for (const line of difference) printLine(io, `  ${' '.repeat(KIND_WIDTH)}   ${quoted(line)}`);
      }
      if (changes.length === 0) printLine(io, '  nothing to register: this engine and this access need no set-up');
      else if (changes.every(({ kind }) => kind === 'same')) printLine(io, 'nothing to do');
    },
    done: ({ what }) => printLine(io, `${paint(io, 'green', 'applied')} ${quoted(what)}`),
  };
}
