import { randomUUID } from 'node:crypto';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { abortable } from '../../domain/abortable.ts';
import { isOid, type Oid } from '../../domain/ids.ts';
import { EdgeError } from '../../errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Log } from '../../ports/log.ts';
import { Batch, type GitObject } from './batch.ts';
import { classify, GitFailure, isDamaged, toError } from './failure.ts';
import { closingError, type Git, type RunResult } from './git.ts';
import type { RemoteRefs } from './refs.ts';
import { takePack } from './take-pack.ts';

export interface CacheParts {
  readonly refs: RemoteRefs;
  /** Full name of the ref on the remote. */
  readonly remoteRef: string;
  readonly clock: Clock;
  readonly log: Log | undefined;
}

/** Whoever asks again and again for what no clone has does not make us clone again and again. */
const REMAKE_EVERY_MS = 60_000;

/** In fetches and pushes; soon for the first time, because a daemon may be started often. */
const TIDY_EVERY = 500;
const TIDY_FIRST = 20;

/**
 * A bare clone of one ref, kept as long as it is whole: when git finds damage it is thrown away and made anew, once, and
 * what was asked is asked again. The address is not stored in it. Reads may run while it is fetched; all that writes to it
 * takes turns, but for fetches into refs that are nobody else's.
 */
export class Cache {
  readonly git: Git;
  readonly #remoteRef: string;
  readonly #refs: RemoteRefs;
  readonly #log: Log | undefined;
  readonly #batch: Batch;
  #turns: Promise<unknown> = Promise.resolve();
  readonly #clock: Clock;
  #writes = 0;
  /** How often we moved the tip ourselves. */
  #landings = 0;
  #clones = 0;
  #remadeAt = -Infinity;
  #remaking: Promise<unknown> | undefined;
  /** Fetches that take no turn; `#remakes` ends them. */
  readonly #beside = new Set<Promise<RunResult>>();
  #remakes = new AbortController();
  /** Where the local copy of the ref stands; undefined: not looked yet. */
  #tip: Oid | null | undefined;

  constructor(git: Git, parts: CacheParts) {
    this.git = git;
    this.#refs = parts.refs;
    this.#remoteRef = parts.remoteRef;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#batch = new Batch(git);
  }

  /** Where the clone stands; null: the remote had no such ref when it was last asked, or it was not asked yet. */
  get tip(): Oid | null {
    return this.#tip ?? null;
  }

