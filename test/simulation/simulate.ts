import { planMishaps } from './scenario.ts';
import { SimWorld } from './world.ts';

export interface SeedReport {
  readonly seed: number;
  /** What was broken; empty: nothing. */
  readonly violations: readonly string[];
  /** Line by line what happened, where that was wished for. */
  readonly trace: readonly string[];
  readonly facts: readonly string[];
  readonly figures: Figures;
}

interface Figures {
  readonly steps: number;
  readonly starts: number;
  readonly executions: number;
  readonly outcomes: Readonly<Record<string, number>>;
  /** Simulated, in milliseconds. */
  readonly simulatedMs: number;
}

/** One world from its beginning to where everything rests, by its seed alone. */
export async function simulate(seed: number, { traces = false } = {}): Promise<SeedReport> {
  const limit = Error.stackTraceLimit;
  // Thousands of errors are thrown and caught, and nobody reads where.
  if (!traces) Error.stackTraceLimit = 0;
  try {
    return await live(seed, traces);
  } finally {
    Error.stackTraceLimit = limit;
  }
}

async function live(seed: number, traces: boolean): Promise<SeedReport> {
  const world = new SimWorld(seed, CHAOS_MS, { traces });
  settle(world);
  for (const post of world.posts) world.start(post);
  planMishaps(world, CHAOS_MS);
  await world.runUntil(CHAOS_MS);
  heal(world);
  await untilSettled(world);
  if (world.judge.violations.length === 0) world.judge.ended(reasonsIn(world));
  return reportOf(world);
}

function settle(world: SimWorld): void {
  const chance = world.chance.fork('posts');
  const names = Array.from({ length: chance.pick([1, 1, 2, 2, 3]) }, (_, at) => `edge-${at + 1}`);
  const hasPeers = names.length > 1 && chance.happens(0.5);
  for (const name of names) {
    world.post({
      name,
      peers: hasPeers ? names.filter((other) => other !== name) : [],
      inFlight: chance.between(1, 3),
      pollSeconds: chance.pick([10, 20]),
      placement: chance.pick(['wait', 'stop'] as const),
    });
  }
}

/** What is told of what waits, by whomever. */
function reasonsIn({ posts }: SimWorld): ReadonlyMap<string, string> {
  const lines = posts.flatMap(({ current }) => current?.daemon.board.lines() ?? []);
  return new Map(
    lines.flatMap(({ id, reason }) => (reason === null ? [] : [[id, `${reason.code}: ${reason.message}`]])),
  );
}

const CHAOS_MS = 5 * 60_000;
/** Longer than any deadline, wrapper or rest. */
const LONGEST_MS = 90 * 60_000;
const PART_MS = 60_000;

/** The storms are over, and everybody runs. */
function heal(world: SimWorld): void {
  world.weather.clear();
  if (world.git.text('vault/PAUSE') !== null) world.commit({ 'vault/PAUSE': null }, 'ben', 'go on');
  for (const post of world.posts) {
    post.host.heal();
    post.current?.process.dieAfter(Infinity);
    post.current?.process.resume();
    if (!post.isGone && (post.current === null || post.current.process.isDead)) world.start(post);
    // Somebody has looked at what was pushed by force, and accepts it.
    if (world.facts.has('history-rewritten')) post.host.clone.acceptedTip = world.git.tip;
  }
}

/** Whatever still has to come, comes now. */
async function untilSettled(world: SimWorld): Promise<void> {
  const end = world.timeline.now + LONGEST_MS;
  for (let isDone = false; !isDone && world.timeline.now < end && world.judge.violations.length === 0; ) {
    isDone = isSettled(world);
    await world.runUntil(world.timeline.now + PART_MS);
  }
}

function isSettled({ plans, judge, nomad, vault }: SimWorld): boolean {
  const isOver = nomad.commands.every(({ endedAt }) => endedAt !== null);
  const areGone = vault.minted.every((token) => token.holder === null || !vault.isAlive(token));
  const open = [...plans.values()].filter(({ id }) => !judge.results.has(id));
  return (
    isOver &&
    areGone &&
    open.every(({ formula, approvedAt, isRejected }) => formula === 'reviewed' && approvedAt === null && !isRejected)
  );
}

function reportOf(world: SimWorld): SeedReport {
  const { seed, judge, nomad, lines, facts, steps, timeline } = world;
  const outcomes: Record<string, number> = {};
  for (const { outcome } of judge.results.values()) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  return {
    seed,
    violations: judge.violations,
    trace: lines,
    facts: [...facts],
    figures: { steps, starts: world.starts, executions: nomad.commands.length, outcomes, simulatedMs: timeline.now },
  };
}
