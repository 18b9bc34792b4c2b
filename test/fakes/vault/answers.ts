import { randomUUID } from 'node:crypto';

/** What a handler answers: status and, unless it is 204, a JSON value. */
export interface Answer {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Auth {
  readonly client_token: string;
  readonly accessor: string;
  readonly policies: readonly string[];
  readonly token_policies: readonly string[];
  readonly metadata: Readonly<Record<string, string>> | null;
  readonly lease_duration: number;
  readonly renewable: boolean;
  readonly entity_id: string;
  readonly token_type: string;
  readonly orphan: boolean;
  readonly mfa_requirement: null;
  readonly num_uses: number;
}

interface WrapInfo {
  readonly token: string;
  readonly accessor: string;
  readonly ttl: number;
  readonly creation_time: string;
  readonly creation_path: string;
  readonly wrapped_accessor?: string;
}

/** The object around nearly every answer of 200. */
export interface Envelope {
  readonly request_id: string;
  readonly lease_id: '';
  readonly renewable: false;
  readonly lease_duration: 0;
  readonly data: unknown;
  readonly wrap_info: WrapInfo | null;
  readonly warnings: readonly string[] | null;
  readonly auth: Auth | null;
}

interface Parts {
  readonly data?: unknown;
  readonly auth?: Auth;
  readonly warnings?: readonly string[];
  readonly wrapInfo?: WrapInfo;
}

export function envelope({ data = null, auth, warnings = [], wrapInfo }: Parts): Envelope {
  return {
    request_id: wrapInfo === undefined ? randomUUID() : '',
    lease_id: '',
    renewable: false,
    lease_duration: 0,
    data,
    wrap_info: wrapInfo ?? null,
    warnings: warnings.length === 0 ? null : warnings,
    auth: auth ?? null,
  };
}

export const found = (parts: Parts): Answer => ({ status: 200, body: envelope(parts) });
export const done: Answer = { status: 204 };
export const missing: Answer = { status: 404, body: { errors: [] } };

/** As sys/ answers: the data once more at the top. */
export function spread(data: Readonly<Record<string, unknown>>): Answer {
  return { status: 200, body: { ...data, ...envelope({ data }) } };
}

/** A request that ends here with this status and these texts. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly status: number;

  constructor(status: number, text: string) {
    super(text);
    this.status = status;
  }

  get answer(): Answer {
    return { status: this.status, body: { errors: [this.message] } };
  }
}

/** The form of errors that went through a list of errors. */
export const oneOf = (text: string): string => `1 error occurred:\n\t* ${text}\n\n`;

/** The token is unknown, expired, revoked or absent. */
export const badToken = (): Refusal => new Refusal(403, 'permission denied');
/** The token is good and has no right. */
export const noRight = (): Refusal => new Refusal(403, oneOf('permission denied'));
