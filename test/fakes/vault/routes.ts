import type { Answer } from './answers.ts';
import type { Call } from './request.ts';
import type { State } from './state.ts';
import type { TokenRecord } from './tokens.ts';

/** `match` is what the groups of the path caught; `caller` is the token that was used. */
export type Handler = (call: Call, match: readonly string[], state: State, caller: TokenRecord) => Answer;

/** What the server does at one path. An operation without handler is 405. */
export interface Route {
  readonly path: RegExp;
  readonly read?: Handler;
  readonly list?: Handler;
  readonly update?: Handler;
  readonly delete?: Handler;
  /** Where it says no, writing needs the capability `create` instead of `update`. */
  readonly exists?: (match: readonly string[], state: State) => boolean;
}
