import { Refusal } from './answers.ts';
import { record, seconds } from './values.ts';

type Operation = 'read' | 'list' | 'update' | 'delete';

/** One request as handlers see it. */
export interface Call {
  readonly operation: Operation;
  /** Without `/v1/`; of a list always with a slash at its end. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: Readonly<Record<string, unknown>>;
  /** The token as sent; empty: none. */
  readonly token: string;
  /** In seconds; undefined: no wrapping asked for. */
  readonly wrapTtl: number | undefined;
  readonly remote: string;
}

/** One request as it came off the wire. */
export interface RawRequest {
  readonly method: string;
  readonly url: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: string;
  readonly remote: string;
}

const OPERATIONS: Readonly<Record<string, Operation>> = {
  GET: 'read',
  LIST: 'list',
  POST: 'update',
  PUT: 'update',
  DELETE: 'delete',
};

/** Throws Refusal when it is no request of the API. */
export function readCall(raw: RawRequest): Call {
  const url = new URL(raw.url, 'http://fake');
  const named = OPERATIONS[raw.method];
  if (named === undefined) throw new Refusal(405, '');
  const operation = named === 'read' && url.searchParams.get('list') === 'true' ? 'list' : named;
  const path = decodeURIComponent(url.pathname).replace(/^\/v1\//, '');
  return {
    operation,
    path: operation === 'list' && !path.endsWith('/') ? `${path}/` : path,
    query: url.searchParams,
    body: bodyOf(raw.body),
    token: raw.headers['x-vault-token'] ?? raw.headers['authorization']?.replace(/^Bearer /, '') ?? '',
    wrapTtl: wrapTtlOf(raw.headers['x-vault-wrap-ttl']),
    remote: raw.remote,
  };
}

function bodyOf(body: string): Readonly<Record<string, unknown>> {
  if (body.trim() === '') return {};
  try {
    const value: unknown = JSON.parse(body);
    return record(value);
  } catch {
    throw new Refusal(400, `failed to decode JSON input: invalid character '${body.trim().charAt(1)}'`);
  }
}

function wrapTtlOf(header: string | undefined): number | undefined {
  if (header === undefined || header === '') return undefined;
  try {
    return seconds(header);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    throw new Refusal(400, `error parsing X-Vault-Wrap-TTL header: ${error.message}`);
  }
}
