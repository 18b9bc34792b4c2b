import { z } from 'zod';
import type { SecretState } from '../../../ports/access.ts';
import type { Clock } from '../../../ports/clock.ts';
import { type Answer, expectOk } from './client.ts';
import { isSecretName, metadataFolder, metadataPath, subkeysPath } from './names.ts';
import type { VaultOptions } from './options.ts';
import type { Session } from './session.ts';

const version = z.object({ deletion_time: z.string(), destroyed: z.boolean() });
const metadata = z.object({
  data: z.object({ current_version: z.int(), versions: z.record(z.string(), version).nullish() }),
});
const subkeys = z.object({ data: z.object({ subkeys: z.record(z.string(), z.unknown()).nullable() }) });
const listed = z.object({ data: z.object({ keys: z.array(z.string()) }) });

const CATALOGUE_MS = 60_000;

/** What can be known of the secrets without reading a value: an empty one can't be told from any other. */
export class Secrets {
  readonly #session: Session;
  readonly #options: VaultOptions;
  readonly #clock: Clock;
  #catalogue: { readonly names: readonly string[]; readonly at: number } | null = null;

  constructor(session: Session, options: VaultOptions, clock: Clock) {
    this.#session = session;
    this.#options = options;
    this.#clock = clock;
  }

  /** Errors: TransientError while the store is away, StalledError when it does not know our token or has no mount. */
  async state(name: string, signal?: AbortSignal): Promise<SecretState> {
    if (!isSecretName(name)) return 'missing';
    const doing = `look at the secret ${name}`;
    const answer = await this.#read(doing, metadataPath(this.#options, name), signal);
    const shown = stateByKind(answer);
    if (shown !== null) return shown;
    const { current_version: current, versions } = expectOk(answer, doing, metadata).data;
    const held = versions?.[String(current)];
    if (held === undefined || held.destroyed || this.#hasPassed(held.deletion_time)) return 'missing';
    return await this.#fieldState(name, signal);
  }

  /** Names of all that lie in the folder, at most a minute old. Errors as of `state`, and StalledError without right. */
  async catalogue(signal?: AbortSignal): Promise<readonly string[]> {
    const now = this.#clock.monotonic();
    if (this.#catalogue !== null && now - this.#catalogue.at < CATALOGUE_MS) return this.#catalogue.names;
    const doing = 'list the secrets';
    const answer = await this.#session.send({ doing, method: 'LIST', path: metadataFolder(this.#options), signal });
    const names = answer.kind === 'absent' ? [] : expectOk(answer, doing, listed).data.keys;
    this.#catalogue = { names, at: now };
    return names;
  }

  /** Where subkeys can't be read (a server too old, or no right), the field is taken to be there: the runner tells. */
  async #fieldState(name: string, signal: AbortSignal | undefined): Promise<SecretState> {
    const doing = `look at the fields of the secret ${name}`;
    const answer = await this.#read(doing, subkeysPath(this.#options, name), signal);
    if (answer.kind === 'no-right' || answer.kind === 'no-mount') return 'present';
    const shown = stateByKind(answer);
    if (shown !== null) return shown;
    const fields = expectOk(answer, doing, subkeys).data.subkeys ?? {};
    return Object.hasOwn(fields, this.#options.field) ? 'present' : 'missing';
  }

  #read(doing: string, path: string, signal: AbortSignal | undefined): Promise<Answer> {
    return this.#session.send({ doing, method: 'GET', path, signal });
  }

  /** A deletion may be set for later (delete_version_after). */
  #hasPassed(time: string): boolean {
    return time !== '' && !(Date.parse(time) > this.#clock.now().getTime());
  }
}

/** Null: it is there, and more has to be looked at. */
function stateByKind({ kind }: Answer): SecretState | null {
  if (kind === 'absent' || kind === 'deleted') return 'missing';
  return kind === 'no-right' ? 'denied' : null;
}
