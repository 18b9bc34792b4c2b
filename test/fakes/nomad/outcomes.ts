import { unplaced } from './records.ts';
import * as is from './task-events.ts';
import type { Report } from './tasks.ts';
import type { ClientStatus, TaskEvent, TaskState } from './wire.ts';

/**
 * How a child ends, by the names of the recordings `outcome-*.json`: what its client says of it, one report after the
 * other. The texts are those of Nomad 2.0.5.
 */

const DESCRIPTIONS: Readonly<Record<ClientStatus, string>> = {
  pending: 'No tasks have started',
  running: 'Tasks are running',
  complete: 'All tasks have completed',
  failed: 'Failed tasks',
  lost: '',
  unknown: 'alloc is unknown since its node is disconnected',
};

/** One task in a report. Whether it started, ended or failed follows from its events and the status. */
interface TaskView {
  readonly state: TaskState['State'];
  readonly events: readonly TaskEvent[];
  readonly failed?: boolean;
  readonly restarts?: number;
}

export interface Script {
  /** What happens by itself; the last one is the end, unless the child runs until it is stopped. */
  readonly reports: readonly Report[];
  /** What follows when the child is stopped before its end. */
  readonly stopped: readonly Report[];
}

const EVENTS_KEPT = 10;
const MAX_RUN = 'allocation exceeded max_run_duration';

function report(client: ClientStatus, views: Readonly<Record<string, TaskView>>): Report {
  const tasks = Object.entries(views).map(([name, view]) => [name, taskState(view)] as const);
  return { client, description: DESCRIPTIONS[client], tasks: Object.fromEntries(tasks) };
}

function taskState({ state, events, failed = false, restarts = 0 }: TaskView): TaskState {
  const hasStarted = events.some(({ Type }) => Type === 'Started');
  const now = new Date().toISOString();
  return {
    State: state,
    Failed: failed,
    Restarts: restarts,
    StartedAt: hasStarted ? now : null,
    FinishedAt: state === 'dead' ? now : null,
    LastRestart: restarts > 0 ? now : null,
    Paused: '',
    Events: events.slice(-EVENTS_KEPT),
  };
}

// The reports that most children go through

/** `task` is the name of the main task. */
export function pending(task: string, ...more: readonly TaskEvent[]): Report {
  return report('pending', { [task]: { state: 'pending', events: [...begun(), ...more] } });
}

export function running(task: string, ...more: readonly TaskEvent[]): Report {
  return report('running', { [task]: { state: 'running', events: [...begun(), is.started(), ...more] } });
}

/** It ended by itself: complete with 0, failed with anything else. */
export function ended(task: string, exitCode: number, signal = 0, oomKilled = false): Report {
  const events = [...begun(), is.started(), is.terminated(exitCode, signal, oomKilled)];
  return exitCode === 0
    ? report('complete', { [task]: { state: 'dead', events } })
    : report('failed', { [task]: { state: 'dead', failed: true, events: [...events, is.notRestarting()] } });
}

/** It never started. */
export function neverStarted(task: string, ...why: readonly TaskEvent[]): Report {
  return report('failed', { [task]: { state: 'dead', failed: true, events: [...begun(), ...why] } });
}

/** The server stops it: the signal is sent. */
export function stopping(task: string, killTimeout: number): Report {
  return running(task, is.killing(killTimeout));
}

/** It is stopped: complete, whatever its exit code. */
export function stopped(task: string, killTimeout: number, exitCode: number, signal = 0): Report {
  const events = [is.killing(killTimeout), is.terminated(exitCode, signal), is.killed()];
  return report('complete', { [task]: { state: 'dead', events: [...begun(), is.started(), ...events] } });
}

/** It ran longer than it may: complete although it still runs. */
export function overrun(task: string, killTimeout: number): Report {
  return overrunning(running(task, is.killing(killTimeout, MAX_RUN)));
}

export function overrunEnded(task: string, killTimeout: number, exitCode: number, signal = 0): Report {
  const end = [is.killing(killTimeout, MAX_RUN), is.terminated(exitCode, signal), is.killed()];
  return overrunning(report('complete', { [task]: { state: 'dead', events: [...begun(), is.started(), ...end] } }));
}

