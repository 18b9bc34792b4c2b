import type { Result } from '../../src/domain/result.ts';
import type { ActionPlan } from './actions.ts';
import { PLACEMENT_SECONDS, WRAP_SECONDS } from './dispatcher.ts';
import type { Fact } from './facts.ts';
import type { Command, SimNomad } from './nomad.ts';
import type { Timeline } from './timeline.ts';
import type { SimVault } from './vault.ts';

/** What really happened, as nobody in the world knows it. */
export interface Truth {
  readonly timeline: Timeline;
  readonly nomad: SimNomad;
  readonly vault: SimVault;
  readonly facts: ReadonlySet<Fact>;
  readonly plans: ReadonlyMap<string, ActionPlan>;
  /** Actions whose cancel was asked for by now. */
  readonly cancelled: ReadonlySet<string>;
}

/** A result that is being recorded, beside every command of its action that was ever started. */
interface Told {
  readonly result: Result;
  readonly plan: ActionPlan;
  readonly commands: readonly Command[];
  readonly last: Command | undefined;
}

type Outcome = Result['outcome'];
type Check = (told: Told, truth: Truth) => string | null;

/** Why a result is not the truth at this moment; null: it is. An outage is no reason for any of them. */
export function whyUntrue(result: Result, truth: Truth): string | null {
  const plan = truth.plans.get(result.id);
  if (plan === undefined) return 'nobody committed such an action';
  const commands = truth.nomad.commands.filter(({ id }) => id === result.id);
  const isLiving = commands.some(({ endedAt }) => endedAt === null);
  if (isLiving && result.outcome !== 'lost' && result.outcome !== 'unknown') return 'its command lives';
  return CHECKS[result.outcome]({ result, plan, commands, last: commands.at(-1) }, truth);
}

const unless = (isTrue: boolean, why: string): string | null => (isTrue ? null : why);

/** No command beside those of the attempts that are told of already. */
const isUnstarted = ({ result, commands }: Told) => commands.length <= result.attempts.length;

const CHECKS: Readonly<Record<Outcome, Check>> = {
  succeeded: ({ last }) => unless(last?.exitCode === 0, 'no command of it succeeded'),
  failed: (told, truth) => (FAILED[told.result.reason?.code ?? ''] ?? failedByItself)(told, truth),
  timed_out: (told, truth) => {
    if (told.result.reason?.code === 'ERR_NOT_PLACED') return unless(isUnstarted(told), 'it was executed');
    if (told.last === undefined || told.last.exitCode === 124) return null;
    return unless(told.last.exitCode === 143 && isPastDeadline(told, truth), 'its time was not over');
  },
  cancelled: ({ result }, { cancelled }) => unless(cancelled.has(result.id), 'nobody asked for it'),
  refused: ({ commands, plan }) => {
    if (commands.length > 0) return 'it was executed';
    return unless(plan.isRejected || plan.secrets.includes('NOT_THERE'), 'nothing stood against it');
  },
  invalid: () => 'its file is valid',
  lost: (_, { facts }) => unless(facts.has('node-loss'), 'no node was lost'),
  unknown: ({ result }, truth) => unless(!isKnowable(result.id, truth), 'the truth could be known'),
};

const somebodyElse: Check = (_, { facts }) =>
  unless(facts.has('replayed') || facts.has('node-loss'), 'nobody else had its wrapper');

/** By the reason that is told. */
const FAILED: Readonly<Record<string, Check>> = {
  ERR_VAULT_UNAVAILABLE: (told) => unless(isUnstarted(told), 'it was executed'),
  ERR_WRAPPER_EXPIRED: (told) => unless(isUnstarted(told), 'it was executed'),
  ERR_WRAPPER_USED: somebodyElse,
  ERR_SECRET_DENIED: somebodyElse,
  // Stopped because it did not begin in time, at the very moment when its runner did.
  ERR_COMMAND_SIGNALLED: (told) => (isUnstarted(told) ? null : failedByItself(told)),
  // Without its last words the engine's exit code is all there is, and their loss has to have a cause.
  ERR_RUNNER: (_, { facts }) => unless(facts.size > 0, 'its last words were there'),
};

function failedByItself({ last, result }: Told): string | null {
  const isTrue = last?.exitCode === result.exit_code && result.exit_code !== 0;
  return unless(isTrue, `its command ended with ${last?.exitCode}`);
}

/** A stop at the journal's deadline, which counts from the claim: not before the token was minted. */
function isPastDeadline({ last, plan }: Told, { vault, timeline, facts }: Truth): boolean {
  const minted = vault.minted.find(({ request }) => request.token === last?.token);
  const allowed = (PLACEMENT_SECONDS + 60 * plan.timeoutMinutes + 120) * 1000;
  const begun = (minted?.wrapEndsAt ?? 0) - WRAP_SECONDS * 1000;
  return facts.has('wall-jump') || timeline.now - begun >= allowed;
}

const EXCUSES: readonly Fact[] = [
  'node-loss',
  'collected',
  'notes-lost',
  'journal-lost',
  'long-outage',
  'stopped',
  'machine-lost',
  'twin',
  'replayed',
  'wall-jump',
];

/** Nothing befell its run that would keep anybody from telling what became of it. */
function isKnowable(id: string, { facts, vault, timeline }: Truth): boolean {
  const minted = vault.minted.filter(({ request }) => request.id === id);
  // With its wrapper over, or unwrapped by one who died before he could write that down, nobody can prove anything.
  const isUnproven = minted.some(
    (one) =>
      one.isAnswerLost || one.unwrappedIn?.isDead === true || (one.holder !== 'run' && one.wrapEndsAt <= timeline.now),
  );
  return !isUnproven && !EXCUSES.some((fact) => facts.has(fact));
}
