import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { isGitPath } from '../../domain/config-urls.ts';
import { isOid, type Oid } from '../../domain/ids.ts';
import type { Clock } from '../../ports/clock.ts';
import { isErrno } from '../durable-file.ts';
import { httpOrigin } from './environment.ts';
import { classify, GitFailure } from './failure.ts';
import { type CloneOptions, Git } from './git.ts';
import { LsRefs } from './ls-refs.ts';
import { type Fetched, QuickFetch, type WantedTip } from './quick-fetch.ts';
import { SmartHttp } from './smart-http.ts';

const JUST_NOW_MS = 1_000;
/** What takes longer is left to git. */
const QUICK_MS = 10_000;

/** What is asked within one turn of the event loop, and its answer. */
interface Turn {
  readonly refs: Set<string>;
  readonly answer: Promise<ReadonlyMap<string, Oid>>;
}

/**
 * Where refs of the remote stand. What is asked in the same turn goes into one request, and so does whatever was asked
 * before: with one of these for the branch and the journal, a poll of both is one request. Where it can (https, a path)
 * it starts no process; else, and to learn why something fails, it asks `git ls-remote`.
 */
export class RemoteRefs {
  readonly #git: Git;
  readonly #url: string;
  readonly #clock: Clock;
  readonly #http: SmartHttp | null;
  readonly #lsRefs: LsRefs | null;
  readonly #quickFetch: QuickFetch | null;
  readonly #everAsked = new Set<string>();
  readonly #moved = new Map<string, number>();
  #turn: Turn | undefined;
  /** The last answer, and those of its refs that nobody has taken from it. */
  #last: { readonly at: number; readonly found: ReadonlyMap<string, Oid>; readonly untaken: Set<string> } | undefined;

  constructor(options: CloneOptions, clock: Clock) {
    this.#git = new Git(options);
    this.#url = options.url;
    this.#clock = clock;
    this.#http =
      httpOrigin(options.url) !== null ? new SmartHttp(options, Math.min(options.timeoutMs, QUICK_MS)) : null;
    this.#lsRefs = this.#http && new LsRefs(this.#http);
    this.#quickFetch = this.#http && new QuickFetch(this.#http);
  }

  /**
   * null: the remote has no such ref. `justNow`: takes what an answer of the last second said, once. Throws GitFailure.
   */
  async read(ref: string, justNow = false): Promise<Oid | null> {
    const last = this.#last;
    const isFresh =
      last !== undefined &&
      last.at > (this.#moved.get(ref) ?? -Infinity) &&
      this.#clock.monotonic() - last.at < JUST_NOW_MS;
    if (last?.untaken.delete(ref) && justNow && isFresh) return last.found.get(ref) ?? null;
    this.#everAsked.add(ref);
    this.#turn ??= this.#nextTurn();
    this.#turn.refs.add(ref);
    return (await this.#turn.answer).get(ref) ?? null;
  }

  /** A push of ours has moved it: what was told of it before counts no more. */
  moved(ref: string): void {
    this.#moved.set(ref, this.#clock.monotonic());
  }

  /**
   * The annotated tags beneath a folder of refs (`refs/tags/…/`), by name: ids of the tag objects. One request of its own,
   * always. Throws GitFailure.
   */
  async annotatedTags(folder: string): Promise<ReadonlyMap<string, Oid>> {
    const quick = await this.#lsRefs?.annotatedTags(folder, this.#git.closing);
    if (quick) return quick;
    const lines = await this.#listed(['--tags'], [`${folder}*`]);
    const peeled = new Set(lines.flatMap(([, ref]) => (ref.endsWith('^{}') ? [ref.slice(0, -'^{}'.length)] : [])));
    return new Map(lines.flatMap(([id, ref]) => (ref.startsWith(folder) && peeled.has(ref) ? [[ref, id]] : [])));
  }

  /**
   * What lacks from `have` to where a ref stands now, in one request; `take` says whether it could be used. False: not
   * this way, let git fetch. Throws what `take` throws.
   */
  async fetch(
    wanted: WantedTip,
    signal: AbortSignal | undefined,
    take: (fetched: Fetched) => Promise<boolean>,
  ): Promise<boolean> {
    const { closing } = this.#git;
    const until = signal === undefined ? closing : AbortSignal.any([signal, closing]);
    const fetched = await this.#quickFetch?.fetch(wanted, until);
    signal?.throwIfAborted();
    if (!fetched) return false;
    if (await take(fetched)) return true;
    this.#quickFetch?.failed();
    return false;
  }

  close(): void {
    this.#git.close();
    this.#http?.close();
  }

  #nextTurn(): Turn {
    const refs = new Set<string>();
    const answer = Promise.resolve().then(async () => {
      this.#turn = undefined;
      const at = this.#clock.monotonic();
      const found = await this.#ask([...this.#everAsked]);
      this.#last = { at, found, untaken: new Set([...this.#everAsked].filter((ref) => !refs.has(ref))) };
      return found;
    });
    return { refs, answer };
  }

  async #ask(refs: readonly string[]): Promise<ReadonlyMap<string, Oid>> {
    const quick =
      this.#lsRefs === null ? await this.#readFiles(refs) : await this.#lsRefs.read(refs, this.#git.closing);
    if (quick !== null) return quick;
    const found = await this.#lsRemote(refs);
    for (const id of found.values()) this.#lsRefs?.learn(id);
    return found;
  }