function overrunning({ tasks }: Report): Report {
  const now = new Date().toISOString();
  const finished = Object.entries(tasks).map(([name, task]) => [name, { ...task, FinishedAt: now }] as const);
  return { client: 'complete', description: MAX_RUN, timeout: MAX_RUN, tasks: Object.fromEntries(finished) };
}

function begun(): readonly TaskEvent[] {
  return [is.received(), is.taskSetup()];
}

// The outcomes

const DOWNLOAD =
  'failed to download artifact "http://127.0.0.1:9/nothing.tar.gz": getter subprocess failed: exit status 1: ' +
  'failed to download artifact: Get "http://127.0.0.1:9/nothing.tar.gz": dial tcp 127.0.0.1:9: connect: connection refused';
const LOGIN =
  'failed to derive Vault token for identity vault_default: failed to login with JWT: Error making API request.\n\n' +
  'URL: PUT http://127.0.0.1:8200/v1/auth/jwt-nomad/login\nCode: 403. Errors:\n\n* permission denied';
const EXECUTOR = 'failed to launch command with executor: rpc error: code = Unknown desc = ';

/** Main task and KillTimeout (ns) of the child. */
type Outcome = (task: string, killTimeout: number) => Partial<Script> & Pick<Script, 'reports'>;

const OUTCOMES = {
  'exit-0': (task) => ({ reports: [pending(task), ended(task, 0)] }),
  'exit-3': (task) => ({ reports: [pending(task), running(task, is.terminated(3)), ended(task, 3)] }),
  'exec-exit-0': (task) => ({ reports: [pending(task), ended(task, 0)] }),
  'exec-exit-3': (task) => ({ reports: [pending(task), running(task), ended(task, 3)] }),
  'volume-exec': (task) => ({ reports: [pending(task), running(task), ended(task, 0)] }),
  'killed-9': (task) => ({ reports: [pending(task), running(task), ended(task, 137, 9)] }),
  'killed-15': (task) => ({ reports: [pending(task), running(task), ended(task, 143, 15)] }),
  'oom-exec': (task) => ({ reports: [pending(task), running(task), ended(task, 137, 9, true)] }),
  'oom-raw-exec': (task) => ({ reports: [ended(task, 137, 9)] }),
  'bad-command': (task) => {
    const failure = is.driverFailure(`${EXECUTOR}binary "/no/such/binary" could not be found`);
    return { reports: [pending(task), neverStarted(task, failure, is.notRestarting())] };
  },
  artifact: (task) => {
    const events = [is.downloadingArtifacts(), is.artifactFailed(DOWNLOAD), is.notRestarting()];
    return { reports: [pending(task, is.downloadingArtifacts()), neverStarted(task, ...events)] };
  },
  'bad-template': (task) => {
    const why = is.killingFailsTask('Template failed: (dynamic): parse: template: :1: unclosed action');
    const waits = { [task]: { state: 'pending' as const, failed: true, events: [...begun(), why] } };
    return { reports: [report('pending', waits), neverStarted(task, why)] };
  },
  'vault-login-refused': (task) => {
    const why = is.killingFailsTask(`Vault: failed to derive vault token: ${LOGIN}`);
    return { reports: [neverStarted(task, why, is.hookFailed(`vault: ${LOGIN}`), is.notRestarting())] };
  },
  'template-waits': (task, timeout) => {
    const missing = is.template('Missing: vault.read(kv/data/edge/runner/GITHUB_TOKEN)');
    const waits = [pending(task), pending(task, missing)];
    return { reports: waits, stopped: [pending(task, missing, is.killing(timeout))] };
  },
  /** No recording: that of `template-waits` ends some three seconds before the last of these. */
  'template-given-up': (task, timeout) => {
    const missing = is.template('Missing: vault.read(kv/data/edge/runner/GITHUB_TOKEN)');
    const events = [...begun(), missing, is.killing(timeout)];
    const dead = report('complete', { [task]: { state: 'dead', events } });
    return { reports: [pending(task), pending(task, missing)], stopped: [dead] };
  },
  'volume-raw-exec': (task) => {
    const why = is.hookFailed(`volumes: task driver "raw_exec" for "${task}" does not support host volumes`);
    return { reports: [pending(task), neverStarted(task, why, is.notRestarting())] };
  },
  'prestart-task-fails': (task, timeout) => {
    const prep = [...begun(), is.started(), is.terminated(7), is.notRestarting()];
    const victim = [is.received(), is.siblingFailed('prep'), is.killing(timeout)];
    return {
      reports: [
        report('pending', {
          prep: { state: 'pending', events: begun() },
          [task]: { state: 'pending', events: [is.received()] },
        }),
        report('failed', {
          prep: { state: 'dead', failed: true, events: prep },
          [task]: { state: 'dead', events: victim },
        }),
      ],
    };
  },
  'poststop-fails': (task) => {
    const after = [...begun(), is.started(), is.terminated(9), is.notRestarting()];
    const main = [...begun(), is.started(), is.terminated(0)];
    return {
      reports: [
        report('failed', {
          [task]: { state: 'dead', events: main },
          after: { state: 'dead', failed: true, events: after },
        }),
      ],
    };
  },
  restarts: (task) => {
    const round = [is.started(), is.terminated(5)];
    const once = [...begun(), ...round];
    const twice = [...once, is.restarting(1_035_871_802), ...round];
    const reason = 'Exceeded allowed attempts 2 in interval 24h0m0s and mode is "fail"';
    const last = [...twice, is.restarting(1_039_872_200), ...round, is.notRestarting(reason)];
    const waits = (restarts: number, events: readonly TaskEvent[]) =>
      report('pending', { [task]: { state: 'pending', restarts, events } });
    return {
      reports: [
        pending(task),
        running(task, is.terminated(5)),
        waits(1, [...once, is.restarting(1_035_871_802)]),
        waits(2, [...twice, is.restarting(1_039_872_200)]),
        report('failed', { [task]: { state: 'dead', failed: true, restarts: 2, events: last } }),
      ],
    };
  },
  'max-run-duration': (task, timeout) => ({
    reports: [pending(task), running(task), overrun(task, timeout), overrunEnded(task, timeout, 137, 9)],
  }),
  reschedule: (task) => ({ reports: [pending(task), ended(task, 6)] }),
  stopped: (task) => ({ reports: [pending(task), running(task)] }),
  'stopped-kill-timeout': (task) => ({ reports: [pending(task), running(task)] }),
  'stopped-trapped': (task, timeout) => ({
    reports: [pending(task), running(task)],
    stopped: [stopped(task, timeout, 0)],
  }),
  purged: (task) => ({
    reports: [report('pending', { [task]: { state: 'pending', events: [is.received()] } }), running(task)],
  }),
} satisfies Readonly<Record<string, Outcome>>;

