import { parseAction } from '../domain/action.ts';
import { cancelPath } from '../domain/cancel.ts';
import type { Oid } from '../domain/ids.ts';
import { EdgeError, InvalidError } from '../errors.ts';
import type { OpsRepo } from '../ports/ops-repo.ts';
import type { InForce } from '../story/in-force.ts';
import type { Candidate, World } from '../story/world.ts';

/** What of the world a verdict on one action rests upon, beside what people say elsewhere. */
export interface ActionFacts {
  /** Another text: another verdict may be due. */
  readonly text: string;
  /** Wall time in milliseconds from which it may be another one by itself; Infinity: never. */
  readonly changesAt: number;
  /** Somebody wants it cancelled by a file of the branch; whether that counts, people may say at any time. */
  readonly isWished: boolean;
}

interface Parsed {
  readonly dependsOn: readonly string[];
  /** `not_before` and `expires_at`, in milliseconds. */
  readonly times: readonly number[];
}

const DAY_MS = 86_400_000;

/** Reads each version of a file once, so that what is known of a thousand waiting actions costs nothing while they wait. */
export class FactBook {
  readonly #opsRepo: Pick<OpsRepo, 'read'>;
  readonly #approvalMs: number;
  readonly #parsed = new Map<Oid, Parsed>();
  readonly #inForce = new WeakMap<InForce, number>();
  #versions = 0;

  constructor(opsRepo: Pick<OpsRepo, 'read'>, approvalDays: number) {
    this.#opsRepo = opsRepo;
    this.#approvalMs = approvalDays * DAY_MS;
  }

  /** null: its file can't be read now. */
  async of(candidate: Candidate, world: World, now: Date): Promise<ActionFacts | null> {
    const parsed = await this.#parse(candidate);
    if (parsed === null) return null;
    const { id, file, commit, committedAt, duplicates } = candidate;
    const { catalogue, candidates, journal, tips } = world;
    const wish = world.cancels.get(cancelPath(file.path));
    const text = [
      [file.path, file.entry.kind, file.entry.oid, commit, ...duplicates],
      [this.#version(world.inForce), tips.descends, world.everRecorded(id)],
      [journal.entries.get(id)?.token, journal.ended.get(id)?.token],
      [wish?.entry.oid, wish?.commit],
      parsed.dependsOn.map((other) => [catalogue.result(other)?.oid, candidates.get(other)?.file.entry.oid]),
    ];
    const times = [...parsed.times, Date.parse(committedAt) + this.#approvalMs].filter((time) => time > now.getTime());
    return { text: JSON.stringify(text), changesAt: Math.min(Infinity, ...times), isWished: wish !== undefined };
  }

  /** Forgets all files but these. */
  retain(blobs: ReadonlySet<Oid>): void {
    for (const blob of this.#parsed.keys()) if (!blobs.has(blob)) this.#parsed.delete(blob);
  }

  async #parse({ file }: Candidate): Promise<Parsed | null> {
    const { oid, kind } = file.entry;
    const before = this.#parsed.get(oid);
    if (before !== undefined) return before;
    if (kind !== 'file' && kind !== 'executable') return NOTHING;
    try {
      const action = parseAction(await this.#opsRepo.read(oid), file.path);
      const parsed = action.ok ? parsedOf(action.value) : NOTHING;
      this.#parsed.set(oid, parsed);
      return parsed;
    } catch (error) {
      if (error instanceof InvalidError) return NOTHING;
      if (error instanceof EdgeError) return null;
      throw error;
    }
  }

  #version(inForce: InForce): number {
    const known = this.#inForce.get(inForce);
    if (known !== undefined) return known;
    this.#versions += 1;
    this.#inForce.set(inForce, this.#versions);
    return this.#versions;
  }
}

const NOTHING: Parsed = { dependsOn: [], times: [] };

function parsedOf(action: {
  readonly depends_on: readonly string[];
  readonly not_before: string | null;
  readonly expires_at: string | null;
}): Parsed {
  const times = [action.not_before, action.expires_at].flatMap((time) => (time === null ? [] : [Date.parse(time)]));
  return { dependsOn: action.depends_on, times };
}
