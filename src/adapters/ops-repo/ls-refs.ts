import { readFile } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import { isOid, type Oid } from '../../domain/ids.ts';
import type { Remote } from './environment.ts';

/**
 * The idle poll of an https remote: one POST of git's protocol v2 (`ls-refs`) that starts no process and gets about
 * 150 bytes back, whatever the size of the repo. It knows success only. Anything else (another protocol, a redirect,
 * an error, a certificate that node does not trust) is answered with null, and git itself is asked, which can say why.
 */
export class LsRefs {
  readonly #remote: Remote;
  readonly #timeoutMs: number;
  readonly #url: URL;
  readonly #agent: http.Agent;

  constructor(remote: Remote, timeoutMs: number) {
    this.#remote = remote;
    this.#timeoutMs = timeoutMs;
    this.#url = new URL(`${remote.url.replace(/\/+$/, '')}/git-upload-pack`);
    this.#agent =
      this.#url.protocol === 'https:' ? new https.Agent({ keepAlive: true }) : new http.Agent({ keepAlive: true });
  }

  /** Ids of those of the refs that exist; null: this way does not work, ask git. Never rejects. */
  async read(refs: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, Oid> | null> {
    const body = await this.#ask(requestBody(refs), LONGEST_ANSWER, signal);
    return body === null ? null : parseRefs(body, refs);
  }

  /** The annotated tags beneath a folder of refs that ends in a slash; null as for `read`. Never rejects. */
  async annotatedTags(folder: string, signal: AbortSignal): Promise<ReadonlyMap<string, Oid> | null> {
    const body = await this.#ask(requestBody([folder], ['peel']), LONGEST_LIST_OF_TAGS, signal);
    return body === null ? null : parseTags(body, folder);
  }

  close(): void {
    this.#agent.destroy();
  }

  async #ask(body: string, longest: number, signal: AbortSignal): Promise<Buffer | null> {
    try {
      return await this.#post({ body, longest }, await this.#authorization(), signal);
    } catch {
      return null;
    }
  }

  async #authorization(): Promise<string | undefined> {
    if (this.#remote.tokenFile === null) return undefined;
    const [token = ''] = (await readFile(this.#remote.tokenFile, 'utf8')).split(/[\r\n]/);
    return `Basic ${Buffer.from(`${this.#remote.username}:${token}`).toString('base64')}`;
  }

  #post(
    { body, longest }: { readonly body: string; readonly longest: number },
    authorization: string | undefined,
    signal: AbortSignal,
  ): Promise<Buffer | null> {
    const { request } = this.#url.protocol === 'https:' ? https : http;
    const headers = {
      'Content-Type': 'application/x-git-upload-pack-request',
      Accept: 'application/x-git-upload-pack-result',
      'Git-Protocol': 'version=2',
      'Content-Length': Buffer.byteLength(body),
      ...(authorization === undefined ? {} : { Authorization: authorization }),
    };
    return new Promise((resolve, reject) => {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(this.#timeoutMs)]);
      const sent = request(this.#url, { method: 'POST', headers, agent: this.#agent, signal: limit }, (response) => {
        const isResult = response.headers['content-type'] === 'application/x-git-upload-pack-result';
        if (response.statusCode !== 200 || !isResult) {
          response.resume();
          resolve(null);
          return;
        }
        readLimited(response, longest).then(resolve, reject);
      });
      sent.once('error', reject);
      sent.end(body);
    });
  }
}

const LONGEST_ANSWER = 1 << 20;
/** Room for ten thousand of them with long names. */
const LONGEST_LIST_OF_TAGS = 4 << 20;

async function readLimited(response: http.IncomingMessage, longest: number): Promise<Buffer | null> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > longest) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

export function requestBody(refs: readonly string[], options: readonly string[] = []): string {
  const lines = [...options, ...refs.map((ref) => `ref-prefix ${ref}`)].map((line) => packet(`${line}\n`));
  return `${packet('command=ls-refs\n')}0001${lines.join('')}0000`;
}

function packet(text: string): string {
  return `${(Buffer.byteLength(text) + 4).toString(16).padStart(4, '0')}${text}`;
}

/** null: not the answer of a server that speaks protocol v2. Prefixes match more than was asked for. */
export function parseRefs(body: Buffer, refs: readonly string[]): ReadonlyMap<string, Oid> | null {
  const lines = parseLines(body);
  return lines && new Map(lines.flatMap(({ id, ref }) => (refs.includes(ref) ? [[ref, id] as const] : [])));
}

/** Only what leads on to another object is an annotated tag. null as for `parseRefs`. */
export function parseTags(body: Buffer, folder: string): ReadonlyMap<string, Oid> | null {
  const tags = parseLines(body)?.filter(({ ref, peeled }) => peeled && ref.startsWith(folder));
  return tags === undefined ? null : new Map(tags.map(({ id, ref }) => [ref, id]));
}

interface RefLine {
  readonly id: Oid;
  readonly ref: string;
  readonly peeled: boolean;
}

function parseLines(body: Buffer): readonly RefLine[] | null {
  const lines: RefLine[] = [];
  let at = 0;
  while (at + 4 <= body.length) {
    const head = body.toString('latin1', at, at + 4);
    if (head === '0000') return at + 4 === body.length ? lines : null;
    const length = /^[0-9a-f]{4}$/.test(head) ? Number.parseInt(head, 16) : 0;
    if (length <= 4 || at + length > body.length) return null;
    const [id = '', ref = '', ...attributes] = body
      .toString('utf8', at + 4, at + length)
      .trimEnd()
      .split(' ');
    if (!isOid(id)) return null;
    lines.push({ id, ref, peeled: attributes.some((attribute) => attribute.startsWith('peeled:')) });
    at += length;
  }
  return null;
}
