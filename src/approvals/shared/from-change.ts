import type { ChangeEvidence, Electorate } from '../../domain/forge-verdict.ts';
import type { RuleVerdict } from '../../domain/verdict.ts';
import type { ApprovalRule } from '../../ports/approval.ts';
import { orUnreadable } from './signed-evidence.ts';
import type { ApprovalTools } from './tools.ts';

/** A rule whose evidence is the merged change that brought the bytes. null: there is no forge to ask. */
export function fromChange(
  name: string,
  { forge, terms }: ApprovalTools,
  judge: (evidence: ChangeEvidence, electorate: Electorate) => RuleVerdict,
): ApprovalRule | null {
  if (forge === null) return null;
  const bots = new Set(terms.bots.map((login) => login.toLowerCase()));
  return {
    name,
    countsPeople: true,
    async evaluate(subject, signal) {
      const brought = await orUnreadable(() => forge.changes.of(subject, signal));
      if (typeof brought === 'string') return notYet(brought);
      const { blob, approvers, selfApprove } = subject;
      switch (brought.kind) {
        case 'change':
          return judge(brought.evidence, { blob, approvers, selfApprove, forgeUrl: forge.url, bots });
        case 'elsewhere':
          return notYet('these bytes do not lie at this path of the branch');
        case 'unrelated':
          return notYet(
            `the forge says that ${brought.url} brought these bytes, but that change does not touch the file`,
          );
        case 'none': {
          const message = `no merged change into ${terms.branch} brought commit ${brought.commit.slice(0, 12)}, which set these bytes`;
          if (brought.final) return { kind: 'refused', code: 'ERR_NO_CHANGE', message };
          return { kind: 'waiting', code: 'ERR_NO_CHANGE', message: `${message}; the forge may still learn of one` };
        }
      }
    },
  };
}

function notYet(message: string): RuleVerdict {
  return { kind: 'waiting', code: 'ERR_NEEDS_APPROVAL', message };
}
