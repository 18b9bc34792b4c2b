import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { View } from '../../../../../src/adapters/engines/nomad/hub-view.ts';
import { type Allocation, allocation } from '../../../../../src/adapters/engines/nomad/types.ts';

function allocationOf(jobId: string, index: number, more: Partial<Allocation> = {}): Allocation {
  const id = `allocation of ${jobId}`;
  const states = { ClientStatus: 'running', DesiredStatus: 'run' };
  return allocation.parse({ ID: id, JobID: jobId, CreateIndex: 1, ModifyIndex: index, ...states, ...more });
}

describe('what is known of a run', () => {
  const records = fc
    .uniqueArray(fc.record({ id: fc.nat(2), index: fc.nat(50) }), { selector: ({ id, index }) => `${id} ${index}` })
    .map((all) => all.map(({ id, index }) => allocationOf(`child ${id}`, index)));

  it('is each allocation at its newest state, in whatever order events and lists came', () => {
    fc.assert(
      fc.property(fc.array(records, { minLength: 1 }), (batches) => {
        const view = new View();
        for (const batch of batches) view.hear(batch, []);
        const newest = new Map<string, number>();
        for (const { ID, ModifyIndex } of batches.flat()) newest.set(ID, Math.max(ModifyIndex, newest.get(ID) ?? 0));
        expect(new Map(view.news().allocations.map(({ ID, ModifyIndex }) => [ID, ModifyIndex]))).toEqual(newest);
      }),
    );
  });

  it('is no longer what a list does not show, unless it was heard of after the list was asked for', () => {
    const view = new View();
    view.hear([allocationOf('old', 5)], []);
    const moment = view.moment();
    view.hear([allocationOf('new', 6)], []);
    view.see(moment, { allocations: [] });
    expect(view.news().allocations.map(({ JobID }) => JobID)).toEqual(['new']);
  });

  it('keeps what lists leave out', () => {
    const view = new View();
    view.hear([allocationOf('a', 5, { PreviousAllocation: 'earlier' })], []);
    view.see(view.moment(), { allocations: [allocationOf('a', 6)] });
    expect(view.news().allocations).toMatchObject([{ ModifyIndex: 6, PreviousAllocation: 'earlier' }]);
  });
});
