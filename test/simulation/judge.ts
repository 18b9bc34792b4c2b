import { oid } from '../../src/domain/ids.ts';
import { entryPath, type JournalEntry, journalEntrySchema } from '../../src/domain/journal.ts';
import type { Payload } from '../../src/domain/payload.ts';
import { type Result, resultSchema } from '../../src/domain/result.ts';
import { type ActionPlan, ATTEMPTS, actionPath, resultPath } from './actions.ts';
import type { Fact } from './facts.ts';
import type { SimForge } from './forge.ts';
import { JOURNAL, MAIN, type SimGit } from './git.ts';
import type { Command } from './nomad.ts';
import { type Truth, whyUntrue } from './truth.ts';

export interface JudgeTools extends Truth {
  readonly git: SimGit;
  readonly forge: SimForge;
  /** By dispatcher: how many runs of it may live at the same time. */
  readonly inFlight: ReadonlyMap<string, number>;
}

/** What must hold at every step. It knows the truth: each command that was really started, and how it really ended. */
export class Judge {
  readonly violations: string[] = [];
  readonly results = new Map<string, Result>();
  readonly #tools: JudgeTools;

  constructor(tools: JudgeTools) {
    this.#tools = tools;
  }

  broken(what: string): void {
    this.violations.push(`${(this.#tools.timeline.now / 1000).toFixed(3)} s: ${what}`);
  }

