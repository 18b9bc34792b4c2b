import { type Oid, oid } from '../../domain/ids.ts';
import { InvalidError } from '../../errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type {
  AllowedSigner,
  ApprovalTag,
  CommitInfo,
  NewFile,
  OpsRepo,
  PublishAnswer,
  SignatureVerdict,
  Tips,
  TreeEntry,
} from '../../ports/ops-repo.ts';
import { AcceptedTip } from './accepted-tip.ts';
import { ApprovalTags } from './approval-tags.ts';
import { Cache } from './cache.ts';
import { parseCommit } from './commit-object.ts';
import { GitFailure } from './failure.ts';
import { Git } from './git.ts';
import { GroupCommit } from './group-commit.ts';
import {
  everAdded,
  firstParentChanges,
  firstParentRoot,
  goesOnFrom,
  introducers,
  isAncestor,
  lastChanged,
  mergeBases,
} from './log.ts';
import { Obtainer } from './obtain.ts';
import { type Publication, Publisher } from './publish.ts';
import { branchMissing, gitBranchCommits, type PublisherOptions } from './publish-commits.ts';
import { RemoteRefs } from './refs.ts';
import { verifySignature } from './signature.ts';
import { diffTrees, entriesAt, listTree } from './tree.ts';

export interface OpsRepoOptions extends PublisherOptions {
  /** Where the last accepted tip is kept: in state_dir, outside of the cache. */
  readonly acceptedTipFile: string;
  /** Files and folders whose history on the first-parent line decides what is in force. */
  readonly gated?: readonly string[];
  /** Shared with the journal, one request tells both where their refs stand; default: one of its own. */
  readonly refs?: RemoteRefs;
}

/** Answers at once: nothing is asked of the server before the first `refresh`. */
export function openOpsRepo(options: OpsRepoOptions, clock: Clock): Promise<OpsRepo> {
  return Promise.resolve(new Branch(options, clock));
}

const LARGEST_FILE = 1 << 20;

class Branch implements OpsRepo {
  readonly #git: Git;
  readonly #cache: Cache;
  readonly #accepted: AcceptedTip;
  readonly #branch: string;
  readonly #gated: readonly string[];
  readonly #obtainer: Obtainer;
  readonly #tags: ApprovalTags;
  readonly #publications: GroupCommit<Publication, PublishAnswer>;
  readonly #ownRefs: RemoteRefs | undefined;
  #known: { readonly tip: Oid; readonly root: Oid } | null = null;
  /** The last answer, and the accepted tip that it was given for. */
  #refreshed: { readonly accepted: string; readonly tips: Tips } | undefined;

  constructor(options: OpsRepoOptions, clock: Clock) {
    this.#git = new Git(options);
    const refs = options.refs ?? new RemoteRefs(options, clock);
    this.#ownRefs = options.refs === undefined ? refs : undefined;
    this.#cache = new Cache(this.#git, { refs, remoteRef: `refs/heads/${options.branch}`, clock, log: options.log });
    this.#accepted = new AcceptedTip(options.acceptedTipFile);
    this.#obtainer = new Obtainer(this.#cache, clock, options.log);
    this.#tags = new ApprovalTags(this.#cache, refs, options.log);
    this.#branch = options.branch;
    this.#gated = options.gated ?? [];
    const publisher = new Publisher(gitBranchCommits(this.#cache, options, clock), clock);
    this.#publications = new GroupCommit({
      flush: (group) => publisher.publish(group),
      spacingMs: options.pushSpacingMs,
      clock,
      signal: this.#git.closing,
    });
  }

