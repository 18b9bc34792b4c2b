/**
 * What can go wrong, in one leaf file.
 *
 * A class says what the daemon does next; a code says what happened. `docs/errors.md` documents every code, and
 * `test/unit/errors.test.ts` holds the two together.
 */

/**
 * What is done about a code:
 *
 * - `invalid`, `refused`: a result is recorded, nothing is retried.
 * - `waiting`: the action stays pending and is asked about again.
 * - `transient`: an outside service is away; back off and try again, the action stays pending.
 * - `stalled`: stays pending until a person mends something.
 * - `run`: the reason of a run's end; part of its result.
 * - `warning`: told to a person, stops nothing.
 * - `usage`: the command line or the configuration is wrong; the program ends with 2 (1 from `validate`).
 * - `bug`: logged with its stack; the action stays pending.
 */
type CodeClass = 'invalid' | 'refused' | 'waiting' | 'transient' | 'stalled' | 'run' | 'warning' | 'usage' | 'bug';

interface CodeEntry {
  readonly class: CodeClass;
  /** What a person does next, when the place that raises it knows nothing better. */
  readonly hint: string;
}

export const CODES = {
  // files of the ops repo
  ERR_FILE_NAME: { class: 'warning', hint: 'Name the file <id>.toml with an id of [a-z0-9][a-z0-9._-]{0,127}.' },
  ERR_FILE_KIND: { class: 'invalid', hint: 'Replace the link, sub-module or directory with a regular file.' },
  ERR_FILE_SIZE: { class: 'invalid', hint: 'Make the file smaller; long programs belong into the formula.' },
  ERR_FILE_ENCODING: { class: 'invalid', hint: 'Save the file as UTF-8 without byte order mark and NUL.' },
  ERR_TEXT_UNSAFE: { class: 'invalid', hint: 'Remove the control, bidi or invisible character.' },
  ERR_UNKNOWN_FIELD: { class: 'invalid', hint: 'Remove the field or mend its spelling.' },
  ERR_ACTION_SYNTAX: { class: 'invalid', hint: 'Mend the TOML at the place shown.' },
  ERR_ACTION_FIELD: { class: 'invalid', hint: 'Give the field a value of the form that docs/action-format.md shows.' },
  ERR_ACTION_ID: { class: 'invalid', hint: 'Let the id be the file name without .toml.' },
  ERR_ACTION_DUPLICATE: { class: 'invalid', hint: 'Give one of the two actions another id.' },
  ERR_FORMULA_SYNTAX: { class: 'invalid', hint: 'Mend the TOML at the place shown.' },
  ERR_FORMULA_FIELD: { class: 'invalid', hint: 'Give the field a value of the form that docs/action-format.md shows.' },
  ERR_POLICY_SYNTAX: { class: 'stalled', hint: 'Mend the TOML at the place shown.' },
  ERR_POLICY_FIELD: { class: 'stalled', hint: 'Give the field a value of the form that docs/action-format.md shows.' },
  ERR_POLICY_TIER_UNUSED: { class: 'warning', hint: 'Remove the tier, or add the formula it names.' },
  ERR_RESULT_INVALID: { class: 'warning', hint: 'Look at the commits of this file; a result is written once, by us.' },
  ERR_COMPATIBILITY: { class: 'warning', hint: 'The field is accepted for compatibility only and changes nothing.' },
  ERR_CANCEL_INVALID: { class: 'warning', hint: 'Mend the cancel file: reason = "…", and nothing else.' },

  // an action against its formula and the others
  ERR_FORMULA_UNKNOWN: { class: 'invalid', hint: 'Name a formula of vault/formulas, or add it there.' },
  ERR_INPUT: { class: 'invalid', hint: 'Give the inputs that the formula declares.' },
  ERR_DEPENDENCY_CYCLE: { class: 'invalid', hint: 'Break the circle of depends_on.' },
  ERR_PAYLOAD_SIZE: { class: 'invalid', hint: 'Make the action, its inputs or its formula smaller.' },
  ERR_RETRY_NOT_ALLOWED: { class: 'invalid', hint: 'Remove retry, or mark the formula idempotent if it really is.' },
  ERR_SECRET_NOT_ALLOWED: { class: 'refused', hint: 'Ask only for secrets that the formula lists.' },
  ERR_MOUNT_NOT_ALLOWED: { class: 'refused', hint: 'Ask only for mounts that the formula lists.' },
  ERR_TOOL_NOT_ALLOWED: { class: 'refused', hint: 'Ask only for tools that the formula lists.' },
  ERR_MODEL_NOT_ALLOWED: { class: 'refused', hint: 'Ask only for a model that the formula lists.' },
  ERR_SIDECAR_JOB: { class: 'refused', hint: 'Name another formula; this one runs on issues by itself.' },
  ERR_SECRET_UNKNOWN: { class: 'refused', hint: 'Put the secret into the store, or mend its name.' },
  ERR_DEPENDENCY_FAILED: { class: 'refused', hint: 'Mend what failed, then commit this action anew (rerun).' },
  ERR_EXPIRED: { class: 'refused', hint: 'Commit a new action with a later expires_at (rerun).' },
  ERR_APPROVAL_REFUSED: { class: 'refused', hint: 'Commit a new action and have it approved (rerun).' },
  ERR_NO_CHANGE: {
    class: 'refused',
    hint: 'Propose it as a change (pull request), have that reviewed and merged (rerun).',
  },
  ERR_APPROVAL_EXPIRED: { class: 'refused', hint: 'Commit a new action and have it approved in time (rerun).' },

  // still pending, because
  ERR_NEEDS_APPROVAL: { class: 'waiting', hint: 'An approver has to approve exactly these bytes.' },
  ERR_APPROVED_OTHER_BYTES: { class: 'waiting', hint: 'Look at what changed since, and approve these very bytes.' },
  ERR_CHANGES_REQUESTED: { class: 'waiting', hint: 'Whoever asked for changes has to approve, or to take it back.' },
  ERR_NO_RULE: { class: 'waiting', hint: 'The operator has to set a rule for this tier in [approval].' },
  ERR_FORMULA_UNAPPROVED: { class: 'waiting', hint: 'An approver has to approve the formula file.' },
  ERR_FORMULA_CHANGED: { class: 'waiting', hint: 'Approve the action again beside the formula that is in force.' },
  ERR_FORMULA_INVALID: { class: 'waiting', hint: 'Mend the formula; `validate` shows what is wrong with it.' },
  ERR_PROJECT_UNAPPROVED: { class: 'waiting', hint: 'An approver has to approve the project file.' },
  ERR_PROJECT_INVALID: { class: 'waiting', hint: 'Mend the project file; it has to be TOML of at most 16 KiB.' },
  ERR_POLICY_MISSING: { class: 'waiting', hint: 'Commit a policy file and have it approved, or run `init --trust`.' },
  ERR_POLICY_INVALID: { class: 'waiting', hint: 'Mend the policy; `validate` shows what is wrong with it.' },
  ERR_DEPENDENCY_WAITING: { class: 'waiting', hint: 'Runs when the actions it depends on have succeeded.' },
  ERR_NOT_BEFORE: { class: 'waiting', hint: 'Runs when not_before has come.' },
  ERR_SLOT: { class: 'waiting', hint: 'Runs when one of the running actions has ended.' },
  ERR_GROUP: { class: 'waiting', hint: 'Runs when another action of its concurrency group has ended.' },
  ERR_COOL_DOWN: {
    class: 'waiting',
    hint: 'Looked at again when its rest is over; what was worked on has to have changed by then.',
  },
  ERR_ISSUE_UNCHANGED: {
    class: 'waiting',
    hint: 'Runs again when somebody who may write changes or comments on the issue.',
  },
  ERR_ISSUE_CHANGED: { class: 'waiting', hint: 'It is looked at again at the next poll.' },
  ERR_ISSUE_LABELS: {
    class: 'waiting',
    hint: 'Somebody who may write to the repository has to put the label there (again).',
  },
  ERR_SIDECAR_BUDGET: {
    class: 'waiting',
    hint: 'Runs when fewer ran within 24 hours; raise runs_per_day of its [[sidecar]] for more.',
  },
  ERR_SIDECAR_FORMULA: { class: 'waiting', hint: 'Let the formula say unattended = true, without required inputs.' },
  ERR_PAUSED: { class: 'waiting', hint: 'Run `resume`, or remove vault/PAUSE from the branch.' },
  ERR_HISTORY_DIVERGED: {
    class: 'waiting',
    hint: 'Look at what was force-pushed; to accept it, run `doctor --accept-history`.',
  },
  ERR_ALREADY_RECORDED: { class: 'waiting', hint: 'It had a result once. Use `rerun` to make a new action of it.' },
  ERR_FOREIGN_RESULT: {
    class: 'waiting',
    hint: 'Somebody else wrote its result file. Find out who; do not rerun what may have run.',
  },
  ERR_CANCEL_UNAPPROVED: {
    class: 'waiting',
    hint: 'Have the cancel file approved as its action was, or let the author of the action commit it.',
  },
  ERR_CLAIMED_ELSEWHERE: { class: 'waiting', hint: 'Another dispatcher runs it; its result will come from there.' },
  ERR_NOT_PLACED: { class: 'waiting', hint: 'The engine had no place for it; look at the reason it gives.' },
  ERR_RETRY_DUE: { class: 'waiting', hint: 'Its next attempt begins by itself; `cancel` ends it without one.' },
  ERR_SHUTTING_DOWN: { class: 'waiting', hint: 'The dispatcher is stopping; goes on at the next start.' },
  ERR_BACKEND_MISMATCH: { class: 'stalled', hint: 'Start the dispatcher with the engine that runs this attempt.' },

  // outside services
  ERR_GIT_UNAVAILABLE: { class: 'transient', hint: 'The git server does not answer; it is asked again.' },
  ERR_GIT_DENIED: { class: 'stalled', hint: 'Check username, token_file or ssh_key_file of [ops_repo].' },
  ERR_GIT_NOT_FOUND: { class: 'stalled', hint: 'Check url and branch of [ops_repo].' },
  ERR_GIT_HOST_KEY: { class: 'stalled', hint: 'Check known_hosts_file of [ops_repo] against the real host key.' },
  ERR_CACHE_DAMAGED: { class: 'transient', hint: 'The local clone is thrown away and made anew.' },
  ERR_PUSH_REJECTED: { class: 'transient', hint: 'Somebody pushed at the same time; it is tried again.' },
  ERR_PUSH_FORBIDDEN: { class: 'stalled', hint: 'Give the dispatcher the right to push to branch and journal ref.' },
  ERR_SIGNING_KEY: { class: 'stalled', hint: 'Let signing_key_file name an SSH key without passphrase, of mode 0600.' },
  ERR_RESULT_CONFLICT: { class: 'stalled', hint: 'Another result lies at this path; it is never overwritten.' },
  ERR_FORGE_UNAVAILABLE: { class: 'transient', hint: 'The forge does not answer; it is asked again.' },
  ERR_FORGE_DENIED: {
    class: 'stalled',
    hint: 'Check url, repo and token_file of [forge], and the rights of that token.',
  },
  ERR_ENGINE_UNAVAILABLE: { class: 'transient', hint: 'The engine does not answer; it is asked again.' },
  ERR_ENGINE_DENIED: { class: 'stalled', hint: 'Check what the engine allows the dispatcher to do.' },
  ERR_FOREIGN_RUN: {
    class: 'stalled',
    hint: 'Somebody else dispatched under the token of this attempt: find out who.',
  },
  ERR_JOB_MISSING: { class: 'stalled', hint: 'Run `deploy`: the job is not registered in the engine.' },
  ERR_JOB_DRIFT: { class: 'stalled', hint: 'Run `deploy --dry-run` to see the difference, then `deploy`.' },
  ERR_ENGINE_EXCESS: { class: 'stalled', hint: 'Turn on ACLs: anybody can see or change what the engine holds.' },
  ERR_ENGINE_VERSION: { class: 'stalled', hint: 'Upgrade the engine to a version that docs/operating.md names.' },
  ERR_RETENTION: { class: 'warning', hint: 'Change the retention settings as docs/operating.md explains.' },
  ERR_CLOCK_SKEW: { class: 'warning', hint: 'Synchronise the clocks (NTP); they differ by more than 30 s.' },
  ERR_ACCESS_EXCESS: { class: 'stalled', hint: 'Take away what the dispatcher must not have; `deploy` sets it right.' },
  ERR_ACCESS_UNAVAILABLE: { class: 'transient', hint: 'The secret store does not answer; it is asked again.' },
  ERR_ACCESS_DENIED: { class: 'stalled', hint: 'Check what the secret store allows the dispatcher to do.' },
  ERR_NOTIFY_UNAVAILABLE: {
    class: 'transient',
    hint: 'The receiver of notifications does not answer; it is asked again for ten minutes.',
  },
  ERR_NOTIFY_DENIED: {
    class: 'stalled',
    hint: "Put the receiver's https address into a file of mode 0600, and name that as url_file of [notify].",
  },
  ERR_STORE_UNAVAILABLE: { class: 'transient', hint: 'The store does not take the output; it is tried again.' },
  ERR_FENCED: { class: 'stalled', hint: 'Another process runs under this name; stop one of the two.' },
  ERR_LOCKED: { class: 'usage', hint: 'Another process uses this state_dir; stop it or choose another one.' },

  // the end of a run
  ERR_COMMAND_FAILED: { class: 'run', hint: 'Read the logs; the command itself ended with this code.' },
  ERR_COMMAND_SIGNALLED: { class: 'run', hint: 'Something killed the command; look at the machine it ran on.' },
  ERR_OOM: { class: 'run', hint: 'The command wanted more memory than it may have.' },
  ERR_DEADLINE: { class: 'run', hint: 'Raise timeout_minutes, of the formula too, if it really needs longer.' },
  ERR_CANCELLED: { class: 'run', hint: 'Somebody asked for it. Use `rerun` to make a new action of it.' },
  ERR_LOST: { class: 'run', hint: 'The place it ran on is gone. Check what it did before you rerun it.' },
  ERR_RUN_UNKNOWN: { class: 'run', hint: 'Nobody can say whether it ran. Check what it did before you rerun it.' },
  ERR_RUNNER: { class: 'run', hint: 'The runner itself ended badly; look at the engine and the logs.' },
  ERR_PAYLOAD: { class: 'run', hint: 'The run got no readable payload; look at the engine.' },
  ERR_SECRET_MISSING: { class: 'run', hint: 'The secret is not in the store any more; put it there and rerun.' },
  ERR_SECRET_EMPTY: { class: 'run', hint: 'The secret is empty in the store; give it a value and rerun.' },
  ERR_SECRET_DENIED: { class: 'run', hint: 'The store refused the secret to the run; check its policy.' },
  ERR_SECRET_UNMASKABLE: { class: 'run', hint: 'Use a longer secret, or set unmasked = true in the formula.' },
  ERR_VAULT_UNAVAILABLE: { class: 'run', hint: 'The run could not reach the secret store; nothing was started.' },
  ERR_WRAPPER_USED: { class: 'run', hint: 'Somebody used the single-use ticket before: find out who.' },
  ERR_WRAPPER_EXPIRED: { class: 'run', hint: 'The run was placed too late; raise wrap_seconds or make room.' },
  ERR_DIGEST: { class: 'run', hint: 'What the run got is not what was approved: find out who changed it.' },
  ERR_COMMAND_NOT_FOUND: { class: 'run', hint: 'Install the program where the run is, or mend the formula.' },

  // the operator's side
  ERR_CONFIG_SYNTAX: { class: 'usage', hint: 'Mend the TOML at the place shown.' },
  ERR_CONFIG_FIELD: { class: 'usage', hint: 'Give the key a value of the form that docs/configuration.md shows.' },
  ERR_CONFIG_UNKNOWN: { class: 'usage', hint: 'Remove the key or mend its spelling.' },
  ERR_CONFIG_SECRET: {
    class: 'usage',
    hint: 'Put the secret into a file of mode 0600 and name that with the *_file key.',
  },
  ERR_CONFIG_FILE: { class: 'usage', hint: 'Check that the file is there and readable.' },
  ERR_USAGE: { class: 'usage', hint: 'See --help.' },
  ERR_NOT_FOUND: { class: 'usage', hint: 'Check the id; `status` lists what there is.' },
  ERR_INTERNAL: { class: 'bug', hint: 'This is a mistake in the dispatcher; report it with the log line.' },
} as const satisfies Record<string, CodeEntry>;

