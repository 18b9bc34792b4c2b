import type { Check } from '../../../domain/check.ts';

export interface RetentionFigures {
  /** The most that this dispatcher does. */
  readonly dispatchesPerMinute: number;
  /** Runs at once. */
  readonly inFlight: number;
  /** Bytes kept of each of the two streams of a run. */
  readonly logBytes: number;
  /** How long Nomad keeps a finished child (`job_gc_threshold`), in seconds. */
  readonly jobGcSeconds: number;
  /** Allocations, finished ones too, that a client keeps (`gc_max_allocs`). */
  readonly gcMaxAllocs: number;
  /** Of the disk that the spool is on; null where it can't be told. */
  readonly freeBytes: number | null;
}

/** Nomad's own settings where nobody has set others. */
export const NOMAD_DEFAULTS = { jobGcSeconds: 4 * 3600, gcMaxAllocs: 50 } as const;

/** Every dispatch walks all children of its job. */
const MOST_CHILDREN = 5_000;
const MIB = 1024 ** 2;

/** Whether what Nomad and this host keep fits this dispatcher's rate (R24). Pure; warnings only, nothing is stopped. */
export function retention(figures: RetentionFigures): readonly Check[] {
  return [children(figures), allocations(figures), ...spool(figures)];
}

function children({ dispatchesPerMinute, jobGcSeconds }: RetentionFigures): Check {
  const name = 'engine.nomad.retention.children';
  const most = Math.ceil((dispatchesPerMinute * jobGcSeconds) / 60);
  const sum = `at ${dispatchesPerMinute} dispatches a minute, kept for ${jobGcSeconds} s, a job has up to ${most} children`;
  if (most <= MOST_CHILDREN) return { name, ok: true, code: null, message: sum, fix: null };
  const rate = Math.floor((MOST_CHILDREN * 60) / jobGcSeconds);
  const time = Math.floor((MOST_CHILDREN * 60) / dispatchesPerMinute);
  return warning(
    name,
    `${sum}; more than ${MOST_CHILDREN} slow every dispatch down`,
    `Lower dispatches_per_minute of [limits] to ${rate}, or job_gc_threshold of the Nomad servers to ${time}s.`,
  );
}

function allocations({ inFlight, gcMaxAllocs }: RetentionFigures): Check {
  const name = 'engine.nomad.retention.allocations';
  const sum = `a client keeps ${gcMaxAllocs} allocations, and up to ${inFlight} run at once`;
  if (inFlight < gcMaxAllocs) return { name, ok: true, code: null, message: sum, fix: null };
  return warning(
    name,
    `${sum}; if they run on one client, it deletes output as soon as a run has ended`,
    `Raise gc_max_allocs of the Nomad clients above ${inFlight}.`,
  );
}

function spool({ inFlight, logBytes, freeBytes }: RetentionFigures): readonly Check[] {
  if (freeBytes === null) return [];
  const name = 'engine.nomad.retention.spool';
  const needed = 2 * logBytes * inFlight;
  const sum = `the output of ${inFlight} runs needs up to ${mib(needed)} of state_dir, ${mib(freeBytes)} are free`;
  if (needed <= freeBytes) return [{ name, ok: true, code: null, message: sum, fix: null }];
  return [warning(name, sum, 'Free space on the disk of state_dir, or lower in_flight or log_bytes of [limits].')];
}

const mib = (bytes: number): string => `${Math.round(bytes / MIB)} MiB`;

const warning = (name: string, message: string, fix: string): Check => ({
  name,
  ok: false,
  code: 'ERR_RETENTION',
  message,
  fix,
});