  /**
   * The newest state of the ref, fetched; null: the remote has no such ref. Errors of the port. `justNow`: what was told
   * of the ref a moment ago, when another one was asked for, is new enough.
   */
  refresh(
    options: { readonly justNow?: boolean; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Oid | null> {
    const { justNow = false, signal } = options;
    return this.#sound(async () => {
      const landings = this.#landings;
      const told = await abortable(this.#refs.read(this.#remoteRef, justNow), signal);
      if (told === this.#tip) return told;
      return this.exclusively(async () => {
        // Told before a push of ours landed: by its commit an older state would be fetched.
        const isOld = landings !== this.#landings;
        return this.#follow(isOld ? await abortable(this.#refs.read(this.#remoteRef), signal) : told, signal);
      });
    });
  }

  /** Runs `work` with errors of the port; when the clone turns out to be damaged it is made anew and `work` done again. */
  whole<T>(work: () => Promise<T>): Promise<T> {
    return this.#sound(async () => {
      if (this.#tip === undefined) await this.exclusively(() => this.#open());
      return work();
    });
  }

  /** One after the other: whatever writes refs or packs of the clone. Not to be nested. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turns.then(work);
    this.#turns = turn.catch(() => undefined);
    return turn;
  }

  /** Changes whenever the clone is made anew: what else it held is gone then. */
  get generation(): number {
    return this.#clones;
  }

  /** Fetches by these refspecs, and says how git ended. Within `exclusively`. Throws GitFailure. */
  async fetch(refspecs: readonly string[], signal?: AbortSignal): Promise<RunResult> {
    const result = await this.git.talk((url) => ['fetch', ...fetchOptions, url, ...refspecs], { signal });
    this.#tidyNowAndThen();
    return result;
  }

  /**
   * Like `fetch`, and holds no turn: a large one must not keep results waiting. Git itself lets it run beside all but the
   * making of the clone anew, which ends it. Only for refs that no other call writes at the same time. After `limitMs` it
   * fails as timed out; default: when git's own time is over.
   */
  async fetchBeside(refspecs: readonly string[], limitMs?: number): Promise<RunResult> {
    await this.#remade();
    const fetching = this.#fetchWithin(refspecs, limitMs);
    this.#beside.add(fetching);
    try {
      return await fetching;
    } finally {
      this.#beside.delete(fetching);
      // Ended by it: whoever asks again then finds the new clone.
      await this.#remade();
    }
  }

  /** The object of this name, null when there is none; see Batch. */
  object(name: string, limit: number): Promise<GitObject | null> {
    return this.#batch.read(name, limit);
  }

  /** Tells that the remote's ref is at a commit that we made and pushed: need not be fetched. Within `exclusively` only. */
  async landed(commit: Oid): Promise<void> {
    const { code } = await this.git.run(['update-ref', localRef, commit]);
    if (code === 0) this.#tip = commit;
    this.#landings += 1;
    this.#refs.moved(this.#remoteRef);
    this.#tidyNowAndThen();
  }

  async close(): Promise<void> {
    this.git.close();
    await Promise.allSettled([this.#turns, ...this.#beside]);
    await this.#batch.stop(closingError());
  }

  async #sound<T>(work: () => Promise<T>): Promise<T> {
    const clones = this.#clones;
    try {
      return await work();
    } catch (error) {
      if (!isDamaged(error) || this.git.closing.aborted) throw this.#portError(error);
      if (clones === this.#clones && this.#clock.monotonic() - this.#remadeAt < REMAKE_EVERY_MS)
        throw this.#portError(error);
      this.#log?.warn('local clone is damaged, making it anew', { repo: this.git.repo, why: String(error) });
    }
    try {
      await this.exclusively(() => this.#remakeAlone(clones));
      return await work();
    } catch (error) {
      throw this.#portError(error);
    }
  }

  #portError(error: unknown): unknown {
    if (error instanceof EdgeError || !(error instanceof GitFailure)) return error;
    return toError(error, this.git.shown);
  }

  async #fetchWithin(refspecs: readonly string[], limitMs: number | undefined): Promise<RunResult> {
    const limit = limitMs === undefined ? undefined : AbortSignal.timeout(limitMs);
    const { signal } = this.#remakes;
    try {
      return await this.fetch(refspecs, limit === undefined ? signal : AbortSignal.any([signal, limit]));
    } catch (error) {
      throw error === limit?.reason ? new GitFailure('timeout', 'git fetch') : error;
    }
  }

  async #remade(): Promise<void> {
    while (this.#remaking !== undefined) await this.#remaking;
  }

  async #remakeAlone(clones: number): Promise<void> {
    const remaking = this.#remake(clones);
    this.#remaking = remaking.catch(() => undefined);
    try {
      await remaking;
    } finally {
      this.#remaking = undefined;
    }
  }

  /** Only if nobody else has done it since. */
  async #remake(clones: number): Promise<void> {
    if (clones !== this.#clones) return;
    this.#remadeAt = this.#clock.monotonic();
    await this.#batch.stop(new GitFailure('damaged', 'git cat-file'));
    this.#remakes.abort(new GitFailure('damaged', 'git fetch'));
    await Promise.allSettled(this.#beside);
    this.#remakes = new AbortController();
    await rm(this.git.repo, { recursive: true, force: true });
    this.#tip = undefined;
    await this.#open();
    if (this.#tip === null) await this.#follow(await this.#refs.read(this.#remoteRef), undefined);
  }

  /** `remote`: where the ref of the remote is, if that was asked. */
  async #open(remote?: Oid | null): Promise<void> {
    if (this.#tip !== undefined) return;
    if ((await stat(this.git.repo).catch(() => null)) === null) await this.#make(remote ?? (await this.#anyId()));
    this.#tip = await this.#readTip();
  }

  async #follow(remote: Oid | null, signal: AbortSignal | undefined): Promise<Oid | null> {
    await this.#open(remote);
    if (remote === null || remote === this.#tip) {
      if (remote === null) this.#tip = null;
      return remote;
    }
    if (await this.#followQuickly(remote, signal)) return this.tip;
    const { code, stderr } = await this.fetch([`+${this.#remoteRef}:${localRef}`], signal);
    if (code !== 0) throw new GitFailure(classify(stderr, true), `git fetch (exit ${code})`);
    this.#tip = await this.#readTip();
    return this.#tip;
  }

  /** One request for what is new. False: nothing has changed here, git has to fetch. */
  async #followQuickly(remote: Oid, signal: AbortSignal | undefined): Promise<boolean> {
    const have = this.#tip ?? null;
    if (have === null) return false;
    const wanted = { ref: this.#remoteRef, tip: remote, have };
    return this.#refs.fetch(wanted, signal, async (fetched) => {
      if (!(await takePack(this.git, fetched, have, signal))) return false;
      await this.landed(fetched.tip);
      return this.#tip === fetched.tip;
    });
  }

  /** Git itself decides whether there is something to pack. What it throws away could be fetched again. */
  #tidyNowAndThen(): void {
    this.#writes += 1;
    if (this.#writes % TIDY_EVERY !== TIDY_FIRST || this.git.closing.aborted) return;
    const settings = ['-c', 'gc.auto=6700', '-c', 'gc.autoDetach=false', '-c', 'gc.pruneExpire=2.days.ago'];
    const tidy = this.exclusively(() => this.git.run([...settings, 'gc', '--auto', '--quiet']));
    tidy.catch((error: unknown) => this.#log?.warn('local clone could not be packed', { why: String(error) }));
  }

  async #readTip(): Promise<Oid | null> {
    const { code, stdout, stderr } = await this.git.run(['rev-parse', '--verify', '--quiet', `${localRef}^{commit}`]);
    const id = stdout.toString('utf8').trim();
    if (code === 0 && isOid(id)) return id;
    if (code === 1 && stderr === '' && (await this.#hasNoRef())) return null;
    throw new GitFailure('damaged', `git rev-parse (exit ${code})`);
  }

  async #hasNoRef(): Promise<boolean> {
    const refs = await this.git.run(['for-each-ref', '--format=%(refname)', localRef]);
    return refs.code === 0 && refs.stdout.length === 0 && refs.stderr === '';
  }

  /**
   * Made beside its place and moved there, so that a half one is never taken for whole. Of the remote's hash, which the
   * length of any of its ids tells; an empty repo is taken for one of SHA-1.
   */
  async #make(anyId: string): Promise<void> {
    this.#clones += 1;
    const fresh = path.join(path.dirname(this.git.repo), `new-${randomUUID()}`);
    await mkdir(path.dirname(this.git.repo), { recursive: true, mode: 0o700 });
    const format = `--object-format=${anyId.length === 64 ? 'sha256' : 'sha1'}`;
    await this.git.ok(['init', '--quiet', '--bare', '--template=', format, fresh], { env: { GIT_DIR: fresh } });
    await rename(fresh, this.git.repo);
  }

  async #anyId(): Promise<string> {
    const { code, stdout, stderr } = await this.git.talk((url) => ['ls-remote', '--quiet', url]);
    if (code !== 0) throw new GitFailure(classify(stderr, true), `git ls-remote (exit ${code})`);
    return /^[0-9a-f]+/.exec(stdout.toString('utf8'))?.[0] ?? '';
  }
}

const localRef = 'refs/edge/tip';

const fetchOptions = [
  '--no-tags',
  '--no-write-fetch-head',
  '--no-auto-gc',
  '--no-recurse-submodules',
  '--force',
  '--quiet',
];
