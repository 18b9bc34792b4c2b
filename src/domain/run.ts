import type { Code } from '../errors.ts';
import type { AttemptToken } from './ids.ts';

/** A run as the engine knows it. `id` is the engine's own name for it; `token` is what it is found again by. */
export interface Run {
  readonly token: AttemptToken;
  readonly id: string;
  /** The machine it runs on, where the engine says so. */
  readonly node: string | null;
}

/**
 * How a run ended, in the engine's own words. `exitCode` is that of the runner: the command's own, 128 + signal, or 69
 * for the runner's own reasons.
 *
 * - `lost`: the engine says that the place it ran on is gone.
 * - `unknown`: neither the engine nor anybody can say what became of it.
 * - `not-started`: the engine gave up placing it; whether a copy may still start is for the single-use wrapper to prove.
 */
export type RunEnd =
  | {
      readonly kind: 'exited';
      readonly exitCode: number;
      readonly signal: string | null;
      readonly oom: boolean;
      readonly startedAt: string | null;
      readonly finishedAt: string | null;
      /** Why the engine stopped it; absent: it did not. */
      readonly stopped?: string;
    }
  | { readonly kind: 'lost' | 'unknown' | 'not-started'; readonly message: string };

/**
 * What `Engine.watch` tells: each value replaces the one before, `ended` is the last. `node`: where it was placed, of
 * engines that know it only then.
 */
export type RunStatus =
  | { readonly state: 'queued'; readonly message: string | null }
  | { readonly state: 'running'; readonly startedAt: string | null; readonly node?: string }
  | { readonly state: 'ended'; readonly end: RunEnd; readonly node?: string };

/** How an action ends (formats.md, "Which end, which code"). */
export const OUTCOMES = [
  'succeeded',
  'failed',
  'timed_out',
  'cancelled',
  'lost',
  'unknown',
  'invalid',
  'refused',
] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** Why we asked a run to stop, if we did. */
export interface StopRequest {
  readonly kind: 'cancel' | 'deadline';
  readonly by: string;
  readonly message: string;
  /** Since when it is wished, ISO 8601; absent: not told. */
  readonly at?: string | undefined;
}

export interface Reason {
  readonly code: Code;
  readonly message: string;
  readonly hint: string | null;
  /** The user or the rule that decided; null where nobody did. */
  readonly by: string | null;
}
