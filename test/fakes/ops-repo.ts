import path from 'node:path';
import process from 'node:process';
import { systemClock } from '../../src/adapters/clock.ts';
import { type OpsRepoOptions, openOpsRepo } from '../../src/adapters/ops-repo/branch.ts';
import { type JournalOptions, type OpenJournal, openJournal } from '../../src/adapters/ops-repo/journal.ts';
import type { JournalEntry } from '../../src/domain/journal.ts';
import { toError } from '../../src/errors.ts';
import type { OpsRepo } from '../../src/ports/ops-repo.ts';
import { type FileContent, seededRemote, temporaryFolder, type Writer } from './git-repo.ts';

/** A remote with one commit, and the adapters opened on it; `close` puts all away. */
export class OpsRepoFixture {
  readonly dir: string;
  readonly remote: string;
  readonly writer: Writer;
  readonly #closers: (() => Promise<void>)[] = [];

  private constructor(dir: string, remote: string, writer: Writer) {
    this.dir = dir;
    this.remote = remote;
    this.writer = writer;
  }

  static async create(files: Readonly<Record<string, FileContent>> = { README: 'ops\n' }): Promise<OpsRepoFixture> {
    const { dir, remove } = await temporaryFolder();
    const { remote, writer } = await seededRemote(dir, files);
    const fixture = new OpsRepoFixture(dir, remote, writer);
    fixture.onClose(remove);
    return fixture;
  }

  /** Last registered, first closed. */
  onClose(close: () => Promise<void>): void {
    this.#closers.unshift(close);
  }

  /** All are closed, also when one of them fails; that one's error is thrown in the end. */
  async close(): Promise<void> {
    const errors: unknown[] = [];
    for (const close of this.#closers) await close().catch((error: unknown) => errors.push(error));
    if (errors.length > 0) throw toError(errors[0]);
  }

  options(changes: Partial<OpsRepoOptions> = {}): OpsRepoOptions {
    return {
      url: this.remote,
      branch: 'main',
      dir: path.join(this.dir, 'cache', 'ops.git'),
      acceptedTipFile: path.join(this.dir, 'state', 'accepted-tip'),
      username: 'edge-bot',
      tokenFile: null,
      sshKeyFile: null,
      knownHostsFile: null,
      author: 'Edge Dispatcher <edge@localhost>',
      timeoutMs: 20_000,
      pushSpacingMs: 0,
      path: process.env['PATH'] ?? '/usr/bin:/bin',
      ...changes,
    };
  }

  async open(changes: Partial<OpsRepoOptions> = {}): Promise<OpsRepo> {
    const opsRepo = await openOpsRepo(this.options(changes), systemClock);
    this.onClose(() => opsRepo.close());
    return opsRepo;
  }

  /** Each name of a dispatcher has a clone of its own. */
  async openJournal(changes: Partial<JournalOptions> = {}): Promise<OpenJournal> {
    const { acceptedTipFile: _, ...options } = this.options();
    const dispatcher = changes.dispatcher ?? 'edge-1';
    const instance = changes.instance ?? `instance of ${dispatcher}`;
    const journal = await openJournal(
      {
        ...options,
        dir: path.join(this.dir, 'cache', `journal of ${instance}`),
        journalRef: 'refs/dispatcher/journal',
        tombstoneDays: 8,
        ...changes,
        dispatcher,
        instance,
      },
      systemClock,
    );
    this.onClose(() => journal.close());
    return journal;
  }
}

export function journalEntry(id: string, changes: Partial<JournalEntry> = {}): JournalEntry {
  return {
    id,
    blob: 'a'.repeat(40),
    formula_blob: 'b'.repeat(40),
    attempt: 1,
    token: '1'.repeat(32),
    dispatcher: 'edge-1',
    instance: 'instance of edge-1',
    claimed_at: '2026-01-01T00:00:00Z',
    timeout_seconds: 60,
    state: 'claimed',
    engine: 'subprocess',
    group: null,
    payload_sha256: 'c'.repeat(64),
    accessors: [],
    ...changes,
  };
}