  /** A command starts now. */
  started(command: Command, payload: Payload): void {
    const { nomad, plans } = this.#tools;
    const { id, token, attempt } = command;
    const others = nomad.commands.filter((each) => each !== command && each.id === id);
    const plan = plans.get(id);
    this.#never(
      `attempt ${attempt} of ${id} was executed twice`,
      others.some((other) => other.token === token),
    );
    const may = plan?.formula === 'again' ? ATTEMPTS : 1;
    this.#never(`${id} was executed ${others.length + 1} times and may be ${may} times`, others.length >= may);
    this.#never(
      `${id} was started while an earlier attempt lives`,
      others.some(({ endedAt }) => endedAt === null),
    );
    this.#afterItsEnd(id);
    this.#approved(id, payload, plan);
    this.#group(id, plan);
    this.#slots(id);
  }

  /** The branch has moved. */
  moved(ref: string, before: string | undefined, after: string | undefined): void {
    const { git, inFlight } = this.#tools;
    if (ref !== MAIN || after === undefined) return;
    const commits = git.since(before === undefined ? null : oid(before), oid(after));
    for (const { author, changes } of commits) {
      if (!inFlight.has(author)) continue;
      for (const { path, before: was, after: now } of changes) {
        this.#never(`${author} changed ${path}`, !path.endsWith('.result.json'));
        this.#never(`${author} rewrote ${path}`, was !== null);
        if (now !== null) this.#recorded(resultSchema.parse(JSON.parse(this.#textOf(now.oid))));
      }
    }
  }

  /** What a dispatcher tells of an action. */
  told(id: string, state: string, why: string | null): void {
    this.#never(`${id} waits, and nobody says why`, state === 'pending' && (why ?? '') === '');
  }

  /** Everything has come to rest. `reasons`: what is told of what waits. */
  ended(reasons: ReadonlyMap<string, string>): void {
    const { plans, vault, nomad } = this.#tools;
    for (const plan of plans.values()) this.#ending(plan, reasons.get(plan.id));
    for (const token of vault.minted) {
      const isHeld = vault.isAlive(token) && token.holder !== null;
      this.#never(`a token of ${token.request.id} lives on after its end`, isHeld);
    }
    for (const { id, endedAt } of nomad.commands) this.#never(`a command of ${id} lives on`, endedAt === null);
  }

  #never(what: string, isSo: boolean): void {
    if (isSo) this.broken(what);
  }

  #knows(...facts: readonly Fact[]): boolean {
    return facts.some((fact) => this.#tools.facts.has(fact));
  }

  #ending({ id, formula, approvedAt, isRejected }: ActionPlan, why: string | undefined): void {
    const { git, cancelled } = this.#tools;
    const result = this.results.get(id);
    if (formula === 'reviewed' && approvedAt === null && !isRejected && !cancelled.has(id)) {
      this.#never(`${id} was never approved and has a result`, result !== undefined);
      this.#never(`${id} waits, and nobody says why`, why === undefined);
      return;
    }
    this.#never(`${id} has no result in the end (${why ?? 'and nobody says why'})`, result === undefined);
    const isGone = result !== undefined && git.text(resultPath(id)) === null;
    this.#never(`the result of ${id} is gone`, isGone && !this.#knows('history-rewritten', 'result-deleted'));
  }

  #recorded(result: Result): void {
    const { id, outcome, reason } = result;
    this.#never(`${id} got a second result`, this.results.has(id) && !this.#knows('history-rewritten'));
    this.results.set(id, result);
    const why = whyUntrue(result, this.#tools);
    const said = reason === null ? outcome : `${outcome} (${reason.code}: ${reason.message})`;
    this.#never(`${id} was recorded as ${said}: ${why}`, why !== null);
  }

  /** Where another dispatcher has begun it, and the journal knows no more of that, nobody can take its access away. */
  #afterItsEnd(id: string): void {
    const end = this.results.get(id)?.outcome;
    const isUnsure = end === 'unknown' || end === 'lost';
    // Of two processes of one name the older one may be writing its result while the newer one goes on.
    const isForgotten = this.#knows('history-rewritten', 'twin') || (isUnsure && this.#knows('journal-lost'));
    this.#never(`${id} was executed after it was recorded as ${end}`, end !== undefined && !isForgotten);
  }

  #approved(id: string, { blobs }: Payload, plan: ActionPlan | undefined): void {
    const { forge, git } = this.#tools;
    const isApproved = plan?.formula !== 'reviewed' || forge.isApproved(actionPath(id), blobs.action);
    this.#never(`${id} was executed without an approval`, !isApproved);
    this.#never(`${id} was executed with bytes that nobody committed`, git.blob(oid(blobs.action)) === undefined);
  }

  /** The journal is what groups and slots are derived from, and the wall clock what a held one ends by. */
  #group(id: string, plan: ActionPlan | undefined): void {
    const { nomad, plans } = this.#tools;
    if (plan?.formula !== 'solo' || this.#knows('journal-lost', 'wall-jump', 'history-rewritten')) return;
    const living = nomad.commands.filter(({ endedAt }) => endedAt === null);
    const inGroup = living.filter((command) => plans.get(command.id)?.formula === 'solo');
    this.#never(`${id} was started while another one of its group lives`, inGroup.length > 1);
  }

  /** At most in_flight runs of one dispatcher live; who takes over may hold more than its own. */
  #slots(id: string): void {
    const { nomad, inFlight } = this.#tools;
    if (this.#knows('journal-lost', 'wall-jump', 'history-rewritten', 'machine-lost', 'stopped', 'long-outage')) return;
    const holder = this.#entry(id)?.dispatcher;
    const limit = holder === undefined ? undefined : inFlight.get(holder);
    if (limit === undefined) return;
    const living = nomad.commands.filter(({ endedAt }) => endedAt === null);
    const own = living.filter((command) => this.#entry(command.id)?.dispatcher === holder);
    this.#never(`${holder} has ${own.length} runs alive and may have ${limit}`, own.length > limit);
  }

  #entry(id: string): JournalEntry | null {
    const { git } = this.#tools;
    const tip = git.refs.get(JOURNAL);
    const entry = tip === undefined ? undefined : git.get(tip).tree.get(entryPath(id));
    return entry === undefined ? null : journalEntrySchema.parse(JSON.parse(this.#textOf(entry.oid)));
  }

  #textOf(blob: string): string {
    return Buffer.from(this.#tools.git.blob(oid(blob)) ?? []).toString('utf8');
  }
}
