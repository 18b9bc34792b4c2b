import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { setMaxListeners } from 'node:events';
import path from 'node:path';
import { GitError, type SimpleGit, simpleGit } from 'simple-git';
import { TransientError } from '../../errors.ts';
import type { Log } from '../../ports/log.ts';
import {
  defaultPath,
  type Environment,
  type EnvironmentFolders,
  localEnvironment,
  networkEnvironment,
  prepareTools,
  type Remote,
  shownUrl,
} from './environment.ts';
import { classify, GitFailure } from './failure.ts';
import { type RunEnd, runProcess } from './process.ts';

/** What a clone is of and where it lies. */
export interface CloneOptions extends Remote {
  readonly branch: string;
  /** Cache directory to own: made, emptied and made anew as needed. */
  readonly dir: string;
  /** `Name <address>` of our commits. */
  readonly author: string;
  /** The longest that one git process may take. */
  readonly timeoutMs: number;
  /** At least this long between two pushes of ours that landed, so that a burst becomes few. */
  readonly pushSpacingMs: number;
  /** Where git and ssh are looked up; default: the usual system folders. */
  readonly path?: string;
  readonly log?: Log;
}

export interface RunResult {
  readonly code: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  readonly input?: Uint8Array | string;
  readonly env?: Environment;
}

/** Git processes on one bare clone, all in the closed environment. Any number of calls at the same time. */
export class Git {
  readonly repo: string;
  /** The remote's address as it may be shown. */
  readonly shown: string;
  /** Where programs are looked up. */
  readonly path: string;
  readonly #remote: Remote;
  readonly #tools: string;
  readonly #timeoutMs: number;
  readonly #local: Environment;
  readonly #network: Environment;
  readonly #closing = new AbortController();
  #simple: SimpleGit | undefined;