export type Code = keyof typeof CODES;

/** One thing that is wrong at one place. The unit of `validate`, of configuration errors and of `invalid` results. */
export interface Problem {
  readonly code: Code;
  /** File path, followed by nothing: the place inside is `line`, `column` and the message. */
  readonly path: string;
  readonly message: string;
  readonly severity: 'error' | 'warning';
  /** Counted from 1; absent where the place is not known. */
  readonly line?: number;
  readonly column?: number;
  readonly hint?: string;
}

export interface ErrorDetails {
  readonly hint?: string;
  readonly cause?: unknown;
  readonly problems?: readonly Problem[];
}

/** Base of all errors that the dispatcher raises on purpose. `message` never holds a secret, a token or a response body. */
export abstract class EdgeError extends Error {
  readonly code: Code;
  readonly hint: string;
  readonly problems: readonly Problem[];

  constructor(code: Code, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.code = code;
    this.hint = details.hint ?? CODES[code].hint;
    this.problems = details.problems ?? [];
  }
}

/** The bytes are wrong: an `invalid` result is recorded, nothing is retried. */
export class InvalidError extends EdgeError {}

/** A rule says no for good: a `refused` result is recorded. */
export class RefusedError extends EdgeError {}

/** An outside service is away: back off, the action stays pending. */
export class TransientError extends EdgeError {
  /** Milliseconds that the service asked us to wait, if it did. */
  readonly retryAfterMs: number | undefined;

  constructor(code: Code, message: string, details: ErrorDetails & { readonly retryAfterMs?: number } = {}) {
    super(code, message, details);
    this.retryAfterMs = details.retryAfterMs;
  }
}

/** A person has to mend something first: the action stays pending and says so. */
export class StalledError extends EdgeError {}

/** The run is to be stopped: `cancelled` or `timed_out` is recorded, and by whom. */
export class CancelledError extends EdgeError {}

/** Wrong command line or configuration: the program says what and ends with 2. */
export class UsageError extends EdgeError {}

/** Whatever was thrown, as an Error; a non-error keeps its text only if it is a string. */
export function toError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown;
  return new Error(typeof thrown === 'string' ? thrown : 'something that is no Error was thrown');
}

/** The code of whatever was thrown; anything that is not ours is `ERR_INTERNAL`. */
export function codeOf(thrown: unknown): Code {
  return thrown instanceof EdgeError ? thrown.code : 'ERR_INTERNAL';
}
