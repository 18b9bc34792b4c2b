import { z } from 'zod';
import { isOid } from '../../../domain/ids.ts';
import { timeSchema } from '../shared/issues.ts';

/** What is read of the answers of Forgejo and Gitea; everything else in them is let pass. */

const oid = z.string().refine(isOid);

/** An empty list may be written as null. */
export function listOf<T>(item: z.ZodType<T>): z.ZodType<readonly T[]> {
  return z
    .array(item)
    .nullable()
    .transform((items) => items ?? []);
}

/** Text that is left out since it is too long. What stands after it in an item that was cut there is missing. */
const leftOut = z.null();

export const userSchema = z.object({ id: z.int(), login: z.string() });
/** null: an account that is gone, in older versions; newer ones name a ghost. */
const someone = userSchema.nullish().transform((user) => user ?? null);
export type User = z.infer<typeof someone>;

export const pullSchema = z.object({
  number: z.int(),
  html_url: z.string(),
  title: z.string(),
  user: someone,
  state: z.string(),
  merged: z.boolean(),
  merged_at: z.string().nullish(),
  merge_commit_sha: z.string().nullish(),
  merged_by: someone,
  base: z.object({ ref: z.string() }),
  head: z.object({
    /** Name of the branch; `ref` is another one when the branch is gone. */
    label: z.string(),
    sha: oid,
    repo: z.object({ full_name: z.string(), owner: userSchema }).nullable(),
  }),
  created_at: z.string(),
});
export type Pull = z.infer<typeof pullSchema>;

const wholeReview = z.object({
  id: z.int(),
  user: someone,
  state: z.string(),
  dismissed: z.boolean(),
  commit_id: z.string(),
  submitted_at: z.string(),
  html_url: z.string(),
});

export const reviewSchema = wholeReview.or(z.object({ id: z.int(), body: leftOut }));

export const fileSchema = z.object({ filename: z.string(), previous_filename: z.string().optional() });

const signature = z.object({ name: z.string(), email: z.string() });

export const commitSchema = z.object({
  sha: oid,
  commit: z.object({ author: signature, committer: signature, message: z.string() }),
  author: someone,
  committer: someone,
});

/** Of what was cut, the time is missing. */
export const eventSchema = z.object({
  id: z.int(),
  type: z.string(),
  user: someone,
  created_at: z.string().optional(),
});
export type Event = z.infer<typeof eventSchema>;

/** Of what was cut (comments), what pushes have is missing. */
export const activitySchema = z.object({
  id: z.int(),
  op_type: z.string(),
  act_user: someone,
  ref_name: z.string().optional(),
  content: z.string().or(leftOut).optional(),
  created: z.string().optional(),
});
export type Activity = z.infer<typeof activitySchema>;

const pushed = z.object({ Sha1: z.string() });

/** `content` of a push: JSON in a text. At most five commits are named, however many were pushed. */
export const pushSchema = z.object({ Commits: z.array(pushed).nullish(), HeadCommit: pushed.nullish() });

export const permissionSchema = z.object({ permission: z.string(), user: userSchema });

export const statusSchema = z.object({
  id: z.int(),
  status: z.string(),
  context: z.string(),
  description: z.string(),
  target_url: z.string(),
  creator: someone,
});

export const commentSchema = z.object({ id: z.int(), body: z.string().or(leftOut), user: someone });
export type Comment = z.infer<typeof commentSchema>;

/** An event of a timeline that may be a comment. */
export const timelineCommentSchema = commentSchema.extend({ type: z.string() });

/** Of what was cut (comments), the label is missing. `body` of an event about a label: `1` for added, else removed. */
export const labelEventSchema = z.object({
  id: z.int(),
  type: z.string(),
  user: someone,
  body: z.string().or(leftOut),
  label: z.object({ id: z.int(), name: z.string() }).nullish(),
});
export type LabelEvent = z.infer<typeof labelEventSchema>;

export const labelSchema = z.object({ name: z.string() });

export const issueSchema = z.object({
  number: z.int(),
  html_url: z.string(),
  title: z.string(),
  body: z.string().or(leftOut),
  user: someone,
  labels: listOf(labelSchema),
  state: z.enum(['open', 'closed']),
  updated_at: timeSchema,
  pull_request: z.unknown(),
});
export type IssueRow = z.output<typeof issueSchema>;

/** `units_map`: right by part of a repository. */
export const teamSchema = z.object({
  permission: z.string(),
  units_map: z.record(z.string(), z.string()).nullish(),
});
export type Team = z.infer<typeof teamSchema>;

export const repositorySchema = z.object({
  full_name: z.string(),
  archived: z.boolean(),
  has_pull_requests: z.boolean().optional(),
  has_issues: z.boolean().optional(),
  /** Issues are kept elsewhere. */
  external_tracker: z.unknown().optional(),
  permissions: z.object({ push: z.boolean() }).optional(),
});

export const settingsSchema = z.object({ max_response_items: z.int().min(1) });
export const versionSchema = z.object({ version: z.string() });
