import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Rights } from './acl.ts';

/** One request, read. */
export interface Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly method: string;
  /** Parts of the path that its route names, decoded. */
  readonly parts: readonly string[];
  readonly query: URLSearchParams;
  readonly body: Buffer;
  readonly namespace: string;
  readonly rights: Rights;
}

/** `text` or `json`; null: the route has taken the response. */
export type Answer = {
  readonly status?: number;
  readonly text?: string;
  readonly json?: unknown;
  /** X-Nomad-Index; with `isRead` also the two headers of a query. */
  readonly index?: number;
  readonly isRead?: boolean;
  readonly headers?: Readonly<Record<string, string>>;
} | null;

/** An answer that is no success; thrown. */
export class Refusal extends Error {
  readonly status: number;
  readonly index: number | undefined;

  constructor(status: number, text: string, index?: number) {
    super(text);
    this.status = status;
    this.index = index;
  }
}

export function denied(): Refusal {
  return new Refusal(403, 'Permission denied');
}

export function notFound(what: 'job' | 'alloc' | 'eval', index: number): Refusal {
  return new Refusal(404, `${what} not found`, index);
}

export function read(json: unknown, index: number, headers: Readonly<Record<string, string>> = {}): Answer {
  return { json, index, isRead: true, headers };
}

export function sendAnswer(response: ServerResponse, answer: NonNullable<Answer>): void {
  const { status = 200, text, json, index, isRead } = answer;
  const type = text === undefined ? 'application/json' : 'text/plain; charset=utf-8';
  const headers: Record<string, string> = {
    ...(text === '' ? {} : { 'content-type': type }),
    ...(index === undefined ? {} : { 'x-nomad-index': String(index) }),
    ...(isRead ? { 'x-nomad-knownleader': 'true', 'x-nomad-lastcontact': '0' } : {}),
    ...answer.headers,
  };
  const body = Buffer.from(text ?? JSON.stringify(json));
  response.writeHead(status, { ...headers, 'content-length': String(body.length) });
  response.end(body);
}

export async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** The JSON of the body; the two texts of the server for what is none. */
export function jsonOf(call: Call): Readonly<Record<string, unknown>> {
  if (call.body.length === 0) throw new Refusal(400, 'Request body is empty');
  try {
    const value: unknown = JSON.parse(call.body.toString('utf8'));
    if (typeof value === 'object' && value !== null) return value as Readonly<Record<string, unknown>>;
  } catch {
    // Told below.
  }
  throw new Refusal(400, 'unexpected EOF');
}

/** A field that should be text. */
export function textOf(value: unknown, fallback = ''): string {
  return typeof value === 'string' ? value : fallback;
}
