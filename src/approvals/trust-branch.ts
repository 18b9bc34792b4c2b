import type { ApprovalRule } from '../ports/approval.ts';
import type { ApprovalTools } from './index.ts';

/** Whoever can push to the branch is trusted: that the bytes lie at its tip is all the evidence there is. */
export const trustBranch = {
  create({ opsRepo }: ApprovalTools): ApprovalRule {
    return {
      name: 'trust-branch',
      countsPeople: false,
      async evaluate({ path, tip }) {
        const setBy = (await opsRepo.lastChanged(tip, [path])).get(path);
        if (setBy === undefined) {
          return { kind: 'waiting', code: 'ERR_APPROVAL_WAITING', message: 'it is not on the branch' };
        }
        const { commit, committedAt } = setBy;
        return {
          kind: 'met',
          evidence: [
            {
              rule: 'trust-branch',
              by: 'branch',
              what: commit,
              commit,
              at: committedAt,
              person: null,
              formulaBlob: null,
            },
          ],
        };
      },
    };
  },
};
