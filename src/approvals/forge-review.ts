import { reviewVerdict } from '../domain/forge-verdict.ts';
import type { ApprovalRule } from '../ports/approval.ts';
import { fromChange } from './shared/from-change.ts';
import type { ApprovalTools } from './shared/tools.ts';

/**
 * A merged change brought this blob, somebody entitled approved a commit whose tree holds the same blob at this path, and
 * nobody entitled stands against it.
 */
export const forgeReview = {
  create(tools: ApprovalTools): ApprovalRule | null {
    return fromChange('forge-review', tools, reviewVerdict);
  },
};
