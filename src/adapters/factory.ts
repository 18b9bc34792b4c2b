import type { z } from 'zod';
import type { SidecarJob } from '../domain/config-sidecar.ts';
import type { SecretText } from '../domain/secret-text.ts';
import type { Access } from '../ports/access.ts';
import type { Clock } from '../ports/clock.ts';
import type { Engine } from '../ports/engine.ts';
import type { Forge } from '../ports/forge.ts';
import type { IssueTracker } from '../ports/issues.ts';
import type { Log } from '../ports/log.ts';
import type { Store } from '../ports/store.ts';

/** What every adapter may use. */
export interface Tools {
  /** Absolute path of `[dispatcher] state_dir`. */
  readonly stateDir: string;
  readonly clock: Clock;
  readonly log: Log;
  /** A token that the environment gave in place of `token_file` of the adapter's own section; null: none. */
  readonly token: SecretText | null;
  /** What the deployment of this dispatcher is to hold; the same for checks, drift and `deploy`. */
  readonly wanted: Wanted;
}

/** What the engine and the secret store have to hold for the formulas and limits of this dispatcher. */
export interface Wanted {
  /** `[mounts.<name>]`. */
  readonly mounts: Readonly<Record<string, Mount>>;
  /** `[limits]` that the jobs have to fit: bytes kept per stream, runs at once, dispatches a minute. */
  readonly logBytes: number;
  readonly inFlight: number;
  readonly dispatchesPerMinute: number;
  /** How long a run may take to be placed, in seconds. */
  readonly placementSeconds: number;
  /** How long a wrapper lives, in seconds. */
  readonly wrapSeconds: number;
  /** Where runs redeem what they are granted; null: not in a Vault. */
  readonly vaultAddress: string | null;
  /** Its namespace; empty: none. */
  readonly vaultNamespace: string;
  /** What the job of sidecars has; null: there are no sidecars. */
  readonly sidecar: SidecarJob | null;
  /** Nomad's namespace of the jobs; null: the engine is another one. */
  readonly engineNamespace: string | null;
}

interface Mount {
  /** Directory of this machine; null: only elsewhere. */
  readonly path: string | null;
  /** Name of the Nomad client's host volume; null: none. */
  readonly hostVolume: string | null;
}

export interface EngineTools extends Tools {
  /** argv of the runner (program and path) of this installation, to which the engine adds its own arguments. */
  readonly runner: readonly string[];
  /** What a runner on this machine needs to reach the secret store (`VAULT_CACERT`); never a secret. */
  readonly runnerEnvironment: Readonly<Record<string, string>>;
}

/** One thing that `deploy` registers or changes. */
export interface Change {
  /** `job vault-runner-ssh`, `policy runner-NPM_TOKEN`. */
  readonly what: string;
  readonly kind: 'same' | 'new' | 'changed';
  /** Lines for a person, each `path: before → after`; empty when it is the same. Never a secret. */
  readonly difference: readonly string[];
  /** Makes it so. Safe to repeat. Errors: TransientError, StalledError. */
  apply(): Promise<void>;
}

/** What the formulas in force need: only known with the ops repo at hand. */
export interface Catalogue {
  /** Engine jobs with the mounts of each variant, sorted; the variant without mounts included. */
  readonly variants: readonly { readonly job: string; readonly mounts: readonly string[] }[];
  /** Names of all secrets that a formula may ask for, sorted. */
  readonly secrets: readonly string[];
  /** The longest that a sidecar may run, in seconds; null: there are none. */
  readonly sidecarSeconds: number | null;
}

/**
 * One implementation of a port: it owns and checks its own section of the configuration (`[<family>.<name>]`, keys in
 * snake_case). `create` gets what `options` parsed, opens nothing and never fails for an outside service: `check` does.
 */
interface Factory<T extends Tools, Port> {
  readonly options: z.ZodObject;
  create(options: Record<string, unknown>, tools: T): Port;
  /** What `deploy` would do here, the difference first; nothing is changed. Absent: there is nothing to register. */
  deployment?(options: Record<string, unknown>, tools: T, catalogue: Catalogue): Promise<readonly Change[]>;
}

/** `[forge]`, with what the environment gave in place of files. */
export interface ForgeOptions {
  /** Without a slash at its end. */
  readonly url: string;
  /** `owner/name` */
  readonly repo: string;
  readonly token: SecretSource;
  /** Branch of the ops repo. */
  readonly branch: string;
  /** May ask who administers the repository; null: nobody can be asked. */
  readonly adminToken: SecretSource | null;
  /** PEM file; null: the roots that Node knows. */
  readonly caFile: string | null;
}

/** Either the secret itself, or the file that it is read from at every use (tokens are rotated). */
export type SecretSource = SecretText | { readonly file: string };

interface ForgeTools {
  readonly clock: Clock;
  readonly log: Log;
}

/** Both open nothing and never fail for an outside service: `check` does. */
export interface ForgeFactory {
  create(options: ForgeOptions, tools: ForgeTools): Forge;
  /**
   * The issues of `options.repo`, which need not be the ops repo; `branch` is not used. The admin token need not be one
   * of this repository: where it may not ask who may write to it, what the other token can see has to do.
   */
  issues(options: ForgeOptions, tools: ForgeTools): IssueTracker;
}

export interface EngineFactory extends Factory<EngineTools, Engine> {}
export interface AccessFactory extends Factory<Tools, Access> {}
/** Chosen by the scheme of `[store] url`; its section is all of `[store]`. */
export interface StoreFactory extends Factory<Tools, Store> {}
