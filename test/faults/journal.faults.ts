import { afterEach, describe, expect, it } from 'vitest';
import { type DaemonBench, makeDaemonBench } from '../fakes/daemon-bench.ts';
import { git } from '../fakes/git-repo.ts';
import { seeded } from '../fakes/kill-moments.ts';
import { startBeside } from '../fakes/second-daemon.ts';
import { Tally, tallyFormulas } from '../fakes/tally.ts';
import { until } from '../fakes/until.ts';

/* What a person may do to the ops repo by hand: no action runs again for it, and none is forgotten. */

const JOURNAL = 'refs/dispatcher/journal';

let bench: DaemonBench;
let tally: Tally;

afterEach(() => bench.remove());

/** So many actions whose runs have begun and take `pause` seconds. */
async function begun(count: number, pause: number) {
  bench = await makeDaemonBench();
  tally = new Tally('by-hand');
  await bench.push({ ...tallyFormulas(bench, pause), ...tally.more(count, seeded(1)) });
  const daemon = bench.start(['run']);
  await until('all have begun', async () => (await bench.executions()).size === count, 60_000);
  return daemon;
}

const onServer = (...args: readonly string[]): Promise<string> => git(args, { GIT_DIR: bench.remote });
const tipOf = async (ref: string): Promise<string> => (await onServer('rev-parse', ref)).trim();

async function endOf(daemon: ReturnType<DaemonBench['start']>): Promise<void> {
  daemon.child.kill('SIGTERM');
  expect((await daemon.ended).code).toBe(0);
}

/** After some more actions, in whose time whatever would run again would run: all figures, and how many there should be. */
async function afterMore(daemon: ReturnType<DaemonBench['start']>) {
  await bench.pushOnTip(tally.more(3, seeded(2)));
  await until('all are recorded', () => tally.areRecorded(bench), 120_000);
  await endOf(daemon);
  const { size } = tally;
  return { came: await tally.compare(bench), due: { asked: size, executions: size, results: size, wrong: [] } };
}

describe('the journal, changed by hand', () => {
  it('R4: deleted while runs are under way, costs none of them its result and runs none again', async () => {
    const daemon = await begun(6, 4);
    await onServer('update-ref', '-d', JOURNAL);
    const { came, due } = await afterMore(daemon);
    expect(came).toEqual(due);
  });

  it('R4: deleted while the daemon is down, costs no run its result and runs none again', async () => {
    const killed = await begun(6, 2);
    killed.child.kill('SIGKILL');
    await killed.ended;
    await onServer('update-ref', '-d', JOURNAL);
    const { came, due } = await afterMore(bench.start(['run']));
    expect(came).toEqual(due);
  });

  it('R4: deleted while runs of two daemons are under way, makes neither take what the other runs', async () => {
    const daemon = await begun(3, 5);
    const other = startBeside(bench, 'other', 'other');
    await until(
      'the other one works too',
      async () => {
        if (tally.size < 40) await bench.pushOnTip(tally.more(1, seeded(tally.size)));
        const holders = (await onServer('grep', '-h', '"dispatcher": "other"', JOURNAL).catch(() => '')).trim();
        return holders !== '';
      },
      60_000,
    );
    await onServer('update-ref', '-d', JOURNAL);
    const { came, due } = await afterMore(daemon);
    expect(came).toEqual(due);
    await endOf(other);
  });

  it('R4: set back to an older state while runs are under way, and again while the daemon is down, runs nothing again', async () => {
    const first = await begun(4, 3);
    const backup = await tipOf(JOURNAL);
    await bench.pushOnTip(tally.more(4, seeded(3)));
    await until('the second ones have begun', async () => (await bench.executions()).size === 8, 60_000);
    await onServer('update-ref', JOURNAL, backup);
    await until('all are recorded', () => tally.areRecorded(bench), 60_000);
    await endOf(first);
    await onServer('update-ref', JOURNAL, backup);
    const { came, due } = await afterMore(bench.start(['run']));
    expect(came).toEqual(due);
  });
});

describe('the branch, pushed back by hand', () => {
  it('R4: behind results, stops what is new until it is accepted, and what ran before runs not again', async () => {
    const daemon = await begun(3, 0.1);
    const backup = await bench.writer.resolve('HEAD');
    await until('all are recorded', () => tally.areRecorded(bench), 60_000);
    await onServer('update-ref', 'refs/heads/main', backup ?? '');
    const after = new Tally('after');
    await bench.pushOnTip(after.more(2, seeded(5)));
    const status = () => bench.start(['status', '--json']);
    await until(
      'it says why nothing begins',
      async () => {
        const said = status();
        await said.ended;
        return said.stdout().includes('ERR_HISTORY_DIVERGED');
      },
      60_000,
    );
    expect((await bench.executions()).size).toBe(3);

    const accepted = bench.start(['doctor', '--accept-history']);
    await accepted.ended;
    await until('the new ones are recorded', () => after.areRecorded(bench), 60_000);
    await endOf(daemon);
    expect((await after.compare(bench)).wrong).toEqual([]);
    expect([...(await bench.executions()).values()].filter((count) => count !== 1)).toEqual([]);
  });
});
