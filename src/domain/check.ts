import type { Code } from '../errors.ts';

/** One line of `doctor` and of the checks at start-up: something outside that the daemon needs. */
export interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly code: Code | null;
  readonly message: string;
  /** What a person does about it; null when ok. */
  readonly fix: string | null;
  /** Login of the account that a token of ours belongs to, where the check is about that. */
  readonly account?: string;
}
