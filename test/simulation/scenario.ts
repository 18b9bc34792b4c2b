import { resultPath } from './actions.ts';
import type { Chance } from './chance.ts';
import type { Fact } from './facts.ts';
import { JOURNAL, MAIN } from './git.ts';
import { SERVICES } from './network.ts';
import type { Post, SimWorld } from './world.ts';

/** One thing that may befall the outside. */
interface Mishap {
  readonly name: string;
  readonly weight: number;
  readonly fact?: Fact;
  befall(world: SimWorld, post: Post, chance: Chance): void;
}

const restartSoon = (world: SimWorld, post: Post, chance: Chance) => {
  world.timeline.after(chance.between(100, 60_000), () => {
    if (!post.isGone && post.current?.process.isDead === true) world.start(post);
  });
};

const KILL: Mishap = {
  name: 'kill',
  weight: 10,
  befall: (world, post, chance) => {
    post.current?.process.kill();
    restartSoon(world, post, chance);
  },
};

/** At some call of the next ones: where a crash hurts most. */
const KILL_AT_A_CALL: Mishap = {
  name: 'kill at a call',
  weight: 14,
  befall: (world, post, chance) => {
    const { current } = post;
    if (current === null || current.process.isDead) return;
    const { onDeath } = current.process;
    current.process.onDeath = () => {
      onDeath();
      restartSoon(world, post, chance);
    };
    current.process.dieAfter(chance.between(1, 120));
  },
};

const STOP: Mishap = {
  name: 'stop',
  weight: 5,
  fact: 'stopped',
  befall: (world, post, chance) => {
    const process = post.current?.process;
    const isMachine = chance.happens(0.4);
    const ms = chance.between(1_000, 400_000);
    process?.stop();
    world.timeline.after(ms, () => {
      // The clock of a virtual machine that was away may not have gone on.
      if (process !== undefined && isMachine) process.pausedMs += ms;
      process?.resume();
    });
  },
};

const STORM: Mishap = {
  name: 'storm',
  weight: 12,
  befall: (world, post, chance) => {
    const service = chance.pick(SERVICES);
    const where = chance.happens(0.5) ? service : `${post.host.name}>${service}`;
    const ms = chance.happens(0.2) ? chance.between(60_000, 400_000) : chance.between(1_000, 60_000);
    if (ms > 60_000) world.facts.add('long-outage');
    world.trace(() => `a storm over ${where} for ${Math.round(ms / 1000)} s`);
    world.weather.storms.set(where, chance.pick(['refused', 'dropped', 'lost', 'late'] as const));
    world.timeline.after(ms, () => void world.weather.storms.delete(where));
  },
};

const LOST_NODES: Mishap = {
  name: 'lost nodes',
  weight: 4,
  fact: 'node-loss',
  befall: (world, _post, chance) => world.nomad.loseNodes(chance.happens(0.6), chance.happens(0.5)),
};

const COLLECTION: Mishap = {
  name: 'garbage collection',
  weight: 4,
  fact: 'collected',
  befall: (world, _post, chance) => world.nomad.collect(chance.happens(0.3)),
};

const REPLAY: Mishap = { name: 'replay', weight: 2, fact: 'replayed', befall: (world) => world.nomad.replay() };

const DISK_FULL: Mishap = {
  name: 'full disk',
  weight: 4,
  befall: (world, { host }, chance) => {
    host.isDiskFull = true;
    world.timeline.after(chance.between(1_000, 120_000), () => {
      host.isDiskFull = false;
    });
  },
};

const DAMAGE: Mishap = {
  name: 'damaged cache',
  weight: 4,
  befall: (_world, { current }) => {
    current?.clone.damage();
    current?.journal.damage();
  },
};

const WALL_JUMP: Mishap = {
  name: 'clock jump',
  weight: 3,
  fact: 'wall-jump',
  befall: (_world, { host }, chance) => {
    host.wall.skewMs = chance.between(-120_000, 120_000);
  },
};

const DELETED_RESULT: Mishap = {
  name: 'deleted result',
  weight: 2,
  fact: 'result-deleted',
  befall: (world) => {
    const [id] = world.judge.results.keys();
    if (id !== undefined && world.git.text(resultPath(id)) !== null)
      world.commit({ [resultPath(id)]: null }, 'ada', 'delete a result');
  },
};

const DELETED_JOURNAL: Mishap = {
  name: 'deleted journal',
  weight: 2,
  fact: 'journal-lost',
  befall: (world) => world.git.move(JOURNAL, undefined, 'ada'),
};

const OLD_JOURNAL: Mishap = {
  name: 'restored journal',
  weight: 2,
  fact: 'journal-lost',
  befall: (world, _post, chance) => {
    const tip = world.git.refs.get(JOURNAL);
    if (tip === undefined) return;
    const line = [...world.git.line(tip)];
    world.git.move(JOURNAL, line[Math.min(line.length - 1, chance.between(1, 6))]?.oid, 'ada');
  },
};

