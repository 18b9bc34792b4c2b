import { z } from 'zod';
import type { Account } from '../../../domain/change.ts';
import type { ForgeClient } from '../shared/client.ts';
import { accountOf } from './accounts.ts';
import { pagesOf } from './pages.ts';
import { activitySchema } from './schemas.ts';

type Signal = AbortSignal | undefined;

/** One move of a branch, by the log of activities of its repository. */
export interface Move {
  readonly kind: string;
  /** All zeros: the branch was not there. */
  readonly before: string;
  readonly after: string;
  readonly by: Account;
  /** ISO 8601. */
  readonly at: string;
}

export interface Asked {
  /** `owner/name` */
  readonly repo: string;
  /** Not the ops repo. */
  readonly isFork?: boolean;
  readonly branch: string;
  /** Only of this kind. */
  readonly kind?: 'pr_merge';
  /** Nothing that is older, in ms since 1970, has to be told. */
  readonly since?: number;
}

const PATH = '/repos/{owner}/{repo}/activity';
const MOST_MOVES = 3_000;

/** Refusals that mean that there is no log for us: of our own repository a missing right is to be told to a person. */
const NO_LOG: readonly number[] = [404, 422];
const HIDDEN: readonly number[] = [...NO_LOG, 403, 451];

/**
 * Newest first, as far as the log goes and at most some thousand; null: there is none, or it is one of a fork and hidden
 * from us.
 */
export async function movesOf(client: ForgeClient, asked: Asked, signal: Signal): Promise<readonly Move[] | null> {
  const { repo: fullName, isFork = false, branch, kind, since = Number.NEGATIVE_INFINITY } = asked;
  const [owner = '', repo = ''] = fullName.split('/');
  const ref = `refs/heads/${branch}`;
  const query = kind === undefined ? { ref } : { ref, activity_type: kind };
  const call = { path: PATH, values: { owner, repo }, query, absent: isFork ? HIDDEN : NO_LOG, signal };
  let moves: Move[] | null = null;
  for await (const page of pagesOf(client, call, z.array(activitySchema))) {
    moves = [...(moves ?? []), ...page.filter((entry) => entry.ref === ref).map(toMove)];
    const oldest = page.at(-1);
    if (oldest === undefined || Date.parse(oldest.timestamp) < since || moves.length >= MOST_MOVES) break;
  }
  return moves;
}

function toMove({ activity_type: kind, before, after, actor, timestamp: at }: z.output<typeof activitySchema>): Move {
  return { kind, before, after, by: accountOf(actor), at };
}
