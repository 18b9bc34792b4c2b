import path from 'node:path';
import { z } from 'zod';
import type { Check } from '../../domain/check.ts';
import { BASE_POLICY, secretPolicy } from '../../domain/grant-policies.ts';
import type { AttemptToken } from '../../domain/ids.ts';
import type { AccessFragment } from '../../domain/payload.ts';
import { TICKET_CREATION_PATH, type Ticket } from '../../domain/ticket.ts';
import { EdgeError, StalledError, TransientError, toError } from '../../errors.ts';
import type { Access, Consumption, Grant, GrantRequest, SecretState } from '../../ports/access.ts';
import type { Clock } from '../../ports/clock.ts';
import { isErrno } from '../durable-file.ts';
import type { Tools } from '../factory.ts';
import { stateLayout } from '../state-dir.ts';
import { checkDirectories } from './file/checks.ts';
import { isSecretName, secretFile, secretState } from './file/secret-files.ts';
import { accessorOf, Tickets } from './file/tickets.ts';

const options = z.strictObject({
  /** One 0600 file a secret; empty: state_dir/secrets. */
  dir: z.string().default(''),
});

/**
 * The embedded default: secrets are files of this machine, and a run gets a ticket that names the ones it may read. The
 * dispatcher handles names and paths only; the runner opens the files.
 */
export const file = {
  options,
  create: ({ dir }: z.output<typeof options>, tools: Tools): Access => new FileAccess(dir, tools),
};

const SWEEP_EVERY_MS = 3600 * 1000;

class FileAccess implements Access {
  readonly kind = 'file';
  readonly #secrets: string;
  readonly #tickets: Tickets;
  readonly #clock: Clock;
  // Not before an hour has passed: what an earlier process claimed is asked for first, and its tickets are the proof.
  #sweptAt: number;

  constructor(dir: string, { stateDir, clock }: Tools) {
    const layout = stateLayout(stateDir);
    this.#secrets = dir === '' ? layout.secrets : path.resolve(dir);
    this.#tickets = new Tickets(layout.tickets);
    this.#clock = clock;
    this.#sweptAt = clock.monotonic();
  }

  check(): Promise<readonly Check[]> {
    return checkDirectories(this.#secrets, this.#tickets.directory);
  }

  states(names: readonly string[]): Promise<ReadonlyMap<string, SecretState>> {
    return orUnavailable(async () => {
      const entries = names.map(async (name) => [name, await secretState(this.#secrets, name)] as const);
      return new Map(await Promise.all(entries));
    });
  }

  grant(request: GrantRequest): Promise<Grant> {
    return orUnavailable(async () => {
      await this.#sweepNowAndThen();
      const issued = this.#clock.now();
      const expiresAt = new Date(issued.getTime() + request.wrapSeconds * 1000).toISOString();
      const secrets = this.#pathsOf(request.secrets);
      const { token: attempt, blobs } = request;
      const ticket = await this.#tickets.mint({ v: 1, attempt, blobs, expires_at: expiresAt, secrets });
      return {
        fragment: this.#fragmentOf(ticket, expiresAt, secrets),
        accessor: accessorOf(ticket),
        policies: [BASE_POLICY, ...request.secrets.map(secretPolicy)].sort(),
        issuedAt: issued.toISOString(),
        expiresAt,
      };
    });
  }

  async verify(request: GrantRequest, { fragment, expiresAt }: Grant): Promise<void> {
    const found = await orUnavailable(() => this.#tickets.readUnread(fragment.wrapping_token));
    if (found === null) throw notAsAsked('the ticket is not there, or was used already');
    const { token: attempt, blobs } = request;
    const asked: Ticket = { v: 1, attempt, blobs, expires_at: expiresAt, secrets: this.#pathsOf(request.secrets) };
    if (canonical(found) !== canonical(asked)) throw notAsAsked('the ticket is not the one that was asked for');
    const told = canonical(this.#fragmentOf(fragment.wrapping_token, expiresAt, asked.secrets));
    if (canonical(fragment) !== told) throw notAsAsked('the payload names other secrets than the ticket');
    const states = await this.states(request.secrets);
    const absent = request.secrets.filter((name) => states.get(name) !== 'present');
    if (absent.length > 0) throw notAsAsked(`not readable any more: ${absent.join(', ')}`);
  }

  /** Asks our own directory and not the fragment's: a moved state_dir takes its tickets along. */
  consume(fragment: AccessFragment): Promise<Consumption> {
    return orUnavailable(async () => {
      if (fragment.kind !== this.kind) {
        throw new StalledError('ERR_ACCESS_DENIED', `the payload's access is ${fragment.kind}, not file`);
      }
      const ticket = await this.#tickets.redeem(fragment.wrapping_token);
      if (ticket === null) return 'used';
      return Date.parse(ticket.expires_at) <= this.#clock.now().getTime() ? 'expired' : 'consumed';
    });
  }

  revoke(accessor: string, token: AttemptToken): Promise<string> {
    return orUnavailable(async () => {
      const found = await this.#tickets.find(accessor);
      if (found !== null) {
        if (found.content !== null && found.content.attempt !== token) throw notAsAsked('it is of another attempt');
        await this.#tickets.remove(found.ticket);
      }
      return this.#clock.now().toISOString();
    });
  }

  #pathsOf(names: readonly string[]): Record<string, string> {
    const strange = names.find((name) => !isSecretName(name));
    if (strange !== undefined) throw notAsAsked(`not a name of a secret: ${JSON.stringify(strange)}`);
    return Object.fromEntries(names.map((name) => [name, secretFile(this.#secrets, name)]));
  }

  #fragmentOf(ticket: string, expiresAt: string, secrets: Record<string, string>): AccessFragment {
    const fields = Object.entries(secrets).map(([name, where]) => [name, { path: where, field: '' }] as const);
    return {
      kind: this.kind,
      address: this.#tickets.directory,
      namespace: '',
      wrapping_token: ticket,
      creation_path: TICKET_CREATION_PATH,
      wrap_expires_at: expiresAt,
      secrets: Object.fromEntries(fields),
    };
  }

  async #sweepNowAndThen(): Promise<void> {
    const now = this.#clock.monotonic();
    if (now - this.#sweptAt < SWEEP_EVERY_MS) return;
    this.#sweptAt = now;
    await this.#tickets.sweep(this.#clock.now());
  }
}

const notAsAsked = (what: string): StalledError => new StalledError('ERR_ACCESS_DENIED', `the grant: ${what}`);

/** Equal text for equal content, whatever the order of its keys. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) => {
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

async function orUnavailable<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof EdgeError) throw error;
    const message = `the secret files: ${withoutPath(error)}`;
    if (isErrno(error, 'EACCES', 'EPERM')) throw new StalledError('ERR_ACCESS_DENIED', message);
    throw new TransientError('ERR_ACCESS_UNAVAILABLE', message);
  }
}

/** The system's own messages quote the path, and that of a ticket is the ticket. */
function withoutPath(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : toError(error).message;
}