const OLD_DISK: Mishap = {
  name: 'restored state_dir',
  weight: 2,
  fact: 'notes-lost',
  befall: (world, post, chance) => {
    post.host.backUp();
    world.timeline.after(chance.between(10_000, 300_000), () => {
      post.current?.process.kill();
      post.host.restore();
      restartSoon(world, post, chance);
    });
  },
};

/** The branch loses its last commits; somebody looks, brings back what people had written, and accepts it. */
const FORCE_PUSH: Mishap = {
  name: 'force push',
  weight: 1,
  fact: 'history-rewritten',
  befall: (world, _post, chance) => {
    const line = [...world.git.line(world.git.tip)];
    const back = line[Math.min(line.length - 1, chance.between(1, 3))];
    if (back === undefined) return;
    const lost = world.git.since(back.oid, world.git.tip);
    world.git.move(MAIN, back.oid, 'ada');
    const files = new Map<string, string>();
    for (const { changes } of lost) {
      for (const { path, after } of changes) {
        const isTheirs = after !== null && !path.endsWith('.result.json');
        if (isTheirs) files.set(path, Buffer.from(world.git.blob(after.oid) ?? []).toString('utf8'));
      }
    }
    world.commit(Object.fromEntries(files), 'ada', 'begin again');
  },
};

/** A machine is gone with its disk, and only its peers can go on with what it held. */
const LOST_MACHINE: Mishap = {
  name: 'lost machine',
  weight: 4,
  fact: 'machine-lost',
  befall: (world, post) => {
    const others = world.posts.filter((other) => other !== post && !other.isGone);
    if (post.options.peers.length === 0 || others.length === 0) return;
    post.isGone = true;
    post.current?.process.kill();
  },
};

/** Somebody starts a second one of the same name on another machine. */
const TWIN: Mishap = {
  name: 'twin',
  weight: 2,
  fact: 'twin',
  befall: (world, post) => {
    if (world.posts.length < 4) world.start(world.post(post.options));
  },
};

const PAUSE: Mishap = {
  name: 'pause',
  weight: 3,
  befall: (world, { host }, chance) => {
    const isOnBranch = chance.happens(0.5);
    if (isOnBranch) world.commit({ 'vault/PAUSE': 'wait\n' }, 'ben', 'pause');
    else void host.control.pause('operator');
    world.timeline.after(chance.between(1_000, 120_000), () => {
      if (isOnBranch) world.commit({ 'vault/PAUSE': null }, 'ben', 'go on');
      else void host.control.resume();
    });
  },
};

const PUSHES: Mishap = {
  name: 'pushes by others',
  weight: 4,
  befall: (world, _post, chance) => {
    for (let count = chance.between(1, 12); count > 0; count -= 1) {
      world.timeline.after(chance.between(0, 5_000), () =>
        world.commit({ [`docs/${chance.between(1, 9)}.md`]: String(chance.next()) }, 'ben'),
      );
    }
  },
};

const MISHAPS: readonly Mishap[] = [
  KILL,
  KILL_AT_A_CALL,
  STOP,
  STORM,
  LOST_NODES,
  COLLECTION,
  REPLAY,
  DISK_FULL,
  DAMAGE,
  WALL_JUMP,
  DELETED_RESULT,
  DELETED_JOURNAL,
  OLD_JOURNAL,
  OLD_DISK,
  FORCE_PUSH,
  LOST_MACHINE,
  TWIN,
  PAUSE,
  PUSHES,
];

/** Of those that would take away all that anybody knows of the past only one comes to a world. */
const AMNESIA: ReadonlySet<Fact> = new Set(['journal-lost', 'notes-lost', 'history-rewritten', 'machine-lost', 'twin']);

/** Chooses what befalls this world, and when. */
export function planMishaps(world: SimWorld, until: number): void {
  const chance = world.chance.fork('mishaps');
  if (chance.happens(0.7)) world.weather.rates = ratesOf(chance);
  // Few kinds at a time, so that each meets the others in quiet as well.
  const kinds = MISHAPS.filter(() => chance.happens(0.3));
  let hasForgotten = false;
  for (let count = kinds.length === 0 ? 0 : chance.between(0, 8); count > 0; count -= 1) {
    const mishap = weighted(kinds, chance);
    const forgets = mishap.fact !== undefined && AMNESIA.has(mishap.fact);
    if (forgets && hasForgotten) continue;
    hasForgotten ||= forgets;
    world.timeline.after(chance.between(1_000, until - 1), () => {
      if (mishap.fact !== undefined) world.facts.add(mishap.fact);
      world.trace(() => `mishap: ${mishap.name}`);
      mishap.befall(world, chance.pick(world.posts), chance);
    });
  }
}

function ratesOf(chance: Chance) {
  const rate = () => (chance.happens(0.5) ? chance.next() * 0.08 : 0);
  return { refused: rate(), dropped: rate(), lost: rate(), late: rate(), twice: rate() };
}

function weighted(kinds: readonly Mishap[], chance: Chance): Mishap {
  let left = chance.next() * kinds.reduce((sum, { weight }) => sum + weight, 0);
  const found = kinds.find(({ weight }) => (left -= weight) < 0);
  return found ?? chance.pick(kinds);
}
