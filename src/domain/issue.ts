import type { Account } from './change.ts';

/** What a forge says of an issue. Whoever may read the repository may have written its title and body. */
export interface Issue {
  readonly number: number;
  /** Its page, for people. */
  readonly url: string;
  readonly title: string;
  /** Empty where the forge's text is too long to be read. */
  readonly body: string;
  readonly author: Account;
  readonly labels: readonly string[];
  readonly state: 'open' | 'closed';
  /** ISO 8601, by the forge's clock; comments and changes of labels and state move it. */
  readonly updatedAt: string;
}

export interface IssueComment {
  readonly id: number;
  readonly author: Account;
  /** Empty where the forge's text is too long to be read. */
  readonly body: string;
}
