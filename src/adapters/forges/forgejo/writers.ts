import type { Account } from '../../../domain/change.ts';
import { StalledError } from '../../../errors.ts';
import type { Clock } from '../../../ports/clock.ts';
import { Lanes } from '../../lanes.ts';
import { permissionOf } from './admins.ts';
import type { RepoApi } from './api.ts';
import { listOf, type Team, teamSchema, userSchema } from './schemas.ts';

type Signal = AbortSignal | undefined;

export interface WriterTools {
  readonly api: RepoApi;
  /** null: no token may ask for permissions. */
  readonly admins: RepoApi | null;
  readonly clock: Clock;
  /** `owner/name` */
  readonly repo: string;
}

interface List {
  readonly ids: ReadonlySet<number>;
  /** Who is in it may write. */
  readonly isProof: boolean;
}

interface Known<T> {
  readonly value: T;
  readonly at: number;
}

const KNOWN_FOR_MS = 60_000;
const MOST_KNOWN = 1_000;
const WRITING: readonly string[] = ['write', 'admin', 'owner'];
const ASSIGNEES = '/assignees';

/**
 * Who may write to a repository. Administrators may ask for anybody. A writer may only read who can be assigned to an
 * issue: all who may write, but for administrators of the site, and with them members of teams that may only read pull
 * requests, or write issues only; where there is such a team, that list proves nothing.
 */
export class Writers {
  readonly #tools: WriterTools;
  readonly #turns = new Lanes(1);
  readonly #permissions = new Map<string, Known<boolean>>();
  #listed: Known<List> | null = null;

  constructor(tools: WriterTools) {
    this.#tools = tools;
  }

  /** Known for up to a minute. Errors: StalledError, also where the list proves nothing; TransientError. */
  async mayWrite({ id, login }: Account, signal: Signal): Promise<boolean> {
    if (id === null) return false;
    const key = `${id} ${login}`;
    const known = this.#permissions.get(key);
    if (known !== undefined && this.#isFresh(known)) return known.value;
    const told = await this.#askAdmins(id, login, signal);
    if (told === null) return await this.#isListed(id, signal);
    if (this.#permissions.size >= MOST_KNOWN) this.#permissions.clear();
    this.#permissions.set(key, { value: told, at: this.#tools.clock.monotonic() });
    return told;
  }

  /** Who is asked. Errors as of `mayWrite`. */
  async probe(signal: Signal): Promise<'admins' | 'list'> {
    const { api } = this.#tools;
    if ((await this.#askAdmins(0, api.repository.values.owner, signal)) !== null) return 'admins';
    const { isProof } = await this.#list(signal);
    if (isProof) return 'list';
    throw this.#unproved();
  }

  /** null: they may not be asked about this repository. */
  async #askAdmins(id: number, login: string, signal: Signal): Promise<boolean | null> {
    const { admins } = this.#tools;
    if (admins === null) return null;
    try {
      const found = await permissionOf(admins, login, signal);
      return found !== null && found.user.id === id && WRITING.includes(found.permission);
    } catch (error) {
      if (error instanceof StalledError) return null;
      throw error;
    }
  }

  async #isListed(id: number, signal: Signal): Promise<boolean> {
    const { ids, isProof } = await this.#list(signal);
    if (ids.has(id) && !isProof) throw this.#unproved();
    return ids.has(id);
  }

  #list(signal: Signal): Promise<List> {
    return this.#turns.run(async () => {
      if (this.#listed !== null && this.#isFresh(this.#listed)) return this.#listed.value;
      const { api, clock } = this.#tools;
      const found = await api.get({ path: ASSIGNEES, signal }, listOf(userSchema));
      const users = await api.repository.required(found, `GET ${ASSIGNEES}`, signal);
      // 405: it belongs to a person, and has no teams.
      const teams = await api.get({ path: '/teams', absent: [404, 405], signal }, listOf(teamSchema));
      const value = { ids: new Set(users.map((user) => user.id)), isProof: !(teams ?? []).some(hasOtherAssignees) };
      this.#listed = { value, at: clock.monotonic() };
      return value;
    }, signal);
  }

  #isFresh({ at }: Known<unknown>): boolean {
    return this.#tools.clock.monotonic() - at < KNOWN_FOR_MS;
  }

  #unproved(): StalledError {
    const { repo } = this.#tools;
    const message = `the forge: who may write to ${repo} can not be told: it has teams that may only read some of it`;
    const who = `an administrator of ${repo}`;
    return new StalledError('ERR_FORGE_DENIED', message, {
      hint: `Set admin_token_file of [forge] to a token of ${who} with the scope read:repository.`,
    });
  }
}

/** Its members may not write to the repository, and can be assigned all the same. */
function hasOtherAssignees({ permission, units_map: units }: Team): boolean {
  const code = units?.['repo.code'] ?? permission;
  if (WRITING.includes(code)) return false;
  if (units === undefined || units === null) return true;
  return units['repo.pulls'] === 'read' || Object.values(units).some((right) => WRITING.includes(right));
}
