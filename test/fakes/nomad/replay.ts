import { readFileSync } from 'node:fs';

/** Recorded exchanges of a real Nomad, sent again to the fake: ids and times are made equal, all else has to be. */

export interface Exchange {
  readonly note: string;
  readonly request: {
    readonly method: string;
    readonly path: string;
    readonly query?: Readonly<Record<string, unknown>> | string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: unknown;
  };
  readonly response: {
    readonly status: number;
    readonly headers: Readonly<Record<string, string>>;
    readonly body: unknown;
  };
}

export interface Recording {
  readonly exchanges: readonly Exchange[];
  readonly events?: readonly { readonly Index: number; readonly Events: readonly { readonly Type: string }[] }[];
}

/** What is compared of an answer. */
export interface Compared {
  readonly note: string;
  readonly status: number;
  readonly type: string | undefined;
  readonly body: unknown;
}

const RECORDINGS = new URL('../../fixtures/recordings/nomad/', import.meta.url);
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const CHILD = /dispatch-((?:[a-z0-9-]+-)?)\d{10}-[0-9a-f]{8}/g;
/** Counted, measured or drawn: only whether there is one is compared. */
const COUNTED = /(Index|Time|^WaitUntil|^AllocationTime|^Hash|^AccessorID|At|^LastRestart)$/;
/** Of the machine or the job that was recorded. */
const ELSEWHERE =
  /^(ScoreMetaData|ClassEligibility|NomadTokenID|AllocatedResources|Resources|SharedResources|TaskResources|ResourcesExhausted|DispatchIdempotencyToken)$/;

export function recording(name: string): Recording {
  return JSON.parse(readFileSync(new URL(`${name}.json`, RECORDINGS), 'utf8')) as Recording;
}

/** Sends exchanges to one server, and knows which of its ids stands for which recorded one. */
export class Replay {
  readonly #address: string;
  readonly #ids = new Map<string, string>();

  constructor(address: string) {
    this.#address = address;
  }

  /** This id of the recording is that one here. */
  know(recorded: string, here: string): void {
    this.#ids.set(recorded, here);
  }

  /** What was recorded, and what the server answers now. */
  async send({
    note,
    request,
    response,
  }: Exchange): Promise<{ readonly expected: Compared; readonly actual: Compared }> {
    const answer = await fetch(`${this.#address}${this.#translated(request.path)}${this.#query(request.query)}`, {
      method: request.method,
      headers: { ...request.headers },
      ...(request.body === undefined ? {} : { body: textOf(request.body) }),
    });
    const body = parsed(await answer.text());
    this.#learn(response.body, body);
    return {
      expected: { note, status: response.status, type: response.headers['content-type'], body: normal(response.body) },
      actual: {
        note,
        status: answer.status,
        type: answer.headers.get('content-type') ?? undefined,
        body: aligned(normal(response.body), normal(body)),
      },
    };
  }

  #query(query: Exchange['request']['query']): string {
    if (query === undefined) return '';
    if (typeof query === 'string') return `?${query}`;
    const pairs = Object.entries(query).map(([key, value]) => [key, this.#translated(String(value))]);
    return `?${new URLSearchParams(Object.fromEntries(pairs)).toString()}`;
  }

  #translated(text: string): string {
    return [...this.#ids].reduce((so, [recorded, here]) => {
      return so.replaceAll(recorded, here).replaceAll(encodeURIComponent(recorded), encodeURIComponent(here));
    }, text);
  }

  /** The same place in both answers holds the same thing. */
  #learn(recorded: unknown, here: unknown): void {
    if (typeof recorded === 'string' && typeof here === 'string') {
      const isId = UUID.test(recorded) || /\/dispatch-/.test(recorded);
      if (isId && !this.#ids.has(recorded)) this.#ids.set(recorded, here);
    } else if (isRecord(recorded) && isRecord(here)) {
      for (const [key, value] of Object.entries(recorded)) this.#learn(value, here[key]);
    }
  }
}

/** Without what differs between two runs of the same server. */
export function normal(value: unknown, key = ''): unknown {
  if (ELSEWHERE.test(key)) return `<${key}>`;
  if (COUNTED.test(key) && !isRecord(value)) return value ? `<${key}>` : value;
  if (typeof value === 'string') return normalText(value);
  if (Array.isArray(value)) return value.map((one) => normal(one)).toSorted(byTrigger);
  if (!isRecord(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, normal(field, name)]));
}

/** `actual` without what the recording has left out. */
export function aligned(expected: unknown, actual: unknown): unknown {
  if (typeof expected === 'string' && expected.startsWith('(left out')) return expected;
  if (Array.isArray(expected) && Array.isArray(actual)) return actual.map((one, at) => aligned(expected[at], one));
  if (!isRecord(expected) || !isRecord(actual)) return actual;
  const isTrimmed = '(trimmed)' in expected;
  const kept = Object.entries(actual).filter(([key]) => !isTrimmed || key in expected);
  const fields = kept.map(([key, value]) => [key, aligned(expected[key], value)] as const);
  return { ...Object.fromEntries(fields), ...(isTrimmed ? { '(trimmed)': true } : {}) };
}

function normalText(text: string): string {
  if (UUID.test(text)) return '<uuid>';
  return text
    .replaceAll(CHILD, 'dispatch-$1<id>')
    .replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, '<uuid>')
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<time>')
    .replaceAll(/127\.0\.0\.1:\d+$/g, '<address>');
}

/** Evaluations of a job come in no order. */
function byTrigger(one: unknown, two: unknown): number {
  const triggerOf = (value: unknown) => (isRecord(value) ? JSON.stringify(value['TriggeredBy'] ?? '') : '');
  return triggerOf(one).localeCompare(triggerOf(two));
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

function textOf(body: unknown): string {
  return typeof body === 'string' ? body : JSON.stringify(body);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
