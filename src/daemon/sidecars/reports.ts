import { backoffMs } from '../../domain/backoff.ts';
import { sidecarNameOf } from '../../domain/ids.ts';
import { codeSpan } from '../../domain/markdown.ts';
import type { Result } from '../../domain/result.ts';
import type { SidecarRule } from '../../domain/sidecar.ts';
import { StalledError, TransientError, toError } from '../../errors.ts';
import type { IssueTracker } from '../../ports/issues.ts';
import { resultPathOf } from '../../story/catalogue.ts';
import type { StoryContext } from '../../story/context.ts';
import { SidecarResults } from '../../story/sidecar/past-runs.ts';
import type { SidecarSettings } from '../../story/sidecar/sidecars.ts';

/** What is said about the ends of sidecars: in the log, and where the operator wants it in a comment on the issue. */
export interface Reports {
  recorded(result: Result): void;
  /** Comments that are due, and those that an earlier process may have owed, until the signal is aborted. */
  run(signal: AbortSignal): Promise<void>;
  /** Comments that are due now, each tried once. */
  tell(signal: AbortSignal): Promise<void>;
}

/** What ended so shortly before our start may not have been told by the process before us. */
const OWED_MS = 3_600_000;
const LOG_LINES = 20;
const IDLE_MS = 3_600_000;

interface Due {
  readonly result: Result;
  readonly rule: SidecarRule;
  readonly tracker: IssueTracker;
}

export function createReports(context: StoryContext, settings: SidecarSettings): Reports {
  return new IssueReports(context, settings);
}

class IssueReports implements Reports {
  readonly #context: StoryContext;
  readonly #settings: SidecarSettings;
  /** By formula and issue: only the newest end is told. */
  readonly #due = new Map<string, Due>();
  #waker = new AbortController();

  constructor(context: StoryContext, settings: SidecarSettings) {
    this.#context = context;
    this.#settings = settings;
  }

  recorded(result: Result): void {
    if (sidecarNameOf(result.id) === null) return;
    logEnd(result, this.#context);
    this.#add(result);
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#context;
    await this.#addOwed().catch((error: unknown) => log.debug('cannot see what was owed', { err: toError(error) }));
    for (let failures = 0; !signal.aborted; ) {
      failures = (await this.#tellAll(signal)) ? 0 : failures + 1;
      if (failures === 0 && this.#due.size > 0) continue;
      const wait = failures === 0 ? IDLE_MS : 10 * backoffMs(failures, clock.random());
      await clock.sleep(wait, AbortSignal.any([signal, this.#waker.signal]));
      this.#waker = new AbortController();
    }
  }

  async tell(signal: AbortSignal): Promise<void> {
    await this.#tellAll(signal);
  }

  #add(result: Result): void {
    const name = sidecarNameOf(result.id);
    const rule = this.#settings.rules.find(({ formula }) => formula === name?.formula);
    const tracker = this.#settings.trackers.get(result.sidecar?.repo ?? '');
    if (rule?.comment !== true || tracker === undefined || name === null) return;
    this.#due.set(`${name.formula} ${name.issue}`, { result, rule, tracker });
    this.#waker.abort();
  }

  async #addOwed(): Promise<void> {
    const { world, clock } = this.#context;
    const results = new SidecarResults(this.#context);
    const seen = world();
    const since = clock.now().getTime() - OWED_MS;
    const owed = [...seen.journal.ended.values()].filter(
      ({ id, ended_at }) => sidecarNameOf(id) !== null && Date.parse(ended_at) > since,
    );
    for (const { id } of owed.toSorted((a, b) => Date.parse(a.ended_at) - Date.parse(b.ended_at))) {
      const result = await results.of(id, seen);
      if (result !== null) this.#add(result);
    }
  }

  /** False: the forge is away, and what is left is tried again. */
  async #tellAll(signal: AbortSignal): Promise<boolean> {
    for (const [key, one] of this.#due) {
      const isTold = await this.#tellOne(one, signal);
      if (this.#due.get(key) === one) this.#due.delete(key);
      if (isTold) continue;
      // At the end of the row: it may be this one comment alone that the forge can't take.
      if (!this.#due.has(key)) this.#due.set(key, one);
      return false;
    }
    return true;
  }

  /** No comment is worth holding up the others: the result is in the repo. */
  async #tellOne(one: Due, signal: AbortSignal): Promise<boolean> {
    const { log } = this.#context;
    const { id } = one.result;
    try {
      await one.tracker.comment(issueOf(one.result), markerOf(one.rule), textOf(one, this.#context), signal);
    } catch (error) {
      if (signal.aborted || error instanceof TransientError) return false;
      if (!(error instanceof StalledError)) log.error('could not comment on the issue', { id, err: toError(error) });
      else log.warn('cannot comment on the issue', { id, code: error.code, reason: error.message, hint: error.hint });
    }
    return true;
  }
}

function logEnd({ id, outcome, exit_code, sidecar, logs, output, reason }: Result, { log }: StoryContext): void {
  log.info('a sidecar has ended', {
    id,
    repo: sidecar?.repo ?? null,
    issue: sidecar?.issue ?? null,
    outcome,
    exit_code,
    code: reason?.code ?? null,
    stdout_bytes: output?.stdout.bytes ?? null,
    stderr_bytes: output?.stderr.bytes ?? null,
    output: logs.trimEnd().split('\n').slice(-LOG_LINES).join('\n'),
  });
}

const issueOf = ({ id }: Result): number => sidecarNameOf(id)?.issue ?? 0;

const markerOf = ({ formula }: SidecarRule): string => `<!-- edge-dispatcher:sidecar:${formula} -->`;

/** Nothing of its output: the issue may be read by more people than the ops repo. */
function textOf({ result, rule }: Due, { settings }: StoryContext): string {
  const { outcome, exit_code, reason, times } = result;
  const path = resultPathOf(result.id, '', settings.sidecarsDir);
  const why = reason === null ? '' : ` (${reason.code.replace(/[^A-Z_]/g, '')})`;
  return [
    markerOf(rule),
    `${codeSpan(rule.formula)}: **${outcome.replaceAll('_', ' ')}**, exit code ${exit_code}${why}`,
    '',
    `Ended ${times.finished ?? times.recorded}. Its result is ${codeSpan(path)} of the ops repo.`,
  ].join('\n');
}
