import type { ApprovalSubject } from '../ports/approval.ts';
import type { StoryContext } from './context.ts';
import type { ReadAction } from './read-action.ts';
import type { World } from './world.ts';

/** The bytes of an action, as what its approval is of. */
export function subjectOf(
  { candidate, formula, tier }: ReadAction,
  world: World,
  context: StoryContext,
): ApprovalSubject {
  return {
    path: candidate.file.path,
    blob: candidate.file.entry.oid,
    tip: world.tips.tip,
    setBy: { commit: candidate.commit, committedAt: candidate.committedAt },
    formulaPath: `${context.settings.formulasDir}/${formula.name}.toml`,
    approvers: world.inForce.policy?.policy.approvers ?? [],
    selfApprove: context.settings.requirements[tier]?.selfApprove ?? false,
  };
}
