import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Result } from '../../src/domain/result.ts';
import { openSidecarBench, type SidecarBench } from '../fakes/cli-sidecars.ts';

/** #1 may run, #2 has no label, #3 waits for its part #4, #5 is live, #6 rests, #7 has a label of nobody. */
let bench: SidecarBench;

const minutesAgo = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString();

beforeAll(async () => {
  bench = await openSidecarBench();
  const { issues } = bench;
  issues.open('dev', { title: 'Crash at start', labels: ['bug-report'] });
  issues.open('guest', { title: 'No label' });
  issues.open('dev', { title: 'To be verified', labels: ['bug-report', 'in-progress'] });
  issues.open('dev', { title: 'Part', body: 'Decomposed from #3' });
  issues.open('dev', { title: 'Live', labels: ['bug-report'] });
  issues.open('dev', { title: 'Resting', labels: ['bug-report'] });
  issues.open('gone', { title: 'Of nobody', labels: ['bug-report'] });
  issues.setRole('gone', 'read');
  await bench.result('sidecar/reproduce-6-1', endedBefore(100));
  await bench.result('sidecar/reproduce-6-2', endedBefore(10));
  await bench.claim('sidecar/reproduce-5-1');
}, 60_000);
afterAll(() => bench.remove());

function endedBefore(minutes: number): Partial<Result> {
  const times = { committed: null, approved: null, dispatched: null, started: null };
  const ended = minutesAgo(minutes);
  const sidecar = { repo: 'ops/code', issue: 6, url: 'https://forge.example/6', project: 'projects/code.toml' };
  return {
    timestamp: ended,
    times: { ...times, finished: ended, recorded: ended },
    sidecar: { ...sidecar, digest: 'd'.repeat(64) },
  };
}

/** What the forge was asked meanwhile. */
async function asking<T>(work: () => Promise<T>): Promise<{ readonly answer: T; readonly requests: number }> {
  const before = bench.server.requests.length;
  const answer = await work();
  return { answer, requests: bench.server.requests.length - before };
}

interface Explained {
  readonly id: string;
  readonly state: string;
  readonly reason: { readonly code: string } | null;
  readonly steps: readonly { readonly step: string; readonly state: string; readonly message: string | null }[];
}

async function why(given: string) {
  const { code, value } = await bench.cli.json('why', given);
  const explained = value as Explained;
  const waiting = explained.steps.filter(({ state }) => state === 'waiting').map(({ step }) => step);
  return { code, explained, waiting, reason: explained.reason?.code ?? null };
}

describe('status', () => {
  test('shows sidecars like actions, with their issues, and how each rule stands', async () => {
    const { code, value } = await bench.cli.json('status');
    const issue = (number: number) => expect.objectContaining({ repo: 'ops/code', number });
    const seen = value as Record<'in_flight' | 'waiting' | 'recent' | 'sidecars', readonly { id: string }[]>;
    const sidecars = (list: readonly { id: string }[]) => list.filter(({ id }) => id.startsWith('sidecar/'));
    expect(code).toBe(0);
    expect(seen.in_flight).toEqual([
      expect.objectContaining({ id: 'sidecar/reproduce-5-1', state: 'claimed', formula: 'reproduce', issue: issue(5) }),
    ]);
    expect(sidecars(seen.waiting)).toEqual([
      expect.objectContaining({ id: 'sidecar/reproduce-1-1', state: 'ready', reason: null, issue: issue(1) }),
      expect.objectContaining({
        id: 'sidecar/reproduce-7-1',
        state: 'pending',
        reason: expect.objectContaining({ code: 'ERR_ISSUE_LABELS' }),
      }),
    ]);
    expect(sidecars(seen.recent)).toEqual([
      expect.objectContaining({ id: 'sidecar/reproduce-6-2', state: 'succeeded', issue: issue(6) }),
      expect.objectContaining({ id: 'sidecar/reproduce-6-1', state: 'succeeded' }),
    ]);
    const none = { matching: 0, in_flight: 0, waiting: 0, resting: 0, runs_today: 0, outage: null };
    const limits = { repo: 'ops/code', in_flight_limit: 2, runs_per_day: 48 };
    expect(seen.sidecars).toEqual([
      { ...none, ...limits, formula: 'reproduce', matching: 4, in_flight: 1, waiting: 2, resting: 1, runs_today: 1 },
      { ...none, ...limits, formula: 'triage' },
      { ...none, ...limits, formula: 'verify' },
    ]);
  });

  test('without [[sidecar]] asks no forge', async () => {
    await writeFile(path.join(bench.cli.root, 'plain.toml'), `${bench.cli.config()}${bench.forgeSection}`);
    const { answer, requests } = await asking(() => bench.cli.json('status', '--config', 'plain.toml'));
    expect({ code: answer.code, requests }).toEqual({ code: 0, requests: 0 });
    expect(answer.value).toMatchObject({ sidecars: [] });
  });
});

