import type { RuleVerdict } from '../../src/domain/verdict.ts';
import type { ApprovalRule } from '../../src/ports/approval.ts';
import type { Link } from './network.ts';

/** Who approved which bytes. The forge learns of it when it is told, and forgets nothing. */
export class SimForge {
  readonly #approved = new Map<string, { readonly by: string; readonly formulaBlob: string; readonly at: string }>();
  readonly #rejected = new Set<string>();

  approve(path: string, blob: string, formulaBlob: string, at: Date): void {
    this.#approved.set(keyOf(path, blob), { by: 'approver', formulaBlob, at: at.toISOString() });
  }

  reject(path: string, blob: string): void {
    this.#rejected.add(keyOf(path, blob));
  }

  isApproved(path: string, blob: string): boolean {
    return this.#approved.has(keyOf(path, blob));
  }

  rule(link: Link): ApprovalRule {
    return {
      name: 'forge-review',
      countsPeople: true,
      evaluate: ({ path, blob, tip }) =>
        link.call(`evidence for ${path}`, (): RuleVerdict => {
          const key = keyOf(path, blob);
          const found = this.#approved.get(key);
          if (this.#rejected.has(key)) {
            return { kind: 'refused', code: 'ERR_NO_CHANGE', message: 'somebody entitled said no for good' };
          }
          if (found === undefined) {
            return { kind: 'waiting', code: 'ERR_NEEDS_APPROVAL', message: 'nobody has approved these bytes' };
          }
          const { by, formulaBlob, at } = found;
          const evidence = { rule: 'forge-review', by, what: 'https://forge.example/1', commit: tip, at };
          return { kind: 'met', evidence: [{ ...evidence, person: by, formulaBlob }] };
        }),
    };
  }
}

const keyOf = (path: string, blob: string) => `${path} ${blob}`;
