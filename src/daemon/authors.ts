import { type Oid, sidecarNameOf } from '../domain/ids.ts';
import { EdgeError } from '../errors.ts';
import type { OpsRepo } from '../ports/ops-repo.ts';

export interface Authored {
  readonly id: string;
  /** The commit that set its bytes; null: nobody committed it. */
  readonly commit: Oid | null;
}

/**
 * Whose turn an action is: the author of the commit that set its bytes, by e-mail address; of a sidecar, which nobody
 * committed, its formula. It decides who is next and nothing else, so it may be claimed by anybody. Each commit is read
 * once.
 */
export class Authors {
  readonly #opsRepo: Pick<OpsRepo, 'commit'>;
  #known = new Map<Oid, string>();

  constructor(opsRepo: Pick<OpsRepo, 'commit'>) {
    this.#opsRepo = opsRepo;
  }

  /** By id. What can't be read now is nobody's, and shares one turn. */
  async of(candidates: readonly Authored[]): Promise<ReadonlyMap<string, string>> {
    const known = new Map<Oid, string>();
    const authors = new Map<string, string>();
    for (const { id, commit } of candidates) {
      const formula = sidecarNameOf(id)?.formula;
      const author = commit === null || formula !== undefined ? null : await this.#author(commit, known);
      authors.set(id, formula === undefined ? (author ?? '') : `sidecar ${formula}`);
    }
    // Only those of now are kept.
    this.#known = known;
    return authors;
  }

  async #author(commit: Oid, known: Map<Oid, string>): Promise<string | null> {
    const before = known.get(commit) ?? this.#known.get(commit) ?? (await this.#read(commit));
    if (before !== null) known.set(commit, before);
    return before;
  }

  async #read(commit: Oid): Promise<string | null> {
    try {
      return (await this.#opsRepo.commit(commit)).author.email.toLowerCase();
    } catch (error) {
      if (error instanceof EdgeError) return null;
      throw error;
    }
  }
}
