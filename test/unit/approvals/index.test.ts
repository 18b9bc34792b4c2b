import { describe, expect, it } from 'vitest';
import { approvals, RULE_NAMES } from '../../../src/approvals/index.ts';
import { allRules } from '../../fakes/approval-rules.ts';
import { MemoryForge } from '../../fakes/memory-forge.ts';
import { MemoryOpsRepo } from '../../fakes/memory-ops-repo.ts';

describe('the registry of approval rules', () => {
  it('makes rules that go by the names they are configured by', () => {
    const rules = allRules(new MemoryOpsRepo(), { forge: new MemoryForge() });
    expect([...rules].map(([name, rule]) => [name, rule.name])).toEqual(RULE_NAMES.map((name) => [name, name]));
    expect(Object.keys(approvals)).toEqual([...RULE_NAMES]);
  });

  it('leaves out what would ask a forge where there is none', () => {
    const rules = [...allRules(new MemoryOpsRepo()).keys()];
    expect(rules).toEqual(RULE_NAMES.filter((name) => !name.startsWith('forge-')));
  });
});
