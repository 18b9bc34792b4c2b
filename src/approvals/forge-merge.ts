import { mergeVerdict } from '../domain/forge-verdict.ts';
import type { ApprovalRule } from '../ports/approval.ts';
import { fromChange } from './shared/from-change.ts';
import type { ApprovalTools } from './shared/tools.ts';

/** Somebody entitled merged exactly this blob, by the forge's own log of pushes, with time to see what was merged. */
export const forgeMerge = {
  create(tools: ApprovalTools): ApprovalRule | null {
    return fromChange('forge-merge', tools, (evidence, electorate) => {
      return mergeVerdict(evidence, { ...electorate, quietMs: tools.terms.quietMs });
    });
  },
};
