import { z } from 'zod';

/**
 * The single-use ticket of `file` access: what a response-wrapped token is for Vault. It lies as `<ticket>.json` in the
 * ticket directory; whoever renames it to `<ticket>.used` first has redeemed it, everybody else finds nothing.
 */
export const ticketSchema = z.strictObject({
  v: z.literal(1),
  attempt: z.string().regex(/^[0-9a-f]{32}$/),
  blobs: z.strictObject({ action: z.string(), formula: z.string() }),
  expires_at: z.iso.datetime(),
  /** Where the value of each granted name lies: absolute paths of 0600 files. */
  secrets: z.record(z.string(), z.string()),
});
export type Ticket = z.infer<typeof ticketSchema>;

export const TICKET_CREATION_PATH = 'file/ticket';
export const ticketFile = (ticket: string) => `${ticket}.json`;
export const usedTicketFile = (ticket: string) => `${ticket}.used`;
/** 32 random bytes as hex; checked by whoever builds a path of it. */
export const isTicket = (text: string) => /^[0-9a-f]{64}$/.test(text);
