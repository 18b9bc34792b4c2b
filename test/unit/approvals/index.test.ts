import { describe, expect, it } from 'vitest';
import { approvals, RULE_NAMES } from '../../../src/approvals/index.ts';
import { MemoryOpsRepo } from '../../fakes/memory-ops-repo.ts';

describe('the registry of approval rules', () => {
  it('makes rules that go by the names they are configured by', () => {
    const opsRepo = new MemoryOpsRepo();
    const names = Object.entries(approvals).map(([name, factory]) => [name, factory.create({ opsRepo }).name]);
    expect(names).toEqual(Object.keys(approvals).map((name) => [name, name]));
  });

  it('lets a configuration name the rules that are still to come', () => {
    expect(RULE_NAMES).toEqual(expect.arrayContaining(Object.keys(approvals)));
    expect(RULE_NAMES).toEqual(expect.arrayContaining(['forge-review', 'forge-merge', 'signed-tag']));
  });
});
