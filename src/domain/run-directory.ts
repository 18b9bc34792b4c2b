import { z } from 'zod';

/**
 * The files of `<state_dir>/runs/<token>/`: where the subprocess engine and the runner that it started meet, also after
 * the daemon was restarted.
 *
 * `payload` and `host.json` are written by the engine before the start, `started` by the runner as its first act once
 * it hears TERM (linked into place, so that it is whole and exactly one runner can make it), `stdout` and `stderr` are
 * the runner's own streams, `exit.json` its last act.
 */
export const RUN_FILES = {
  payload: 'payload',
  host: 'host.json',
  started: 'started',
  stdout: 'stdout',
  stderr: 'stderr',
  exit: 'exit.json',
  /** Collected artifacts, beneath their own paths. */
  artifacts: 'artifacts',
  home: 'home',
  work: 'work',
  /** What the command may read and not change: inputs, script, prompt. */
  given: 'given',
} as const;

/** What the machine gives to a run and no payload may choose. */
export const hostSchema = z.strictObject({
  /** Mount name → absolute directory on this machine. */
  mounts: z.record(z.string(), z.string()),
  /** null: same user as the daemon, so the run is not isolated. */
  run_as: z.strictObject({ uid: z.int().min(0), gid: z.int().min(0) }).nullable(),
  /** Between TERM and KILL, in milliseconds. */
  grace_ms: z.int().min(0),
});
export type Host = z.infer<typeof hostSchema>;

export const startedSchema = z.strictObject({
  pid: z.int().min(1),
  /** Field 22 of /proc/<pid>/stat, clock ticks since boot: tells a recycled pid from the run. */
  start_time: z.string(),
  /** /proc/sys/kernel/random/boot_id. */
  boot_id: z.string(),
  at: z.iso.datetime(),
});
export type Started = z.infer<typeof startedSchema>;

export const exitSchema = z.strictObject({
  exit_code: z.int(),
  signal: z.string().nullable(),
  oom: z.boolean(),
  /** The runner was asked by TERM to stop the command (cancel), as opposed to its own deadline. */
  stopped: z.boolean(),
  started_at: z.iso.datetime().nullable(),
  finished_at: z.iso.datetime(),
});
export type Exit = z.infer<typeof exitSchema>;
