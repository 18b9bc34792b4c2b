import type { Account, Change, ChangeCommit, ChangeHistory, Review } from '../../src/domain/change.ts';
import type { Check } from '../../src/domain/check.ts';
import type { Oid } from '../../src/domain/ids.ts';
import type { CommitStatus, Forge } from '../../src/ports/forge.ts';

/** What the forge says of one change, beside the change itself. */
export interface MemoryChange {
  readonly change: Change;
  readonly files?: readonly string[];
  readonly reviews?: readonly Review[];
  readonly commits?: readonly ChangeCommit[];
  readonly history?: ChangeHistory;
}

interface WrittenComment {
  readonly marker: string;
  readonly body: string;
  /** How often it was made or edited. */
  readonly writes: number;
}

export const account = (id: number, login: string): Account => ({ id, login, isBot: false });

/** A change with what a test does not care about filled in. */
export function openChange(number: number, head: Oid, more: Partial<Change> = {}): Change {
  return {
    number,
    url: `https://forge.example/ops/ops/pulls/${number}`,
    title: `Change ${number}`,
    author: account(1, 'author'),
    base: 'main',
    state: 'open',
    head,
    source: { repo: 'ops/ops', branch: `change-${number}` },
    merge: null,
    createdAt: '2026-03-31T11:00:00.000Z',
    ...more,
  };
}

/** A forge in memory: what people did there is set by the test, what we wrote there can be read. */
export class MemoryForge implements Forge {
  readonly kind: string = 'forgejo';
  readonly url = 'https://forge.example';
  readonly calls: string[] = [];
  /** What every call throws, if anything. */
  failure: Error | null = null;
  checks: readonly Check[] = [];
  readonly admins = new Set<number>();
  /** Commits that it does not know. */
  readonly unknown = new Set<Oid>();
  readonly pushers = new Map<Oid, Account>();
  readonly comments = new Map<number, WrittenComment>();
  /** The newest of each commit and context: `<commit> <context>`. */
  readonly statuses = new Map<string, CommitStatus>();
  readonly #changes = new Map<number, MemoryChange>();

  /** Also what was there under this number before is replaced; comments stay. */
  put(change: MemoryChange): void {
    this.#changes.set(change.change.number, change);
  }

  /** Merged as this commit. */
  merge(number: number, commit: Oid, by: Account | null = null): void {
    const there = this.#of(number);
    const merge = { commit, by, at: '2026-03-31T12:00:00.000Z' };
    this.put({ ...there, change: { ...there.change, state: 'merged', merge } });
  }

  writes(): number {
    return this.calls.filter((call) => /^(?:comment|setStatus) /.test(call)).length;
  }

  async check(): Promise<readonly Check[]> {
    this.#called('check');
    return this.checks;
  }

  async changeOf(commit: Oid): Promise<Change | null> {
    this.#called(`changeOf ${commit}`);
    return [...this.#changes.values()].find(({ change }) => change.merge?.commit === commit)?.change ?? null;
  }

  async hasCommit(commit: Oid): Promise<boolean> {
    this.#called(`hasCommit ${commit}`);
    return !this.unknown.has(commit);
  }

  async change(number: number): Promise<Change | null> {
    this.#called(`change ${number}`);
    return this.#changes.get(number)?.change ?? null;
  }

  async openChanges(base: string): Promise<readonly Change[]> {
    this.#called(`openChanges ${base}`);
    const changes = [...this.#changes.values()].map(({ change }) => change);
    return changes.filter((change) => change.state === 'open' && change.base === base).toReversed();
  }

  async reviews(change: number): Promise<readonly Review[]> {
    this.#called(`reviews ${change}`);
    return this.#of(change).reviews ?? [];
  }

  async files(change: number): Promise<readonly string[]> {
    this.#called(`files ${change}`);
    return this.#of(change).files ?? [];
  }

  async commits(change: number): Promise<readonly ChangeCommit[]> {
    this.#called(`commits ${change}`);
    return this.#of(change).commits ?? [];
  }

  async history(change: Change): Promise<ChangeHistory> {
    this.#called(`history ${change.number}`);
    return this.#of(change.number).history ?? { pushes: [], landedBy: null, scheduled: false, retargetedAt: null };
  }

  async pusherOf(commit: Oid): Promise<Account | null> {
    this.#called(`pusherOf ${commit}`);
    return this.pushers.get(commit) ?? null;
  }

  async isAdmin({ id, login }: Account): Promise<boolean> {
    this.#called(`isAdmin ${login}`);
    return id !== null && this.admins.has(id);
  }

  async setStatus(commit: Oid, status: CommitStatus): Promise<void> {
    this.#called(`setStatus ${commit}`);
    const { over, ...told } = status;
    const key = `${commit} ${status.context}`;
    if (over === undefined || this.statuses.get(key)?.state === over) this.statuses.set(key, told);
  }

  async comment(change: number, marker: string, body: string): Promise<void> {
    this.#called(`comment ${change}`);
    const there = this.comments.get(change);
    if (there?.body === body) return;
    this.comments.set(change, { marker, body, writes: (there?.writes ?? 0) + 1 });
  }

  #called(call: string): void {
    this.calls.push(call);
    if (this.failure !== null) throw this.failure;
  }

  #of(number: number): MemoryChange {
    const there = this.#changes.get(number);
    if (there === undefined) throw new Error(`no change ${number}`);
    return there;
  }
}
