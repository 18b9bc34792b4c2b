import { randomBytes } from 'node:crypto';
import { readdir, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { sha256 } from '../../../domain/ids.ts';
import { isTicket, type Ticket, ticketFile, ticketSchema, usedTicketFile } from '../../../domain/ticket.ts';
import { isErrno, mkdirDurably, syncDirectory, writeDurably } from '../../durable-file.ts';

/** The accessor names the ticket and can't be turned back into it, so it may stand in the journal. */
export const accessorOf = (ticket: string): string => sha256(ticket);

/** How long a ticket that nobody claimed or revoked is kept after its expiry. */
const KEPT_MS = 24 * 3600 * 1000;

/**
 * The ticket directory: `<ticket>.json` is unread, `<ticket>.used` was redeemed. The rename from one to the other is the
 * redemption; the file system lets exactly one succeed. All throws are Node's own errors.
 */
export class Tickets {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  /** Answers the new ticket once it is on disk. */
  async mint(content: Ticket): Promise<string> {
    const ticket = randomBytes(32).toString('hex');
    await mkdirDurably(this.directory);
    await writeDurably(this.#unread(ticket), JSON.stringify(content));
    return ticket;
  }

  /** What an unread ticket grants; null: there is none. */
  readUnread(ticket: string): Promise<Ticket | null> {
    return isTicket(ticket) ? readTicket(this.#unread(ticket)) : Promise.resolve(null);
  }

  /** Takes the ticket out of the world; null: somebody else did, or it never was. */
  async redeem(ticket: string): Promise<Ticket | null> {
    if (!isTicket(ticket)) return null;
    try {
      await rename(this.#unread(ticket), this.#used(ticket));
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return null;
      throw error;
    }
    await syncDirectory(this.directory);
    return await readTicket(this.#used(ticket));
  }

  /** The ticket, used or not, that an accessor names; null: it is gone. */
  async find(accessor: string): Promise<{ readonly ticket: string; readonly content: Ticket | null } | null> {
    const ticket = (await this.#all()).find((candidate) => accessorOf(candidate) === accessor);
    if (ticket === undefined) return null;
    return { ticket, content: await this.#readEither(ticket) };
  }

  /** Gone for good when it answers; already gone is no error. */
  async remove(ticket: string): Promise<void> {
    // In this order: a redemption at the same time makes the second name of the first.
    await rm(this.#unread(ticket), { force: true });
    await rm(this.#used(ticket), { force: true });
    await syncDirectory(this.directory);
  }

  /** Removes what expired more than KEPT_MS before `now`; answers how many. */
  async sweep(now: Date): Promise<number> {
    let removed = 0;
    for (const ticket of await this.#all()) {
      const content = await this.#readEither(ticket);
      if (content === null || Date.parse(content.expires_at) + KEPT_MS >= now.getTime()) continue;
      await this.remove(ticket);
      removed += 1;
    }
    return removed;
  }

  async #readEither(ticket: string): Promise<Ticket | null> {
    return (await readTicket(this.#unread(ticket))) ?? (await readTicket(this.#used(ticket)));
  }

  async #all(): Promise<readonly string[]> {
    try {
      const stems = (await readdir(this.directory)).map((name) => path.parse(name).name);
      return [...new Set(stems.filter(isTicket))];
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return [];
      throw error;
    }
  }

  #unread(ticket: string): string {
    return path.join(this.directory, ticketFile(ticket));
  }

  #used(ticket: string): string {
    return path.join(this.directory, usedTicketFile(ticket));
  }
}

/** null: not there, or no ticket of ours. */
async function readTicket(file: string): Promise<Ticket | null> {
  try {
    return ticketSchema.safeParse(JSON.parse(await readFile(file, 'utf8'))).data ?? null;
  } catch (error) {
    if (error instanceof SyntaxError || isErrno(error, 'ENOENT')) return null;
    throw error;
  }
}