  /** Of a bare repo on this machine. null: it is not laid out as expected, ask git. */
  async #readFiles(refs: readonly string[]): Promise<ReadonlyMap<string, Oid> | null> {
    if (!isGitPath(this.#url)) return null;
    const repo = path.resolve(this.#url);
    if (!(await readText(path.join(repo, 'HEAD'))) || (await isThere(path.join(repo, 'reftable')))) return null;
    const found = new Map<string, Oid>();
    for (const ref of refs) {
      // A loose ref counts before a packed one. One that is being packed is in the packed file before it is no more loose.
      const loose = await readText(path.join(repo, ref));
      const id = loose === null ? packedRef((await readText(path.join(repo, 'packed-refs'))) ?? '', ref) : loose.trim();
      if (id === null) continue;
      if (!isOid(id)) return null;
      found.set(ref, id);
    }
    return found;
  }

  async #lsRemote(refs: readonly string[]): Promise<ReadonlyMap<string, Oid>> {
    const lines = await this.#listed([], refs);
    // Patterns of ls-remote match the end of a name too.
    return new Map(lines.flatMap(([id, ref]) => (refs.includes(ref) ? [[ref, id]] : [])));
  }

  async #listed(options: readonly string[], patterns: readonly string[]): Promise<(readonly [Oid, string])[]> {
    const args = (url: string) => ['ls-remote', '--quiet', ...options, url, ...patterns];
    const { code, stdout, stderr } = await this.#git.talk(args);
    if (code !== 0) throw new GitFailure(classify(stderr, true), `git ls-remote (exit ${code})`);
    return stdout
      .toString('utf8')
      .split('\n')
      .flatMap((line) => {
        const [id = '', ref = ''] = line.split('\t');
        return isOid(id) ? [[id, ref] as const] : [];
      });
  }
}

/** null: there is no such file; empty: it can't be read. */
async function readText(file: string): Promise<string | null> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    return isErrno(error, 'ENOENT', 'ENOTDIR', 'EISDIR') ? null : '';
  }
}

async function isThere(file: string): Promise<boolean> {
  return (await stat(file).catch(() => null)) !== null;
}

function packedRef(packed: string, ref: string): string | null {
  const line = packed.split('\n').find((one) => one.endsWith(` ${ref}`));
  return line?.split(' ')[0] ?? null;
}
