import type { ChangeFinder } from '../../ports/changes.ts';
import { createBringingChanges } from './bringing-change.ts';
import type { ApprovalTerms, Witnesses } from './tools.ts';

/** For others than the rules, who are to find the same change as they; null: there is no forge to ask. */
export function createChangeFinder({ opsRepo, forge, clock }: Witnesses, terms: ApprovalTerms): ChangeFinder | null {
  if (forge === null) return null;
  const changes = createBringingChanges({ ...terms, opsRepo, forge, clock });
  return {
    async of(setter, at, signal) {
      const bringing = await changes.of(setter, at, signal);
      return bringing.kind === 'change' ? bringing.change : null;
    },
  };
}
