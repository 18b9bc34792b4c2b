import type { Check } from '../domain/check.ts';
import type { Notification } from '../domain/notification.ts';

/** One place outside that is told of results. */
export interface Notifier {
  /**
   * One request. `taken` false: the receiver does not want it, and would not if it were sent again (`status`: its HTTP
   * status). Errors: TransientError (ERR_NOTIFY_UNAVAILABLE: network, time, 5xx, a limit of rate), StalledError
   * (ERR_NOTIFY_DENIED: there is no usable address). Neither they nor anything else that comes out holds the address. An
   * aborted signal throws its own reason. To repeat it may tell people twice.
   */
  send(notification: Notification, signal: AbortSignal): Promise<{ readonly taken: boolean; readonly status: number }>;
  /** Whether there is an address to send to; nothing is sent. Never throws. */
  check(): Promise<Check>;
}
