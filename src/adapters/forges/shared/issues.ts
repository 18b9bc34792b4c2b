import { z } from 'zod';
import type { Account } from '../../../domain/change.ts';
import type { Issue } from '../../../domain/issue.ts';
import { StalledError } from '../../../errors.ts';

/** A time in any zone → the same in UTC, so that times of one forge can be compared as texts. */
export const timeSchema = z
  .string()
  .refine((text) => !Number.isNaN(Date.parse(text)))
  .transform((text) => new Date(text).toISOString().replace('.000Z', 'Z'));

/** Each once, by number; `since` is looked at again, whatever the forge filtered. */
export function changedAtOrAfter(issues: readonly Issue[], since: string | null): readonly Issue[] {
  const from = since === null ? Number.NEGATIVE_INFINITY : Date.parse(since);
  const unique = new Map(issues.map((issue) => [issue.number, issue]));
  return [...unique.values()]
    .filter(({ updatedAt }) => Date.parse(updatedAt) >= from)
    .toSorted((a, b) => a.number - b.number);
}

/** One entry of an issue's log about a label. */
export interface Labelling {
  /** What tells labels apart. */
  readonly label: string | number;
  /** How the log calls it. */
  readonly name: string;
  readonly isAdded: boolean;
  readonly by: Account;
}

/** As `IssueTracker.labelledBy`. `log`: oldest first. `carried`: names of the labels that the issue carries now. */
export function settersOf(log: readonly Labelling[], carried: readonly string[]): ReadonlyMap<string, Account> {
  const last = new Map<string | number, Labelling>();
  for (const entry of log) {
    // A place at the end: of two labels of one name the one that came last counts.
    last.delete(entry.label);
    last.set(entry.label, entry);
  }
  const standing = [...last.values()].filter(({ isAdded, name }) => isAdded && carried.includes(name));
  return new Map(standing.map(({ name, by }) => [name, by]));
}

export function switchedOff(repo: string): StalledError {
  const message = `the forge: the issues of ${repo} are switched off`;
  return new StalledError('ERR_FORGE_DENIED', message, { hint: 'Switch issues on in the settings of the repository.' });
}

/** A comment is to be written where there is nothing. */
export function noSuchIssue(repo: string, number: number): StalledError {
  return new StalledError('ERR_FORGE_DENIED', `the forge: there is no issue ${number} in ${repo}`);
}
