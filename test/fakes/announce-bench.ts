import { createDaemon } from '../../src/daemon/daemon.ts';
import type { Change } from '../../src/domain/change.ts';
import { blobOid, type Oid, oid, sha256 } from '../../src/domain/ids.ts';
import { TransientError } from '../../src/errors.ts';
import type { OpsRepo, TreeEntry } from '../../src/ports/ops-repo.ts';
import { type MemoryChange, MemoryForge, openChange } from './memory-forge.ts';
import { type Process, type ProcessOptions, StoryBench } from './story-bench.ts';

interface Head {
  readonly entries: ReadonlyMap<string, TreeEntry>;
}

type Kind = TreeEntry['kind'];

/** A story bench with a forge on which changes are proposed: heads that are on no branch yet. */
export class AnnounceBench extends StoryBench {
  readonly people = new MemoryForge();
  /** Commits that were fetched, in order. */
  readonly obtained: Oid[] = [];
  /** Heads whose fetch fails. */
  readonly unfetchable = new Set<Oid>();
  readonly #heads = new Map<Oid, Head>();
  readonly #blobs = new Map<Oid, Uint8Array>();

  /** A head beside the branch with these files on top of it; null: deleted there. */
  head(files: Readonly<Record<string, string | null>>, kind: Kind = 'file'): Oid {
    const id = oid(sha256(`head ${this.#heads.size}`).slice(0, 40));
    const entries = new Map<string, TreeEntry>();
    for (const [path, text] of Object.entries(files)) {
      if (text === null) continue;
      const bytes = Buffer.from(text);
      this.#blobs.set(blobOid(bytes), bytes);
      entries.set(path, { path, kind, oid: blobOid(bytes) });
    }
    this.#heads.set(id, { entries });
    return id;
  }

  /** Opens a change with these files, or moves the head of the one that there is. */
  propose(
    number: number,
    files: Readonly<Record<string, string | null>>,
    more: Omit<Partial<MemoryChange>, 'change'> & { readonly change?: Partial<Change>; readonly kind?: Kind } = {},
  ): Oid {
    const { change, kind, ...rest } = more;
    const head = this.head(files, kind);
    this.people.put({ files: Object.keys(files), ...rest, change: openChange(number, head, change) });
    return head;
  }

  /** As a squash: one commit on the branch with these files. */
  mergeChange(number: number, files: Readonly<Record<string, string | null>>): Oid {
    const commit = this.repo.commitFiles(files, `merge ${number}`);
    this.people.merge(number, commit);
    return commit;
  }

  /** A daemon that tells people, until it is ended. */
  announcing(options: ProcessOptions = {}): Process & { readonly end: () => Promise<void> } {
    this.forge = this.people;
    const stop = new AbortController();
    const process = this.process(options);
    const { watcher } = process;
    const parts = { ...process.parts, opsRepo: this.#withHeads(process.parts.opsRepo) };
    const settings = { pollSeconds: 5, inFlight: 4, dispatchesPerMinute: 600 };
    const announce = { policyFile: 'vault/policy.toml', mounts: [], bots: ['edge-bot'], forgeAdmins: false };
    const daemon = createDaemon({ parts, watcher, settings, announce });
    const over = daemon.run(stop.signal);
    const end = async () => {
      stop.abort();
      await this.drive(over);
    };
    return { ...process, parts, daemon, end };
  }

  #withHeads(opsRepo: OpsRepo): OpsRepo {
    const own: Partial<OpsRepo> = {
      entryAt: async (commit, path) => {
        const head = this.#heads.get(commit);
        return head === undefined ? opsRepo.entryAt(commit, path) : (head.entries.get(path) ?? null);
      },
      read: async (blob) => this.#blobs.get(blob) ?? opsRepo.read(blob),
      obtain: async (commits) => {
        this.obtained.push(...commits);
        if (commits.some((commit) => this.unfetchable.has(commit))) {
          throw new TransientError('ERR_GIT_UNAVAILABLE', 'git: the fetch took too long');
        }
        const known = commits.filter((commit) => this.#heads.has(commit));
        return new Set([...known, ...(await opsRepo.obtain(commits.filter((commit) => !this.#heads.has(commit))))]);
      },
    };
    return new Proxy(opsRepo, { get: (target, name) => Reflect.get(own, name) ?? Reflect.get(target, name) });
  }
}
