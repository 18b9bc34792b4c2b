import type { Oid } from '../domain/ids.ts';
import type { RuleVerdict } from '../domain/verdict.ts';
import type { ApprovalRule, ApprovalSubject } from '../ports/approval.ts';
import type { OpsRepo } from '../ports/ops-repo.ts';
import { createMemory } from './shared/remember.ts';
import { createSetters } from './shared/setter.ts';
import { changeThatSet, judgeSigned, numbering, orUnreadable } from './shared/signed-evidence.ts';

/**
 * The commit that itself set this blob at this path is signed by an approver's SSH key: the newest first-parent commit
 * that changed the path, or, where that is a merge, a commit on its merged side that introduced the blob. A later commit
 * whose tree merely still holds the blob approves nothing.
 *
 * Never refuses: the same bytes can still be set anew by a commit that is signed. What it says of a commit and these keys
 * stays true, so it is found out once.
 */
export const signedCommit = {
  create({ opsRepo }: { readonly opsRepo: OpsRepo }): ApprovalRule {
    const setters = createSetters(opsRepo);
    const verdicts = createMemory<RuleVerdict>();
    const numberOf = numbering();
    return {
      name: 'signed-commit',
      countsPeople: true,
      async evaluate(subject, signal) {
        signal?.throwIfAborted();
        const setter = await setters.of(subject);
        if (setter === null) return notYet('no commit of the branch sets exactly these bytes at this path');
        const { path, blob, formulaPath, approvers, selfApprove } = subject;
        const key = JSON.stringify([setter.commit, path, blob, formulaPath, selfApprove, numberOf(approvers)]);
        return verdicts.recall(key, () => judge(setter.commit, subject, opsRepo));
      },
    };
  },
};

async function judge(setter: Oid, subject: ApprovalSubject, opsRepo: OpsRepo): Promise<RuleVerdict> {
  const answers = await orUnreadable(async () => {
    const { commits, authors } = await changeThatSet(setter, subject, opsRepo);
    const all = [];
    for (const { oid, committedAt } of commits) {
      const name = `commit ${oid.slice(0, 12)}`;
      const signed = { rule: 'signed-commit', object: oid, name, what: oid, commit: oid, at: committedAt };
      all.push(await judgeSigned(signed, authors, subject, opsRepo));
    }
    return all;
  });
  if (typeof answers === 'string') return notYet(answers);
  const evidence = answers.filter((answer) => typeof answer !== 'string');
  if (evidence.length > 0) return { kind: 'met', evidence };
  return notYet(answers.filter((answer) => typeof answer === 'string').join('; '));
}

function notYet(message: string): RuleVerdict {
  return { kind: 'waiting', code: 'ERR_NEEDS_APPROVAL', message };
}