  constructor(options: CloneOptions) {
    const folder = path.resolve(options.dir);
    const folders: EnvironmentFolders = { repo: path.join(folder, 'repo.git'), tools: path.join(folder, 'tools') };
    this.repo = folders.repo;
    this.shown = shownUrl(options.url);
    this.#remote = options;
    this.#tools = folders.tools;
    this.#timeoutMs = options.timeoutMs;
    this.path = options.path ?? defaultPath;
    this.#local = localEnvironment(folders, this.path);
    this.#network = networkEnvironment(this.#local, folders, options);
    // Every process that runs listens to it.
    setMaxListeners(0, this.#closing.signal);
  }

  /** Stdout of a command that reads the clone. Throws GitFailure. */
  async text(args: readonly string[]): Promise<string> {
    this.#throwIfClosing();
    try {
      this.#simple ??= this.#makeSimpleGit();
      return await this.#simple.raw([...args]);
    } catch (error) {
      this.#throwIfClosing();
      const command = `git ${args[0] ?? ''}`;
      if (!(error instanceof ExitError)) throw new GitFailure('other', command);
      throw new GitFailure(classify(error.stderr, false), `${command} (exit ${error.code})`);
    }
  }

  /** A command on the clone alone, whatever its exit code. Throws GitFailure when it didn't come to an exit of its own. */
  async run(args: readonly string[], call: CallOptions = {}): Promise<RunResult> {
    return this.#exited(args, await this.#start(args, { ...this.#local, ...call.env }, call), call.signal);
  }

  /** Like `run`, and a non-zero exit code is a GitFailure. Answers stdout. */
  async ok(args: readonly string[], call: CallOptions = {}): Promise<Buffer> {
    const { code, stdout, stderr } = await this.run(args, call);
    if (code !== 0) throw new GitFailure(classify(stderr, false), `git ${args[0] ?? ''} (exit ${code})`);
    return stdout;
  }

  /** A command that talks to the remote, whatever its exit code; `url` is for its place in the arguments. */
  async talk(args: (url: string) => readonly string[], call: CallOptions = {}): Promise<RunResult> {
    const full = args(this.#remoteAddress());
    await prepareTools(this.#tools, this.#remote);
    return this.#exited(full, await this.#start(full, { ...this.#network, ...call.env }, call), call.signal);
  }

  /** Feeds stdout to `take` until that answers false or git ends. Throws GitFailure. */
  async stream(args: readonly string[], take: (chunk: Buffer) => boolean): Promise<void> {
    const end = await this.#start(args, this.#local, {}, take);
    if (end.kind === 'enough') return;
    const { code, stderr } = this.#exited(args, end, undefined);
    if (code !== 0) throw new GitFailure(classify(stderr, false), `git ${args[0] ?? ''} (exit ${code})`);
  }

  /** A process that stays; who starts it ends it. */
  spawn(args: readonly string[]): ChildProcessWithoutNullStreams {
    return spawn('git', args, { cwd: '/', env: { ...this.#local }, stdio: 'pipe' });
  }

  /** Stops everything that runs; what is called later is refused. */
  close(): void {
    this.#closing.abort(closingError());
  }

  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  #start(
    args: readonly string[],
    env: Environment,
    call: CallOptions,
    onStdout?: (chunk: Buffer) => boolean,
  ): Promise<RunEnd> {
    const closing = this.#closing.signal;
    const signal = call.signal === undefined ? closing : AbortSignal.any([call.signal, closing]);
    const { input } = call;
    return runProcess('git', args, {
      env,
      signal,
      timeoutMs: this.#timeoutMs,
      ...(input === undefined ? {} : { input }),
      ...(onStdout === undefined ? {} : { onStdout }),
    });
  }

  #exited(args: readonly string[], end: RunEnd, signal: AbortSignal | undefined): RunResult {
    const command = `git ${args[0] ?? ''}`;
    switch (end.kind) {
      case 'exited':
        return end;
      case 'timeout':
        throw new GitFailure('timeout', command);
      case 'not-started':
        throw new GitFailure(
          'other',
          command,
          `could not be started (${end.errno})${end.errno === 'ENOENT' ? '; is git installed?' : ''}`,
        );
      case 'aborted':
        signal?.throwIfAborted();
        throw closingError();
      case 'enough':
        throw new GitFailure('other', command);
    }
  }

  #throwIfClosing(): void {
    if (this.#closing.signal.aborted) throw closingError();
  }

  #remoteAddress(): string {
    return this.#network['GIT_ALLOW_PROTOCOL'] === 'file' && !this.#remote.url.startsWith('file:')
      ? path.resolve(this.#remote.url)
      : this.#remote.url;
  }

  /**
   * For commands that print text and read nothing. Its guards are for arguments and environments from outside: what they
   * would refuse here is our own closed environment.
   */
  #makeSimpleGit(): SimpleGit {
    return simpleGit({
      baseDir: '/',
      maxConcurrentProcesses: 4,
      trimmed: false,
      abort: this.#closing.signal,
      timeout: { block: this.#timeoutMs },
      completion: { onClose: true, onExit: false },
      errors: (error, { exitCode, stdErr }) =>
        exitCode === 0 ? error : new ExitError(exitCode, Buffer.concat(stdErr).toString('utf8')),
      allowEnvironment: Object.keys(this.#local),
      unsafe: {
        allowUnsafeAskPass: true,
        allowUnsafeConfigEnvCount: true,
        allowUnsafeConfigPaths: true,
        allowUnsafeCredentialHelper: true,
        allowUnsafeFsMonitor: true,
        allowUnsafeHooksPath: true,
        allowUnsafePager: true,
      },
    }).env({ ...this.#local });
  }
}

class ExitError extends GitError {
  readonly code: number;
  readonly stderr: string;

  constructor(code: number, stderr: string) {
    super(undefined, `git ended with ${code}`);
    this.code = code;
    this.stderr = stderr;
  }
}

export function closingError(): TransientError {
  return new TransientError('ERR_SHUTTING_DOWN', 'the ops repo is being closed');
}
