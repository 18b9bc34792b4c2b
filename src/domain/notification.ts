import type { Result } from './result.ts';
import { printable } from './text.ts';

/** What is told of a result that did not succeed (docs/hooks-and-notify.md). Fields may be added, never changed. */
export interface Notification {
  /** One line for people. Chat services show it and leave out the rest. */
  readonly text: string;
  readonly version: 1;
  readonly id: string;
  readonly outcome: Result['outcome'];
  readonly exit_code: number;
  readonly reason: { readonly code: string; readonly message: string } | null;
  /** null, as `tier`: it ended before its formula was known. */
  readonly formula: string | null;
  readonly tier: string | null;
  /** Who recorded it. */
  readonly dispatcher: string;
  /** Of the result, in the ops repo. */
  readonly path: string;
  /** That brought the action; null where the result names none. */
  readonly commit: string | null;
  readonly finished: string;
}

/**
 * A result as it is told: nothing of the run's output, only what is in the ops repo anyway. `path`: of the result in the
 * ops repo; `dispatcher`: who recorded it.
 */
export function notificationOf(result: Result, path: string, dispatcher: string): Notification {
  const { id, outcome, exit_code, reason, formula, action, timestamp } = result;
  const told = {
    version: 1,
    id,
    outcome,
    exit_code,
    reason: reason === null ? null : { code: reason.code, message: reason.message },
    formula: formula?.name ?? null,
    tier: formula?.tier ?? null,
    dispatcher,
    path,
    commit: action.commit,
    finished: timestamp,
  } as const;
  return { text: lineOf(told), ...told };
}

/** `release-v120 failed (exit 1): … [ERR_…] (formula release, tier high, edge-1)` */
function lineOf({ id, outcome, exit_code, reason, formula, tier, dispatcher }: Omit<Notification, 'text'>): string {
  const why = reason === null ? '' : `: ${short(reason.message)} [${reason.code}]`;
  const about = formula === null ? dispatcher : `formula ${formula}, tier ${tier}, ${dispatcher}`;
  return forChat(`${id} ${outcome.replace('_', ' ')} (exit ${exit_code})${why} (${about})`);
}

const LONGEST = 300;

function short(message: string): string {
  // Half of a pair at the cut would be no text.
  return message.length <= LONGEST ? message : `${message.slice(0, LONGEST).replace(/[\uD800-\uDBFF]$/, '')}…`;
}

/** A message may quote the ops repo: nobody is called by it, no link is made, and it stays one line. */
function forChat(line: string): string {
  return printable(line)
    .replaceAll('@', '(at)')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('](', '] (')
    .replaceAll('://', ': //');
}

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/** Null: fine as the address of a receiver (https; http on loopback only). Else what is wrong; the address is never quoted. */
export function receiverProblem(address: string): string | null {
  if (!/^https?:\/\//i.test(address) || !URL.canParse(address)) return 'holds no address like https://chat.example/…';
  const { protocol, hostname, username, password } = new URL(address);
  if (`${username}${password}` !== '') return 'holds an address with a user or password';
  if (protocol === 'http:' && !LOOPBACK.test(hostname)) return 'holds an address that is not https';
  return null;
}