export type OutcomeName = keyof typeof OUTCOMES;

export function scriptOf(name: OutcomeName, task: string, killTimeout: number): Script {
  const outcome: Outcome = OUTCOMES[name];
  const killedAfterAll = [stopping(task, killTimeout), stopped(task, killTimeout, 137, 9)];
  return { stopped: killedAfterAll, ...outcome(task, killTimeout) };
}

// Children that are never placed

const MEMORY = { CPU: 0, Cores: 0, Devices: null, DiskMB: 0, IOPS: 0, MemoryMB: 900_000, MemoryMaxMB: 0 };
const NOT_PLACED = {
  constraint: { ConstraintFiltered: { '${attr.kernel.name} = plan9': 1 }, NodesFiltered: 1 },
  'stopped-blocked': { ConstraintFiltered: { '${attr.kernel.name} = plan9': 1 }, NodesFiltered: 1 },
  resources: {
    DimensionExhausted: { memory: 1 },
    NodesExhausted: 1,
    ResourcesExhausted: { runner: { ...MEMORY, NUMA: null, Networks: null, SecretsMB: 0 } },
  },
} satisfies Readonly<Record<string, Readonly<Record<string, unknown>>>>;

export type UnplacedName = keyof typeof NOT_PLACED;

export function whyUnplaced(name: UnplacedName): Readonly<Record<string, unknown>> {
  return unplaced(NOT_PLACED[name]);
}

export function isUnplaced(name: OutcomeName | UnplacedName): name is UnplacedName {
  return name in NOT_PLACED;
}
