import type { Account, Change, ChangeCommit, ChangeHistory, Review } from '../../domain/change.ts';
import { reviewVerdict } from '../../domain/forge-verdict.ts';
import { isOid, type Oid } from '../../domain/ids.ts';
import type { Plan } from '../../domain/plan.ts';
import type { Forge } from '../../ports/forge.ts';
import type { OpsRepo } from '../../ports/ops-repo.ts';
import type { StoryContext } from '../../story/context.ts';

/*
 * What the reviews of an open change would be worth after its merge: told to the people who review, and nothing else.
 * The rule itself judges by what was merged.
 */

export interface Reviews {
  readonly change: Change;
  readonly reviews: readonly Review[];
  readonly commits: readonly ChangeCommit[];
  readonly history: ChangeHistory;
  readonly admins: ReadonlySet<number>;
  /** Commits that can be looked into. */
  readonly there: ReadonlySet<Oid>;
}

export interface ReviewTerms {
  readonly bots: readonly string[];
  readonly forgeAdmins: boolean;
}

const RULE = 'forge-review';

interface ReadTools {
  readonly opsRepo: OpsRepo;
  readonly forgeAdmins: boolean;
  readonly commits: readonly ChangeCommit[];
}

/** Errors: those of forge and ops repo. */
export async function readReviews(
  change: Change,
  forge: Forge,
  { opsRepo, forgeAdmins, commits }: ReadTools,
  signal: AbortSignal,
): Promise<Reviews> {
  const [reviews, history] = await Promise.all([forge.reviews(change.number, signal), forge.history(change, signal)]);
  const wanted = reviews.flatMap(({ commit }) => (isOid(commit) ? [commit] : []));
  const there = wanted.length === 0 ? new Set<Oid>() : await opsRepo.obtain([...new Set(wanted)], signal);
  const accounts = new Map(reviews.map(({ by }) => [by.id, by] as const));
  const admins = new Set<number>();
  for (const [id, account] of forgeAdmins ? accounts : new Map<number | null, Account>()) {
    if (id !== null && (await forge.isAdmin(account, signal))) admins.add(id);
  }
  return { change, reviews, commits, history, admins, there };
}

/** The plan of bytes that are not on the branch, with what reviews say of exactly these. */
export async function withReviews(
  plan: Plan,
  found: Reviews,
  terms: ReviewTerms & { readonly url: string },
  context: StoryContext,
): Promise<Plan> {
  const { approval } = plan;
  if (approval === null || plan.committed || !approval.rules.some(({ rule }) => rule === RULE)) return plan;
  const { change, reviews, there } = found;
  const seen = await Promise.all(
    reviews.map(async (review) => {
      const commit = isOid(review.commit) && there.has(review.commit) ? review.commit : null;
      const entry = commit === null ? null : await context.opsRepo.entryAt(commit, plan.path);
      const shown = commit !== null && (await isShown(commit, plan, context));
      return {
        ...review,
        isKnown: commit !== null,
        isShown: shown,
        blob: entry?.kind === 'file' || entry?.kind === 'executable' ? entry.oid : null,
        formulaBlob: null,
      };
    }),
  );
  const merge = { commit: change.head, by: null, at: change.createdAt };
  const evidence = { ...found, merge, reviews: seen, makers: [], mergedBlob: null, mergedFormulaBlob: null };
  const blob = plan.blob;
  if (!isOid(blob)) return plan;
  const verdict = reviewVerdict(evidence, {
    blob,
    forgeUrl: terms.url,
    approvers: context.world().inForce.policy?.policy.approvers ?? [],
    bots: new Set(terms.bots.map((login) => login.toLowerCase())),
    selfApprove: approval.required?.selfApprove ?? false,
  });
  const told =
    verdict.kind === 'met'
      ? {
          met: true,
          code: null,
          message: `${verdict.evidence.map(({ by }) => by).join(', ')} approved these very bytes`,
        }
      : { met: false, code: verdict.code, message: verdict.message };
  const rules = approval.rules.map((each) => (each.rule === RULE ? { ...each, ...told } : each));
  return { ...plan, approval: { ...approval, rules } };
}

/** The reviewed commit itself brings these bytes, against where it parted from the branch. */
async function isShown(commit: Oid, { path, blob }: Plan, { opsRepo, world }: StoryContext): Promise<boolean> {
  for (const base of await opsRepo.mergeBases(commit, world().tips.tip)) {
    if ((await opsRepo.entryAt(base, path))?.oid === blob) return false;
  }
  return true;
}
