import { readdirSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import type { Permission } from '../../src/cli/demo-forge/records.ts';
import { resultSchema } from '../../src/domain/result.ts';
import type { SidecarRule } from '../../src/domain/sidecar.ts';
import { RULES, SidecarBench } from './sidecar-bench.ts';

/** One history of test/fixtures/label-histories (README there). */
const historySchema = z.strictObject({
  name: z.string(),
  rules: z.record(z.string(), z.record(z.string(), z.unknown())).default({}),
  only: z.array(z.string()).optional(),
  steps: z.array(z.string()),
  runs: z.record(z.string(), z.strictObject({ minutes: z.number().default(2), exit: z.int().default(0) })).default({}),
  poll: z.number().default(1),
  minutes: z.number(),
  expect: z.array(z.string()),
});
export type History = z.infer<typeof historySchema>;

const FOLDER = new URL('../fixtures/label-histories/', import.meta.url);

export function readHistories(): readonly History[] {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith('.json'));
  return files.flatMap((name) => z.array(historySchema).parse(JSON.parse(readFileSync(new URL(name, FOLDER), 'utf8'))));
}

const MINUTE_MS = 60_000;
/** In polls: up to one until it is seen, with its jitter, and one until a slot is given. */
const LATE_POLLS = 3;

/** Plays the history with the real daemon and answers its runs in the order of their starts. */
export async function play(history: History): Promise<readonly PlayedRun[]> {
  const stage = new HistoryStage(history);
  const begin = stage.bench.clock.now().getTime();
  const steps = history.steps.map(parseStep);
  const isAt = (minute: number) => steps.filter((step) => step.minute === minute);
  for (const step of isAt(0)) await stage.does(step);
  stage.start();
  const times = [...new Set(steps.map(({ minute }) => minute))].filter((minute) => minute > 0);
  for (const minute of [...times.toSorted((a, b) => a - b), history.minutes]) {
    const left = begin + minute * MINUTE_MS - stage.bench.clock.now().getTime();
    await stage.bench.pass(left);
    for (const step of isAt(minute)) await stage.does(step);
  }
  const runs = await stage.runs(begin);
  await stage.stop();
  return runs;
}

export interface PlayedRun {
  readonly minute: number;
  readonly id: string;
  readonly outcome: string;
}

/** The runs as the history names them, each at its expected minute where it began in time. */
export function told(runs: readonly PlayedRun[], history: History): readonly string[] {
  return runs.map(({ minute, id, outcome }, index) => {
    const expected = Number.parseFloat(history.expect[index] ?? '');
    const isInTime = minute >= expected && minute <= expected + LATE_POLLS * history.poll;
    return `${isInTime ? expected : minute} ${id} ${outcome}`;
  });
}

interface HistoryStep {
  readonly minute: number;
  readonly who: string;
  readonly does: string;
  /** Of the issue; 0: none is named. */
  readonly issue: number;
  readonly rest: string;
}

