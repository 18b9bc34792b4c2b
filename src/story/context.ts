import type { Result } from '../domain/result.ts';
import type { Reason } from '../domain/run.ts';
import type { Tier } from '../domain/tier.ts';
import type { Requirement } from '../domain/verdict.ts';
import type { Access } from '../ports/access.ts';
import type { ApprovalRule } from '../ports/approval.ts';
import type { ChangeFinder } from '../ports/changes.ts';
import type { Clock } from '../ports/clock.ts';
import type { Control } from '../ports/control.ts';
import type { Engine } from '../ports/engine.ts';
import type { Forge } from '../ports/forge.ts';
import type { Journal } from '../ports/journal.ts';
import type { Log } from '../ports/log.ts';
import type { OpsRepo } from '../ports/ops-repo.ts';
import type { Records } from '../ports/records.ts';
import type { Store } from '../ports/store.ts';
import type { OwnResults } from './own-results.ts';
import type { World } from './world.ts';

/** What every step of the story may use. */
export interface StoryContext {
  readonly opsRepo: OpsRepo;
  readonly journal: Journal;
  readonly engine: Engine;
  readonly access: Access;
  readonly store: Store;
  readonly records: Records;
  readonly control: Control;
  readonly clock: Clock;
  readonly log: Log;
  readonly rules: ReadonlyMap<string, ApprovalRule>;
  readonly ownResults: OwnResults;
  /** Witness of who proposed and pushed what; null: none is configured. */
  readonly forge: Forge | null;
  /** Finds the change that brought a commit; null: no forge is configured. */
  readonly changes: ChangeFinder | null;
  readonly settings: StorySettings;
  /** The newest world; steps that take a verdict again ask it anew. */
  readonly world: () => World;
  /** Tells a person where an action is; the last one told counts. */
  readonly tell: (id: string, step: Step) => void;
}

export interface StorySettings {
  /** Configured name and the random instance of this start. */
  readonly dispatcher: string;
  readonly instance: string;
  /** Other dispatchers, whose attempts we take over when their signs of life stop. With any we give signs ourselves. */
  readonly peers: readonly string[];
  /** What each tier needs; null: nothing configured, waits for ever. */
  readonly requirements: Readonly<Record<Tier, Requirement | null>>;
  /** Name of the branch of the ops repo, as the forge knows it. */
  readonly branch: string;
  readonly actionsDir: string;
  readonly formulasDir: string;
  readonly sidecarsDir: string;
  /** Project files of sidecars, which are gated like formulas. */
  readonly projectFiles: readonly string[];
  readonly agent: readonly string[];
  readonly logBytes: number;
  readonly artifactBytes: number;
  readonly placementSeconds: number;
  /** Not placed in time: wait for another attempt, or stop as timed out. */
  readonly placement: 'wait' | 'stop';
  readonly wrapSeconds: number;
  readonly approvalDays: number;
  /** How long the forge may be behind git, in milliseconds. */
  readonly graceMs: number;
}

/** Where an action is, for status page, log and console. */
export interface Step {
  readonly state:
    | 'judging'
    | 'granting'
    | 'claiming'
    | 'dispatching'
    | 'running'
    | 'revoking'
    | 'collecting'
    | 'recording';
  /** Why it does not go on at this moment; null: it does. */
  readonly reason: Reason | null;
  /** Of a run that the engine holds: whether it still waits for a place there. Absent: that is not known anew. */
  readonly isQueued?: boolean;
  /** Its run is over for us, but something of it may live: it keeps its slot (`lost`, `unknown`). */
  readonly holdsSlot?: boolean;
}

/** Every way out of the story: a result in the repo, or still pending, because. */
export type Ending =
  | { readonly kind: 'recorded'; readonly result: Result }
  /** Somebody else's result lies there; nothing was overwritten. */
  | { readonly kind: 'conflict'; readonly reason: Reason }
  | { readonly kind: 'waiting'; readonly reason: Reason };
