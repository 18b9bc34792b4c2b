import type { z } from 'zod';
import type { Access } from '../ports/access.ts';
import type { Clock } from '../ports/clock.ts';
import type { Engine } from '../ports/engine.ts';
import type { Log } from '../ports/log.ts';
import type { Store } from '../ports/store.ts';

/** What every adapter may use. */
export interface Tools {
  /** Absolute path of `[dispatcher] state_dir`. */
  readonly stateDir: string;
  readonly clock: Clock;
  readonly log: Log;
}

export interface EngineTools extends Tools {
  /** argv of the runner (program and path), to which the engine adds its own arguments. */
  readonly runner: readonly string[];
  /** `[mounts.<name>]`; path is a directory of this machine. */
  readonly mounts: Readonly<Record<string, { readonly path: string }>>;
  /** How long a run may take to be placed, in seconds. */
  readonly placementSeconds: number;
}

/**
 * One implementation of a port: it owns and checks its own section of the configuration (`[<family>.<name>]`, keys in
 * snake_case). `create` gets what `options` parsed, opens nothing and never fails for an outside service: `check` does.
 */
interface Factory<T extends Tools, Port> {
  readonly options: z.ZodObject;
  create(options: Record<string, unknown>, tools: T): Port;
}

export interface EngineFactory extends Factory<EngineTools, Engine> {}
export interface AccessFactory extends Factory<Tools, Access> {}
/** Chosen by the scheme of `[store] url`; its section is all of `[store]`. */
export interface StoreFactory extends Factory<Tools, Store> {}
