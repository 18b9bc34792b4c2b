import type { TaskEvent } from './wire.ts';
import { nanoseconds } from './wire.ts';

/** The task events of Nomad 2.0.5 with the texts it writes. */

/** Every event carries these; newer facts are in Details only. */
const DEPRECATED = {
  DiskLimit: 0,
  DownloadError: '',
  DriverError: '',
  DriverMessage: '',
  ExitCode: 0,
  FailedSibling: '',
  FailsTask: false,
  GenericSource: '',
  KillError: '',
  KillReason: '',
  KillTimeout: 0,
  Message: '',
  RestartReason: '',
  SetupError: '',
  Signal: 0,
  StartDelay: 0,
  TaskSignal: '',
  TaskSignalReason: '',
  ValidationError: '',
  VaultError: '',
};

export function received(): TaskEvent {
  return event('Received', 'Task received by client');
}

export function taskSetup(): TaskEvent {
  const message = 'Building Task Directory';
  return event('Task Setup', message, { message }, { Message: message });
}

export function started(): TaskEvent {
  return event('Started', 'Task started by client');
}

/** `signal` 0: it ended by itself. */
export function terminated(exitCode: number, signal = 0, oomKilled = false): TaskEvent {
  const text = signal === 0 ? `Exit Code: ${exitCode}` : `Exit Code: ${exitCode}, Signal: ${signal}`;
  const details = { exit_code: String(exitCode), signal: String(signal), oom_killed: String(oomKilled) };
  return event('Terminated', text, details, { ExitCode: exitCode, Signal: signal });
}

export function notRestarting(reason = 'Policy allows no restarts'): TaskEvent {
  const details = { restart_reason: reason, fails_task: 'true' };
  return event('Not Restarting', reason, details, { FailsTask: true, RestartReason: reason });
}

/** `delay` in nanoseconds. */
export function restarting(delay: number): TaskEvent {
  const reason = 'Restart within policy';
  const details = { restart_reason: reason, start_delay: String(delay) };
  return event('Restarting', `Task restarting in ${delay / 1e9}s`, details, {
    RestartReason: reason,
    StartDelay: delay,
  });
}

/** The signal is sent; `timeout` in nanoseconds until KILL. */
export function killing(timeout: number, why?: string): TaskEvent {
  const seconds = `${timeout / 1e9}s`;
  const text = why ?? `Sent interrupt. Waiting ${seconds} before force killing`;
  return event('Killing', text, { kill_timeout: seconds }, { KillTimeout: timeout });
}

/** A hook of the task failed while it waited to start. */
export function killingFailsTask(text: string): TaskEvent {
  return event('Killing', text, { fails_task: 'true' }, { FailsTask: true });
}

export function killed(): TaskEvent {
  return event('Killed', 'Task successfully killed');
}

export function driverFailure(text: string): TaskEvent {
  return event('Driver Failure', text, { driver_error: text }, { DriverError: text });
}

export function hookFailed(message: string): TaskEvent {
  return event('Task hook failed', message, { message }, { Message: message });
}

export function downloadingArtifacts(): TaskEvent {
  return event('Downloading Artifacts', 'Client is downloading artifacts');
}

export function artifactFailed(text: string): TaskEvent {
  return event('Failed Artifact Download', text, { download_error: text }, { DownloadError: text });
}

export function template(text: string): TaskEvent {
  return event('Template', text);
}

export function siblingFailed(sibling: string): TaskEvent {
  const text = `Task's sibling "${sibling}" failed`;
  return event('Sibling Task Failed', text, { failed_sibling: sibling }, { FailedSibling: sibling });
}

function event(
  type: string,
  text: string,
  details: Readonly<Record<string, string>> = {},
  old: Readonly<Partial<typeof DEPRECATED>> = {},
): TaskEvent {
  return { ...DEPRECATED, ...old, Type: type, Time: nanoseconds(), DisplayMessage: text, Details: details };
}
