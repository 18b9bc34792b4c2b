import type { ForgeOptions } from '../../src/adapters/factory.ts';
import type { GitStore, Identity } from '../../src/cli/demo-forge/git-store.ts';
import type { MergeStyle, Permission } from '../../src/cli/demo-forge/records.ts';

/** A forge with one repository on which histories of changes are made: a fake one, or a real one over its API. */

export type Verdict = 'approved' | 'changes-requested' | 'comment';

/** People of every stage. `robot` is a bot with admin rights, `boss` administers the site, `outsider1` may nothing. */
export const PEOPLE = {
  owner1: 'owner',
  approver1: 'admin',
  approver2: 'admin',
  team1: 'owner',
  dev1: 'write',
  dev2: 'write',
  reader1: 'read',
  'edge-bot': 'write',
  robot: 'admin',
  outsider1: 'none',
} as const satisfies Record<string, Permission>;

/** Accounts of every stage that are no people. */
export const BOTS: readonly string[] = ['edge-bot', 'robot'];

/**
 * All names are those of the histories: `login` says what they are here. Branches of a fork are `name:branch`. Calls fail
 * when the forge refuses; one at a time.
 */
export interface Stage {
  /** Where commits are made before they are pushed; holds whatever `tip` has answered. */
  readonly git: GitStore;
  /** Full name of the repository. */
  readonly repo: string;
  login(name: string): string;
  /** The name behind a login. */
  nameOf(login: string): string;
  identity(name: string): Identity;
  /** Of the account. */
  idOf(name: string): Promise<number>;
  /** Seconds since 1970. */
  seconds(): number;
  /** null: there is no such branch. */
  tip(branch: string): Promise<string | null>;
  push(by: string, branch: string, commit: string, force?: boolean): Promise<void>;
  deleteBranch(by: string, branch: string): Promise<void>;
  /** Answers its number. */
  open(by: string, change: { readonly head: string; readonly base: string; readonly title: string }): Promise<number>;
  close(by: string, change: number): Promise<void>;
  /** Moves the change to another base branch. */
  retarget(by: string, change: number, base: string): Promise<void>;
  /** Without `commit`: the head as the forge knows it. */
  review(by: string, change: number, verdict: Verdict, commit?: string): Promise<void>;
  comments(by: string, change: number, count: number): Promise<void>;
  draft(by: string, change: number): Promise<void>;
  /** Sends the draft. */
  send(by: string, change: number, verdict: Verdict): Promise<void>;
  request(by: string, change: number, reviewer: string): Promise<void>;
  /** The newest review of this reviewer; or takes that back. */
  dismiss(by: string, change: number, reviewer: string, undo?: boolean): Promise<void>;
  /** Waits as long as the forge is not ready to merge. */
  merge(by: string, change: number, style: MergeStyle): Promise<void>;
  mergeManually(by: string, change: number, commit: string): Promise<void>;
  schedule(by: string, change: number): Promise<void>;
  /** Until the forge has merged it by itself. */
  untilMerged(change: number): Promise<void>;
  protect(rules: 'dismiss-stale' | 'one-approval' | 'off'): Promise<void>;
  autodetect(on: boolean): Promise<void>;
  addUser(name: string, role: Permission): Promise<void>;
  permission(name: string, role: Permission): Promise<void>;
  deleteUser(name: string): Promise<void>;
  comment(by: string, change: number, body: string): Promise<void>;
  /** Bodies of the comments on a change with their authors' names, oldest first. */
  commentsOf(change: number): Promise<readonly { readonly by: string; readonly body: string }[]>;
  /** How many statuses the commit has. */
  statusesOf(commit: string): Promise<number>;
  /** Whether the forge may take notice of something before whoever rushes has done the next step. */
  readonly losesRaces: boolean;
  /** Until the change can be merged; from then on the forge has not taken notice of what is pushed, until it is settled. */
  rush(change: number): Promise<void>;
  /** Until the forge has taken notice of all that was pushed and merged, in mapping and log too. */
  settle(change?: number): Promise<void>;
}

export type Kind = 'forgejo' | 'gitea' | 'github';

/** How adapters and a clone of the ops repo reach a stage. */
export interface OpenStage {
  readonly stage: Stage;
  /** For an adapter of this kind that asks as this account. */
  options(kind: Kind, as: string): ForgeOptions;
  /** For the clone. */
  readonly remote: { readonly url: string; readonly tokenFile: string | null; readonly username: string };
  close(): Promise<void>;
}
