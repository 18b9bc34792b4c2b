import { StalledError, TransientError } from '../../errors.ts';

/**
 * What a failed git process means, read from its stderr in the C locale: git has no other way of saying. The text itself
 * is never passed on, because it may quote addresses and what a server said.
 */
export type FailureKind =
  | 'denied'
  | 'forbidden'
  | 'not-found'
  | 'host-key'
  | 'unreachable'
  | 'timeout'
  | 'damaged'
  | 'full'
  | 'other';

/** Thrown inside this family only; `toError` makes the errors of the ports of it. */
export class GitFailure extends Error {
  readonly kind: FailureKind;
  /** Such as `git fetch (exit 128)`. */
  readonly command: string;

  constructor(kind: FailureKind, command: string, detail = sentences[kind]) {
    super(`${command}: ${detail}`);
    this.name = 'GitFailure';
    this.kind = kind;
    this.command = command;
  }
}

const sentences: Readonly<Record<FailureKind, string>> = {
  denied: 'the server does not accept the credentials',
  forbidden: 'the server does not allow it',
  'not-found': 'the repo or the branch is not there, or may not be seen',
  'host-key': 'the server could not prove that it is the right one',
  unreachable: 'the server does not answer',
  timeout: 'took too long and was stopped',
  damaged: 'the local clone is damaged',
  full: 'the disk that holds the local clone is full',
  other: 'failed',
};

const FULL_HINT = 'Make room on the disk of state_dir; it is tried again.';

type Pattern = readonly [FailureKind, RegExp];

const remotePatterns: readonly Pattern[] = [
  ['host-key', /Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED|host key is known for/],
  ['host-key', /SSL certificate problem|certificate verif|no alternative certificate subject name/i],
  ['denied', /Authentication failed|could not read (?:Username|Password)|returned error: 401|Permission denied \(/],
  ['denied', /detected dubious ownership|transport '.*' not allowed/],
  ['forbidden', /returned error: 403/],
  [
    'not-found',
    /returned error: 404|repository '.*' not found|Repository not found|couldn't find remote ref|does not appear to be a git repository|'.*' is not a git command/,
  ],
  ['unreachable', /Failed to connect|Could not resolve host|Connection (?:refused|timed out)|No route to host/i],
  // A ref that moved between the server's list and our wish for it is the last one.
  ['unreachable', /Could not read from remote repository|hung up unexpectedly|not our ref/],
];

const localPatterns: readonly Pattern[] = [
  ['damaged', /not a git repository|object file .* is empty|loose object .* is corrupt|bad (?:object|tree|config)/i],
  ['damaged', /\binflate|packfile .* (?:cannot|is|claims|does not)|\bindex file .* (?:is|does)|wrong index|corrupt/i],
  ['damaged', /unable to (?:read|find|open|parse|normalize) |failed to read |could not (?:read|parse|open) /i],
  ['damaged', /missing (?:blob|tree|commit|object)|not a (?:valid|tree) object|unknown revision|invalid object/i],
  ['damaged', /cannot lock ref '.*': (?:unable|Unable) to|\.lock': File exists|bad ref|broken|unresolved deltas/],
  ['damaged', /not a valid object name|invalid sha1 pointer|hash mismatch|Not a valid commit|Can't load tree/i],
  ['damaged', /non-monotonic index/],
];

export function classify(stderr: string, talksToServer: boolean): FailureKind {
  // What the server says about itself is no word about our clone.
  const own = stderr.replaceAll(/^(?:remote:|error: remote unpack failed:).*$/gm, '');
  if (/No space left on device|Disk quota exceeded|Out of diskspace/.test(own)) return 'full';
  const patterns = talksToServer ? [...remotePatterns, ...localPatterns] : localPatterns;
  const found = patterns.find(([kind, pattern]) => pattern.test(kind === 'damaged' ? own : stderr));
  return found?.[0] ?? (talksToServer ? 'unreachable' : 'other');
}

/** The port's error for this failure. `shown` is the remote's address without credentials. */
export function toError(failure: GitFailure, shown: string): TransientError | StalledError {
  const message = `${shown}: ${failure.message}`;
  const details = { cause: failure };
  switch (failure.kind) {
    case 'denied':
    case 'forbidden':
      return new StalledError('ERR_GIT_DENIED', message, details);
    case 'not-found':
      return new StalledError('ERR_GIT_NOT_FOUND', message, details);
    case 'host-key':
      return new StalledError('ERR_GIT_HOST_KEY', message, details);
    case 'damaged':
      return new TransientError('ERR_CACHE_DAMAGED', message, details);
    case 'full':
      return new TransientError('ERR_STORE_UNAVAILABLE', message, { ...details, hint: FULL_HINT });
    case 'unreachable':
    case 'timeout':
    case 'other':
      return new TransientError('ERR_GIT_UNAVAILABLE', message, details);
  }
}

export function isDamaged(error: unknown): boolean {
  return error instanceof GitFailure && error.kind === 'damaged';
}
