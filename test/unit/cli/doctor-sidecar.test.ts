import { describe, expect, it } from 'vitest';
import { slotFindings, trackerFindings } from '../../../src/cli/doctor-sidecar.ts';
import { TransientError } from '../../../src/errors.ts';
import { MemoryIssues } from '../../fakes/memory-issues.ts';

const RULE = {
  formula: 'reproduce',
  repo: 'ops/code',
  labels: ['bug-repot'],
  without: ['blocked'],
  when: null,
  project_toml: 'projects/code.toml',
  cool_down_minutes: 30,
  in_flight: 2,
  runs_per_day: 48,
  comment: false,
};

async function asked(issues: MemoryIssues, labels: readonly string[]) {
  const settings = { rules: [{ ...RULE, labels }], trackers: new Map([[issues.repo, issues]]), bots: [] };
  const found = await trackerFindings(settings, new AbortController().signal);
  return found.map(({ check, verdict }) => `${verdict} ${check.message}${check.fix === null ? '' : `: ${check.fix}`}`);
}

describe('doctor on issues', () => {
  it('names a label that no issue carries, and the one that was meant', async () => {
    const issues = new MemoryIssues({ people: { dev: 'write' } });
    issues.forge.open('dev', { title: 'Crash', labels: ['bug-report'] });
    const near = 'no issue of ops/code carries the label "bug-repot": Did you mean "bug-report"? Mend labels of';
    const far = 'good no issue of ops/code carries the label "x" just now';
    const answers = await asked(issues, ['bug-repot', 'x', 'bug-report']);
    const [first, ...hints] = answers;
    expect(first).toBe('good the issues of ops/code');
    expect(hints).toEqual([expect.stringContaining(`warning ${near}`), far]);
  });

  it('says nothing of labels where there is no issue yet', async () => {
    expect(await asked(new MemoryIssues(), ['bug-report'])).toEqual(['good the issues of ops/code']);
  });

  it('tells what the tracker says, and asks no more of one that is away', async () => {
    const issues = new MemoryIssues();
    issues.away = true;
    expect(await asked(issues, ['bug-report'])).toEqual(['away the issues of ops/code: Wait for it.']);
    expect(issues.calls).toEqual([]);
    issues.away = false;
    issues.failure = new TransientError('ERR_FORGE_UNAVAILABLE', 'gone by now');
    expect((await asked(issues, ['bug-report']))[1]).toContain('away gone by now');
  });

  it.each([
    [3, []],
    [2, [expect.stringContaining('sidecars may take 2 slots, and [limits] in_flight is 2')]],
  ])('warns where they may take all of %d slots', (inFlight, expected) => {
    const sidecars = { rules: [RULE], trackers: new Map(), bots: [] };
    const settings = { pollSeconds: 5, inFlight, dispatchesPerMinute: 600 };
    expect(slotFindings({ sidecars, settings }).map(({ check }) => check.message)).toEqual(expected);
  });
});
