import type { ApprovalRule } from '../ports/approval.ts';
import type { OpsRepo } from '../ports/ops-repo.ts';
import { createSetters } from './shared/setter.ts';

/** Whoever can push to the branch is trusted: that the bytes lie at its tip is all the evidence there is. */
export const trustBranch = {
  create({ opsRepo }: { readonly opsRepo: OpsRepo }): ApprovalRule {
    const setters = createSetters(opsRepo);
    return {
      name: 'trust-branch',
      countsPeople: false,
      async evaluate(subject, signal) {
        signal?.throwIfAborted();
        const setter = await setters.of(subject);
        if (setter === null) {
          const message = 'these bytes do not lie at this path of the branch';
          return { kind: 'waiting', code: 'ERR_NEEDS_APPROVAL', message };
        }
        const { commit, committedAt: at } = setter;
        const evidence = {
          rule: 'trust-branch',
          by: 'branch',
          what: commit,
          commit,
          at,
          person: null,
          formulaBlob: null,
        };
        return { kind: 'met', evidence: [evidence] };
      },
    };
  },
};
