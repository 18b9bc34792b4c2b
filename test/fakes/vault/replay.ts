import { readFileSync } from 'node:fs';
import { record, text } from './values.ts';

/** Plays a recording of OpenBao against another server and sets both answers side by side, as far as they can agree. */

interface Exchange {
  readonly note: string;
  readonly request: {
    readonly method: string;
    readonly path: string;
    readonly query?: Readonly<Record<string, string>>;
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: unknown;
    /** Of a recording of more than one server: what is not OpenBao's. */
    readonly server?: string;
  };
  readonly response: { readonly status: number; readonly body: unknown };
}

export interface Compared {
  readonly note: string;
  readonly recorded: Normal;
  readonly answered: Normal;
}

interface Normal {
  readonly status: number;
  readonly body: unknown;
}

export interface Reply {
  readonly status: number;
  readonly body: unknown;
}

const FOLDER = new URL('../../fixtures/recordings/openbao/', import.meta.url);
const IDS = ['id', 'token', 'client_token', 'accessor', 'wrapped_accessor'];
const CHANCE = ['request_id', 'cluster_name', 'cluster_id', 'entity_id'];
const TIMES = [
  'created_time',
  'updated_time',
  'deletion_time',
  'creation_time',
  'expire_time',
  'issue_time',
  'modified',
];
/** Lookups come some milliseconds or, of the daemon's token, some seconds later than in the recording. */
const TTL_STEP = 40;

export function recording(name: string): readonly Exchange[] {
  const { exchanges } = JSON.parse(readFileSync(new URL(`${name}.json`, FOLDER), 'utf8')) as { exchanges: Exchange[] };
  return exchanges.filter(({ request }) => request.server === undefined);
}

/** The lines that a task printed, of the exchanges that are Nomad's. */
export function printedLines(name: string): readonly (readonly string[])[] {
  const { exchanges } = JSON.parse(readFileSync(new URL(`${name}.json`, FOLDER), 'utf8')) as { exchanges: Exchange[] };
  return exchanges.flatMap(({ request, response }) =>
    request.server !== undefined && Array.isArray(response.body) ? [response.body.map(String)] : [],
  );
}

/** What stands for what: names and accessors of the recording, and the ones of this run. */
export class Replay {
  readonly #origin: string;
  readonly #names = new Map<string, string>();

  constructor(origin: string) {
    this.#origin = origin;
  }

  bind(recorded: string, here: string): void {
    this.#names.set(recorded, here);
  }

  async send(request: Exchange['request']): Promise<Reply> {
    const query = new URLSearchParams(request.query).toString();
    const headers = Object.entries(request.headers ?? {}).map(([key, value]) => [key, this.#here(value)] as const);
    const response = await fetch(`${this.#origin}${request.path}${query === '' ? '' : `?${query}`}`, {
      method: request.method,
      headers: Object.fromEntries(headers),
      redirect: 'manual',
      ...(request.body === undefined ? {} : { body: JSON.stringify(this.#translated(request.body)) }),
    });
    const body = await response.text();
    return { status: response.status, body: body === '' ? '' : (JSON.parse(body) as unknown) };
  }

  async play({ note, request, response }: Exchange): Promise<Compared> {
    const reply = await this.send(request);
    this.#learn(response.body, reply.body);
    return { note, recorded: normal(response), answered: normal(reply) };
  }

  #here(recorded: string): string {
    return this.#names.get(recorded) ?? recorded;
  }

  #translated(value: unknown): unknown {
    if (typeof value === 'string') return this.#here(value);
    if (Array.isArray(value)) return value.map((item) => this.#translated(item));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, this.#translated(inner)]));
  }

  /** Later requests name what these answers brought. */
  #learn(recorded: unknown, answered: unknown): void {
    const here = record(answered);
    for (const [key, value] of Object.entries(record(recorded))) {
      if (IDS.includes(key) && text(value) !== '' && text(here[key]) !== '') this.bind(text(value), text(here[key]));
      else this.#learn(value, here[key]);
    }
  }
}

/** Ids, times and chance replaced by their names. */
export function normal({ status, body }: Reply): Normal {
  return { status, body: named('', body) };
}

function named(key: string, value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => named('', item));
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([inner, item]) => [inner, named(inner, item)]));
  }
  return value === '' || value === null ? value : leaf(key, value);
}

function leaf(key: string, value: unknown): unknown {
  if (IDS.includes(key) || CHANCE.includes(key)) return `<${key}>`;
  if (TIMES.includes(key)) return typeof value === 'number' ? '<seconds>' : timeOrValue(value);
  if (key === 'server_time_utc') return '<seconds>';
  return key === 'ttl' && typeof value === 'number' ? Math.ceil(value / TTL_STEP) * TTL_STEP : value;
}

const timeOrValue = (value: unknown): unknown =>
  /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,9}Z$/.test(String(value)) ? '<time>' : value;
