import { existsSync } from 'node:fs';
import { readFile, rename } from 'node:fs/promises';
import path from 'node:path';
import type { AccessFragment } from '../domain/payload.ts';
import { isTicket, type Ticket, ticketFile, ticketSchema, usedTicketFile } from '../domain/ticket.ts';
import type { Redemption } from './redemption.ts';
import { errorCode, RunnerError } from './runner-error.ts';

/** `file` access: the ticket is redeemed by renaming it, which succeeds for one of all who try. */
export async function redeemTicket(access: AccessFragment): Promise<Redemption> {
  if (!isTicket(access.wrapping_token)) throw new RunnerError('ERR_PAYLOAD', 'the payload names no ticket');
  const ticket = await readTicket(await takeTicket(access));
  if (Date.parse(ticket.expires_at) <= Date.now()) {
    throw new RunnerError('ERR_WRAPPER_EXPIRED', `the ticket was good until ${ticket.expires_at}; nothing was started`);
  }
  return {
    attempt: ticket.attempt,
    blobs: ticket.blobs,
    names: Object.keys(ticket.secrets),
    read: (name) => readSecretFile(name, ticket),
    close: async () => {},
  };
}

/** The file of the redeemed ticket. */
async function takeTicket(access: AccessFragment): Promise<string> {
  const used = path.join(access.address, usedTicketFile(access.wrapping_token));
  try {
    await rename(path.join(access.address, ticketFile(access.wrapping_token)), used);
    return used;
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') {
      throw new RunnerError('ERR_VAULT_UNAVAILABLE', `the ticket can't be redeemed (${errorCode(error) ?? 'error'})`);
    }
    const what = existsSync(used) ? 'the ticket was redeemed before' : 'somebody took the ticket away';
    throw new RunnerError('ERR_WRAPPER_USED', `${what}; nothing was started`);
  }
}

async function readTicket(file: string): Promise<Ticket> {
  try {
    return ticketSchema.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch {
    throw new RunnerError('ERR_VAULT_UNAVAILABLE', "the ticket is redeemed, but it can't be read; nothing was started");
  }
}

async function readSecretFile(name: string, ticket: Ticket): Promise<Uint8Array> {
  const file = Object.hasOwn(ticket.secrets, name) ? ticket.secrets[name] : undefined;
  if (file === undefined) throw new RunnerError('ERR_SECRET_DENIED', `${name} is not granted`);
  try {
    return await readFile(file);
  } catch (error) {
    const code = errorCode(error) ?? 'error';
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      throw new RunnerError('ERR_SECRET_MISSING', `${name} is not in the store`);
    }
    throw new RunnerError('ERR_SECRET_DENIED', `${name} can't be read from the store (${code})`);
  }
}
