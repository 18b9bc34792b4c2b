import { describe, expect, it } from 'vitest';
import { SidecarBench } from '../../../fakes/sidecar-bench.ts';

const ID = 'sidecar/reproduce-1-1';

describe('an issue with the labels of a rule', () => {
  it('is worked on once, and its result is recorded with what it was of (S2.2, S2.4)', async () => {
    const bench = new SidecarBench();
    bench.issues.forge.open('dev', { title: 'it crashes', body: 'always', labels: ['bug-report'] });
    const { report } = await bench.once();
    expect(report).toMatchObject({ results: [{ id: ID, outcome: 'succeeded', exit_code: 0 }], unreachable: [] });
    expect(bench.result(ID)).toMatchObject({
      id: ID,
      action: { path: 'projects/code.toml' },
      formula: { name: 'reproduce' },
      approval: { required: ['sidecar'], evidence: [{ rule: 'sidecar', by: '[[sidecar]] reproduce' }] },
      run: { digest_verified: true },
      sidecar: { repo: 'ops/code', issue: 1, project: 'projects/code.toml' },
    });
    expect((await bench.once()).report.results).toEqual([]);
    expect(bench.engine.executions).toHaveLength(1);
  });
});