describe('why', () => {
  test('of an issue that no rule matches says what would have to change', async () => {
    const { explained, waiting } = await why('sidecar/reproduce-2');
    expect(explained).toMatchObject({ id: 'sidecar/reproduce-2', state: 'unmatched', reason: null });
    expect(waiting).toEqual(['labels']);
    const { stdout } = await bench.cli.run(['why', 'ops/code#3']);
    expect(stdout).toMatch(/^sidecar\/reproduce-3 on ops\/code#3: unmatched\n {2}it has in-progress\n/);
    expect(stdout).toContain('sidecar/verify-3 on ops/code#3: unmatched\n  its sub-issues #4 are open\n');
    expect(stdout).toContain('sub-issue #4, state open');
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  });

  test('tells who set the labels, and that nobody who may write did', async () => {
    const good = await why('sidecar/reproduce-1');
    const set = [{ label: 'bug-report', by: 'dev', may_write: 'yes' }];
    expect({ ...good, explained: good.explained.state }).toMatchObject({
      reason: null,
      explained: 'ready',
      waiting: [],
    });
    expect(good.explained.steps).toContainEqual(expect.objectContaining({ step: 'labels-set-by', evidence: { set } }));
    const { reason, waiting } = await why('sidecar/reproduce-7');
    expect({ reason, waiting }).toEqual({ reason: 'ERR_ISSUE_LABELS', waiting: ['labels-set-by'] });
  });

  test('of one that rests tells until when, and of a run that has ended what its result says', async () => {
    const { explained, reason, waiting } = await why('sidecar/reproduce-6');
    expect({ state: explained.state, reason, waiting }).toEqual({
      state: 'resting',
      reason: 'ERR_COOL_DOWN',
      waiting: ['last-run'],
    });
    expect(explained).toMatchObject({
      results: [{ id: 'sidecar/reproduce-6-2', outcome: 'succeeded' }, { id: 'sidecar/reproduce-6-1' }],
    });
    const { answer, requests } = await asking(() => why('sidecar/reproduce-6-2'));
    const record = answer.explained.steps.find(({ step }) => step === 'record-result');
    expect({ requests, state: answer.explained.state }).toEqual({ requests: 0, state: 'succeeded' });
    expect(record).toMatchObject({ evidence: { path: 'vault/sidecars/reproduce-6-2.result.json' } });
  });

  test('of what there is not is wrong usage', async () => {
    const { code, stderr } = await bench.cli.run(['why', 'sidecar/reproduce-6-9']);
    expect({ code, stderr }).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('The last one was sidecar/reproduce-6-2.'),
    });
  });
});

describe('logs and cancel', () => {
  test('logs without a number are those of the newest run', async () => {
    const { value } = await bench.cli.json('logs', 'sidecar/reproduce-6');
    expect(value).toMatchObject({ id: 'sidecar/reproduce-6-2', state: 'succeeded' });
    const { code, stderr } = await bench.cli.run(['logs', 'sidecar/reproduce-1']);
    expect({ code, stderr }).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('`why sidecar/reproduce-1` tells'),
    });
  });

  test('logs of an issue that there is not end, with -f too', async () => {
    const { code, stderr } = await bench.cli.run(['logs', '-f', 'sidecar/reproduce-999']);
    expect({ code, stderr }).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('ERR_NOT_FOUND: there is no issue #999 in ops/code'),
    });
  });

  test('an issue that nothing works on has nothing to cancel, and how to keep it so is said', async () => {
    const { code, stdout } = await bench.cli.run(['cancel', 'sidecar/reproduce-6']);
    expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining('labels off it: bug-report') });
    expect(await bench.cli.wishes()).toEqual([]);
  });
});

describe('with the forge away', () => {
  test('status says so once, why tells what git knows, and a live run is cancelled all the same', async () => {
    bench.server.faults.down = true;
    const { code, stdout } = await bench.cli.run(['status']);
    expect(code).toBe(3);
    expect(stdout.match(/ERR_FORGE_UNAVAILABLE/g)).toHaveLength(1);
    expect(stdout).toMatch(/^ {2}reproduce {2}ops\/code +- +- +- +1 of 2 +1 of 48$/m);
    const { reason, waiting } = await why('sidecar/reproduce-6');
    expect({ reason, waiting }).toEqual({ reason: 'ERR_FORGE_UNAVAILABLE', waiting: ['issue', 'last-run'] });
    const { answer, requests } = await asking(() => bench.cli.json('cancel', 'sidecar/reproduce-5'));
    expect({ code: answer.code, requests, wishes: await bench.cli.wishes() }).toEqual({
      code: 0,
      requests: 0,
      wishes: [],
    });
    expect(answer.value).toMatchObject({ id: 'sidecar/reproduce-5-1', issue: { number: 5 } });
  });
});
