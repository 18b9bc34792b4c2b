import type { Result } from '../domain/result.ts';
import type { Reason } from '../domain/run.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log, LogFields } from '../ports/log.ts';
import type { Step } from '../story/context.ts';

interface Line {
  readonly id: string;
  /** `pending`, or the step that a claimed attempt is at. */
  readonly state: 'pending' | Step['state'];
  readonly reason: Reason | null;
  readonly since: string;
}

/** Where every action is, as this process knows it; each change is said once in the log, new words for it to who debugs. */
export interface Board {
  tell(id: string, state: Line['state'], reason: Reason | null): void;
  /** It has ended: off the board. */
  ended(id: string, result: Result): void;
  /** It is not pending any more (deleted, recorded by somebody else). */
  gone(id: string): void;
  line(id: string): Line | undefined;
  lines(): readonly Line[];
}

export function createBoard(tools: {
  readonly clock: Clock;
  readonly log: Log;
  readonly onResult?: ((result: Result) => void) | undefined;
}): Board {
  const lines = new Map<string, Line>();
  return {
    tell(id, state, reason) {
      const before = lines.get(id);
      // Thousands that wait for a slot are told of in other words each time a run ends.
      const isSame = before?.state === state && before.reason?.code === reason?.code;
      if (isSame && before.reason?.message === reason?.message) return;
      lines.set(id, { id, state, reason, since: tools.clock.now().toISOString() });
      const say = (message: string, fields: LogFields) =>
        isSame ? tools.log.debug(message, fields) : tools.log.info(message, fields);
      if (reason !== null) say('waiting', { id, state, code: reason.code, reason: reason.message });
      else say('goes on', { id, state });
    },
    ended(id, result) {
      lines.delete(id);
      const { outcome, exit_code } = result;
      tools.log.info('recorded', { id, outcome, exit_code, code: result.reason?.code ?? null });
      tools.onResult?.(result);
    },
    gone: (id) => void lines.delete(id),
    line: (id) => lines.get(id),
    lines: () => [...lines.values()],
  };
}