function parseStep(text: string): HistoryStep {
  const [, minute, who = '', does = '', issue = '0', rest = ''] =
    /^(\d+) (\S+) (\S+)(?: #(\d+))?(?: ([\s\S]*))?$/.exec(text) ?? [];
  if (minute === undefined) throw new Error(`no step: ${text}`);
  return { minute: Number(minute), who, does, issue: Number(issue), rest };
}

class HistoryStage {
  readonly bench = new SidecarBench({ dev: 'write', dev2: 'write', reader: 'read', 'agent-bot': 'write' });
  readonly #issues = this.bench.issues;
  readonly #pollSeconds: number;
  #stopping = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor({ rules, only, runs, poll }: History) {
    this.#pollSeconds = poll * 60;
    const wanted = RULES.filter(({ formula }) => only === undefined || only.includes(formula));
    this.bench.sidecarRules = wanted.map((rule): SidecarRule => ({ ...rule, ...rules[rule.formula] }));
    for (const [id, { minutes, exit }] of Object.entries(runs)) {
      this.bench.engine.behaviours.set(`sidecar/${id}`, { runMs: minutes * MINUTE_MS, exitCode: exit });
    }
  }

  start(): void {
    this.#stopping = new AbortController();
    const { daemon } = this.bench.process({ loop: { pollSeconds: this.#pollSeconds } });
    this.#running = daemon.run(this.#stopping.signal);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.bench.drive(this.#running);
  }

  does(step: HistoryStep): Promise<void> | void {
    const { who, does } = step;
    if (who === 'daemon') return does === 'stops' ? this.stop() : this.start();
    if (who === 'forge') this.#issues.away = does === 'goes';
    else if (who === 'git') this.#commits(step);
    else this.#person(step);
  }

  #commits({ rest }: HistoryStep): void {
    const [path = '', ...content] = rest.split(' ');
    this.bench.repo.commitFiles({ [path]: `${content.join(' ')}\n` });
  }

  #person({ who, does, issue, rest }: HistoryStep): void {
    const { forge } = this.#issues;
    const doings: Readonly<Record<string, () => void>> = {
      opens: () => this.#open(who, rest),
      opensMany: () => this.#openMany(who, rest),
      labels: () => forge.label(who, issue, rest),
      unlabels: () => forge.unlabel(who, issue, rest),
      plants: () => this.#plant(who, issue, rest),
      comments: () => void forge.comment(who, issue, rest),
      closes: () => forge.close(who, issue),
      reopens: () => forge.reopen(who, issue),
      retitles: () => forge.edit(who, issue, { title: rest }),
      edits: () => forge.edit(who, issue, { body: rest }),
      deletes: () => forge.remove(issue),
      becomes: () => forge.setRole(who, rest as Permission),
    };
    const doing = doings[does];
    if (doing === undefined) throw new Error(`nobody ${does}`);
    doing();
  }

  #open(who: string, rest: string): void {
    const [, labels = '', body = ''] = /^(?:\[([^\]]*)\])? ?(.*)$/.exec(rest) ?? [];
    this.#issues.forge.open(who, {
      title: 'it crashes',
      body,
      labels: labels.split(', ').filter((each) => each !== ''),
    });
  }

  /** `120 [bug-report]` */
  #openMany(who: string, rest: string): void {
    const [count = '0', ...labels] = rest.split(' ');
    for (let made = 0; made < Number(count); made += 1) this.#open(who, labels.join(' '));
  }

  /** As an issue template does on some forges: the author has no right to the label. */
  #plant(who: string, number: number, name: string): void {
    const { forge } = this.#issues;
    forge.label('dev', number, name);
    const event = forge.events.findLast(({ label }) => label?.name === name);
    if (event !== undefined) Object.assign(event, { by: this.#issues.user(who) });
  }

  /** What is recorded, and what is live. */
  async runs(begin: number): Promise<readonly PlayedRun[]> {
    const { repo, journal } = this.bench;
    const results = await repo.list(repo.tip, ['vault/sidecars']);
    const played = results.map(({ path }): PlayedRun => {
      const { id, outcome, times } = resultSchema.parse(JSON.parse(repo.textAt(path) ?? ''));
      return { id, outcome, minute: minutesBetween(begin, times.dispatched ?? times.recorded) };
    });
    const live = [...journal.state.entries.values()].map(({ id, claimed_at }) => {
      return { id, outcome: 'running', minute: minutesBetween(begin, claimed_at) };
    });
    return [...played, ...live]
      .map((run) => ({ ...run, id: run.id.replace('sidecar/', '') }))
      .toSorted((a, b) => a.minute - b.minute || a.id.localeCompare(b.id, 'en', { numeric: true }));
  }
}

function minutesBetween(begin: number, at: string): number {
  return Math.floor((Date.parse(at) - begin) / MINUTE_MS);
}
