import { z } from 'zod';
import { isOid } from '../../../domain/ids.ts';
import { timeSchema } from '../shared/issues.ts';

/** What is read of the answers of GitHub's REST API (version 2022-11-28); everything else in them is let pass. */

const oid = z.string().refine(isOid);

export const userSchema = z.object({ id: z.int(), login: z.string(), type: z.string().optional() });
/** null: an account that is gone; of a commit also an address that belongs to no account, which may be written as {}. */
const someone = userSchema
  .partial()
  .nullish()
  .transform((user) => {
    const { id, login, type } = user ?? {};
    return id === undefined || login === undefined ? null : { id, login, type };
  });
export type User = z.output<typeof someone>;

/** An entry of a list of pull requests: `merged_by` and the counts are told of a single one only. */
export const listedPullSchema = z.object({
  id: z.int(),
  number: z.int(),
  html_url: z.string(),
  title: z.string(),
  user: someone,
  state: z.string(),
  merged_at: z.string().nullish(),
  merge_commit_sha: z.string().nullish(),
  base: z.object({ ref: z.string(), sha: oid }),
  head: z.object({
    ref: z.string(),
    sha: oid,
    user: someone,
    repo: z.object({ full_name: z.string() }).nullish(),
  }),
  created_at: z.string(),
});
export type ListedPull = z.output<typeof listedPullSchema>;

export const pullSchema = listedPullSchema.extend({
  merged_by: someone,
  auto_merge: z.unknown().optional(),
  commits: z.int(),
});
export type Pull = z.output<typeof pullSchema>;

const filedReviewSchema = z.object({
  state: z.enum(['APPROVED', 'CHANGES_REQUESTED', 'COMMENTED', 'DISMISSED']),
  id: z.int(),
  user: someone,
  commit_id: z.string().nullish(),
  submitted_at: z.iso.datetime({ offset: true }),
  html_url: z.string(),
});
export type FiledReview = z.output<typeof filedReviewSchema>;
export const reviewSchema = z.discriminatedUnion('state', [
  z.object({ state: z.literal('PENDING'), id: z.int() }),
  filedReviewSchema,
]);

export const fileSchema = z.object({ filename: z.string(), previous_filename: z.string().optional() });

/** All of it is what the commit claims, and may be missing. */
const signature = z
  .object({ name: z.string().nullish(), email: z.string().nullish() })
  .nullish()
  .transform((claimed) => ({ name: claimed?.name ?? '', email: claimed?.email ?? '' }));

export const commitSchema = z.object({
  sha: oid,
  commit: z.object({ author: signature, committer: signature, message: z.string().nullish() }),
  author: someone,
  committer: someone,
});
export type Commit = z.output<typeof commitSchema>;

export const comparisonSchema = z.object({
  status: z.enum(['ahead', 'behind', 'diverged', 'identical']),
  commits: z.array(commitSchema),
});

/** Commits and comments are among the events and have not all of this. */
export const eventSchema = z.object({
  id: z.int().optional(),
  event: z.string().optional(),
  actor: someone,
  created_at: z.string().optional(),
  dismissed_review: z.object({ review_id: z.int().nullish(), state: z.string().nullish() }).nullish(),
});
export type Event = z.output<typeof eventSchema>;

export const activitySchema = z.object({
  id: z.int(),
  before: z.string(),
  after: z.string(),
  ref: z.string(),
  timestamp: z.string(),
  activity_type: z.string(),
  actor: someone,
});

export const permissionSchema = z.object({ permission: z.string(), user: someone });

export const statusSchema = z.object({
  state: z.string(),
  context: z.string(),
  description: z.string().nullish(),
  target_url: z.string().nullish(),
});

export const commentSchema = z.object({ id: z.int(), body: z.string().nullish(), user: someone });

export const issueSchema = z.object({
  number: z.int(),
  html_url: z.string(),
  title: z.string(),
  body: z.string().nullish(),
  user: someone,
  labels: z.array(z.union([z.string(), z.object({ name: z.string().nullish() }).transform(({ name }) => name ?? '')])),
  state: z.enum(['open', 'closed']),
  updated_at: timeSchema,
  pull_request: z.unknown().optional(),
});
export type IssueRow = z.output<typeof issueSchema>;

export const labelSchema = z.object({ name: z.string() });

/** An event of an issue; comments, which have more and less, are among them. */
export const labelEventSchema = z.object({
  id: z.int().optional(),
  event: z.string().optional(),
  actor: someone,
  label: labelSchema.nullish(),
});
export type LabelEvent = z.output<typeof labelEventSchema>;

export const repositorySchema = z.object({
  full_name: z.string(),
  default_branch: z.string(),
  archived: z.boolean().optional(),
  has_issues: z.boolean().optional(),
  permissions: z.object({ push: z.boolean() }).optional(),
});
