import {
  type ActionPlan,
  actionPath,
  actionText,
  FORMULAS,
  type FormulaName,
  formulaText,
  POLICY,
  planActions,
  SECRETS,
} from './actions.ts';
import { Chance } from './chance.ts';
import { type DispatcherOptions, type SimDispatcher, startDispatcher } from './dispatcher.ts';
import type { Fact } from './facts.ts';
import { SimForge } from './forge.ts';
import { SimGit } from './git.ts';
import { SimHost } from './host.ts';
import { Judge } from './judge.ts';
import { EPOCH } from './machine.ts';
import { Weather } from './network.ts';
import { type Behaviour, SimNomad } from './nomad.ts';
import { quiet, Timeline } from './timeline.ts';
import { SimVault } from './vault.ts';

/** A place where a dispatcher runs, again and again. */
export interface Post {
  readonly host: SimHost;
  readonly options: Omit<DispatcherOptions, 'instance'>;
  current: SimDispatcher | null;
  /** It is not started again by itself. */
  isGone: boolean;
}

export interface WorldOptions {
  /** Keeps what happens, line by line. */
  readonly traces: boolean;
}

const GOES_WELL: Behaviour = {
  queuedMs: 0,
  isNeverPlaced: false,
  startMs: 100,
  runMs: 1_000,
  exitCode: 0,
  stopMs: 20,
  isStoreAway: false,
};

/** Everything, at one seed. */
export class SimWorld {
  readonly seed: number;
  readonly chance: Chance;
  readonly timeline: Timeline;
  readonly weather = new Weather();
  readonly git = new SimGit();
  readonly vault: SimVault;
  readonly nomad: SimNomad;
  readonly forge = new SimForge();
  readonly judge: Judge;
  readonly facts = new Set<Fact>();
  readonly cancelled = new Set<string>();
  readonly plans: ReadonlyMap<string, ActionPlan>;
  readonly posts: Post[] = [];
  readonly lines: string[] = [];
  readonly #inFlight = new Map<string, number>();
  readonly #traces: boolean;
  starts = 0;
  steps = 0;

  constructor(seed: number, chaosMs: number, { traces }: WorldOptions) {
    this.seed = seed;
    this.#traces = traces;
    this.chance = new Chance(seed);
    this.timeline = new Timeline(this.chance.fork('turns'));
    this.vault = new SimVault(this.timeline, SECRETS);
    this.plans = new Map(planActions(this.chance.fork('actions'), chaosMs).map((plan) => [plan.id, plan]));
    this.nomad = new SimNomad({
      timeline: this.timeline,
      chance: this.chance.fork('nomad'),
      vault: this.vault,
      behaviourOf: ({ id, attempt }) => {
        const plan = this.plans.get(id);
        if (plan === undefined) throw new Error(`${id} was dispatched and never planned`);
        // Whatever nobody planned goes well, so that everything comes to an end.
        const behaviour = plan.behaviours[attempt - 1] ?? GOES_WELL;
        return behaviour;
      },
      onStart: (command, payload) => {
        this.trace(() => `the command of ${command.id}, attempt ${command.attempt}, starts`);
        this.judge.started(command, payload);
      },
      trace: (line) => this.trace(line),
    });
    const { timeline, git, nomad, vault, forge, facts, plans, cancelled } = this;
    this.judge = new Judge({ timeline, git, nomad, vault, forge, facts, plans, cancelled, inFlight: this.#inFlight });
    git.onMove = (ref, before, after, by) => {
      this.trace(
        () =>
          `${ref} moves to ${after?.slice(0, 7) ?? 'nothing'} by ${by}: ${after === undefined ? '' : git.get(after).subject.split('\n')[0]}`,
      );
      this.judge.moved(ref, before, after);
    };
    this.#begin();
  }

  now(): Date {
    return new Date(EPOCH + this.timeline.now);
  }

  trace(line: () => string): void {
    if (this.#traces) this.lines.push(`${(this.timeline.now / 1000).toFixed(3).padStart(10)} ${line()}`);
  }

  post(options: Omit<DispatcherOptions, 'instance'>): Post {
    const host = new SimHost(`${options.name}-host-${this.posts.length + 1}`, this.timeline);
    const post: Post = { host, options, current: null, isGone: false };
    this.posts.push(post);
    this.#inFlight.set(options.name, options.inFlight);
    return post;
  }

  start(post: Post): void {
    this.starts += 1;
    const instance = String(this.starts).padStart(2, '0');
    this.trace(() => `${post.options.name} is started as #${instance}`);
    const { timeline, weather, git, vault, nomad, forge } = this;
    const outside = {
      timeline,
      chance: this.chance.fork(`network ${instance}`),
      weather,
      git,
      vault,
      nomad,
      forge,
      trace: (line: () => string) => this.trace(line),
      told: (id: string, state: string, why: string | null) => this.judge.told(id, state, why),
      broken: (what: string) => this.judge.broken(what),
    };
    const dispatcher = startDispatcher(
      post.host,
      { ...post.options, instance },
      outside,
      this.chance.fork(`process ${instance}`),
    );
    dispatcher.process.onDeath = () => this.trace(() => `${dispatcher.process.name} dies`);
    post.current = dispatcher;
  }

  /** Goes on until then, or until something is broken. */
  async runUntil(ms: number): Promise<void> {
    let isOver = false;
    this.timeline.after(ms - this.timeline.now, () => {
      isOver = true;
    });
    while (!isOver && this.judge.violations.length === 0) {
      await quiet();
      if (!this.timeline.step()) throw new Error('everything waits for something that never comes');
      this.steps += 1;
    }
    await quiet();
  }

  commit(files: Readonly<Record<string, string | null>>, author: string, subject = 'change'): void {
    this.git.add(files, { subject, at: this.now(), author });
  }

  cancel(id: string): void {
    this.cancelled.add(id);
    this.trace(() => `somebody asks to cancel ${id}`);
    for (const { host } of this.posts) {
      void host.control.requestStop(id, {
        kind: 'cancel',
        by: 'operator',
        message: 'not needed any more',
        at: this.now().toISOString(),
      });
    }
  }

  #begin(): void {
    const names = Object.keys(FORMULAS) as FormulaName[];
    const formulas = names.map((name) => [`vault/formulas/${name}.toml`, formulaText(name)] as const);
    this.commit({ 'vault/policy.toml': POLICY, ...Object.fromEntries(formulas) }, 'ada', 'begin');
    for (const plan of this.plans.values()) {
      this.timeline.after(plan.committedAt, () =>
        this.commit({ [actionPath(plan.id)]: actionText(plan) }, plan.author, `add ${plan.id}`),
      );
      if (plan.cancelledAt !== null) this.timeline.after(plan.cancelledAt, () => this.cancel(plan.id));
      if (plan.approvedAt !== null) this.timeline.after(plan.approvedAt, () => this.#review(plan));
      if (plan.isRejected) this.timeline.after(plan.committedAt + 1, () => this.#review(plan));
    }
  }

  #review(plan: ActionPlan): void {
    const { tree } = this.git.get(this.git.tip);
    const path = actionPath(plan.id);
    const blob = tree.get(path)?.oid ?? '';
    const formula = tree.get(`vault/formulas/${plan.formula}.toml`)?.oid ?? '';
    this.trace(() => `${plan.id} is ${plan.isRejected ? 'rejected' : 'approved'}`);
    if (plan.isRejected) this.forge.reject(path, blob);
    else this.forge.approve(path, blob, formula, this.now());
  }
}