  async refresh(signal?: AbortSignal): Promise<Tips> {
    const tip = await this.#cache.refresh({ justNow: true, signal });
    if (tip === null) throw branchMissing(this.#git.shown, this.#branch);
    const accepted = await this.#accepted.read();
    const last = this.#refreshed;
    if (last?.tips.tip === tip && last.accepted === accepted) return last.tips;
    const descends = await this.#cache.whole(() => this.#descends(tip, accepted));
    if (descends && accepted !== tip) await this.#accepted.write(tip);
    const tips = { tip, root: await this.#root(tip), descends };
    this.#refreshed = { accepted: descends ? tip : accepted, tips };
    return tips;
  }

  async acceptHistory(): Promise<void> {
    const tip = await this.#cache.refresh();
    if (tip === null) throw branchMissing(this.#git.shown, this.#branch);
    await this.#accepted.write(tip);
  }

  list(commit: Oid, under: readonly string[]) {
    return this.#cache.whole(() => listTree(this.#git, commit, under));
  }

  changes(from: Oid, to: Oid, under: readonly string[]) {
    return this.#cache.whole(() => diffTrees(this.#git, from, to, under));
  }

  async entryAt(commit: Oid, path: string): Promise<TreeEntry | null> {
    const entries = await this.#cache.whole(() => entriesAt(this.#git, commit, [path]));
    return [...entries.values()][0] ?? null;
  }

  async read(blob: Oid): Promise<Uint8Array> {
    const object = await this.#cache.whole(() => this.#object(blob, 'blob'));
    if (object.content !== null) return new Uint8Array(object.content);
    throw new InvalidError('ERR_FILE_SIZE', `a file of ${object.size} bytes is larger than 1 MiB (blob ${blob})`);
  }

  async commit(commit: Oid): Promise<CommitInfo> {
    const { content } = await this.#cache.whole(() => this.#whole(commit, 'commit'));
    const { signature: _, ...info } = parseCommit(commit, content);
    return info;
  }

  lastChanged(tip: Oid, paths: readonly string[]) {
    return this.#cache.whole(() => lastChanged(this.#git, tip, paths));
  }

  firstParentChanges(from: Oid | null, to: Oid, under: readonly string[]) {
    return this.#cache.whole(() => firstParentChanges(this.#git, from, to, under));
  }

  introducers(merge: Oid, path: string, blob: Oid) {
    return this.#cache.whole(() => introducers(this.#cache, merge, path, blob));
  }

  everAdded(from: Oid | null, to: Oid, under: readonly string[], suffix: string) {
    return this.#cache.whole(() => everAdded(this.#git, { from, to }, under, suffix));
  }

  isAncestor(ancestor: Oid, descendant: Oid): Promise<boolean> {
    return this.#cache.whole(() => isAncestor(this.#git, ancestor, descendant));
  }

  mergeBases(one: Oid, other: Oid): Promise<readonly Oid[]> {
    return this.#cache.whole(() => mergeBases(this.#git, one, other));
  }

  verifySignature(object: Oid, keys: readonly AllowedSigner[]): Promise<SignatureVerdict> {
    return this.#cache.whole(async () => {
      const { type, content } = await this.#whole(object, 'commit', 'tag');
      return verifySignature(this.#git, { oid: object, type, raw: content }, keys);
    });
  }

  obtain(commits: readonly Oid[], signal?: AbortSignal): Promise<ReadonlySet<Oid>> {
    return this.#obtainer.obtain(commits, signal);
  }

  approvalTags(signal?: AbortSignal): Promise<readonly ApprovalTag[]> {
    return this.#tags.read(signal);
  }

  root(commit: Oid): Promise<Oid> {
    return this.#cache.whole(() => firstParentRoot(this.#git, commit, this.#known));
  }

  publish(file: NewFile, message: string): Promise<PublishAnswer> {
    return this.#publications.submit({ file, message });
  }

  async close(): Promise<void> {
    this.#git.close();
    await Promise.all([this.#publications.idle(), this.#obtainer.idle(), this.#tags.idle()]);
    await this.#cache.close();
    this.#ownRefs?.close();
  }

  async #descends(tip: Oid, accepted: Oid | 'none' | 'unreadable'): Promise<boolean> {
    if (accepted === 'none') return true;
    if (accepted === 'unreadable') return false;
    return goesOnFrom(this.#git, accepted, tip, this.#gated);
  }

  async #root(tip: Oid): Promise<Oid> {
    const root = await this.#cache.whole(() => firstParentRoot(this.#git, tip, this.#known));
    this.#known = { tip, root };
    return root;
  }

  /** Its content too. */
  async #whole(id: Oid, ...types: readonly ('commit' | 'tag')[]) {
    const { type, content, size } = await this.#object(id, ...types);
    if (content !== null) return { type, content };
    throw new InvalidError('ERR_FILE_SIZE', `a ${type} of ${size} bytes is larger than 1 MiB (${id})`);
  }

  async #object<Type extends string>(id: Oid, ...types: readonly Type[]) {
    const object = await this.#cache.object(oid(id), LARGEST_FILE);
    const type = types.find((one) => one === object?.type);
    if (object !== null && type !== undefined) return { ...object, type };
    throw new GitFailure('damaged', 'git cat-file', `has no such ${types.join(' or ')}`);
  }
}
