import { readFile } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import type { Remote } from './environment.ts';

export interface SmartRequest {
  /** Behind the address of the repo. */
  readonly place: 'git-upload-pack' | 'info/refs?service=git-upload-pack';
  /** Absent: a GET. */
  readonly body?: string;
  /** Bytes; of a longer answer nothing is taken. */
  readonly longest: number;
}

/**
 * Requests of git's protocol v2 to an https remote without a git process. It knows success only: anything else (another
 * protocol, a redirect, an error, a certificate that node does not trust, an answer that is too long or takes too long)
 * is answered with null, and git itself is asked, which can say why.
 */
export class SmartHttp {
  readonly #remote: Remote;
  readonly #timeoutMs: number;
  readonly #base: string;
  readonly #agent: http.Agent;

  constructor(remote: Remote, timeoutMs: number) {
    this.#remote = remote;
    this.#timeoutMs = timeoutMs;
    this.#base = remote.url.replace(/\/+$/, '');
    this.#agent = this.#base.startsWith('https:')
      ? new https.Agent({ keepAlive: true })
      : new http.Agent({ keepAlive: true });
  }

  /** The body of the answer. Never rejects. */
  async ask(wanted: SmartRequest, signal: AbortSignal): Promise<Buffer | null> {
    try {
      return await this.#send(wanted, await this.#authorization(), signal);
    } catch {
      return null;
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  async #authorization(): Promise<string | undefined> {
    if (this.#remote.tokenFile === null) return undefined;
    const [token = ''] = (await readFile(this.#remote.tokenFile, 'utf8')).split(/[\r\n]/);
    return `Basic ${Buffer.from(`${this.#remote.username}:${token}`).toString('base64')}`;
  }

  #send(
    { place, body, longest }: SmartRequest,
    authorization: string | undefined,
    signal: AbortSignal,
  ): Promise<Buffer | null> {
    const url = new URL(`${this.#base}/${place}`);
    const { request } = url.protocol === 'https:' ? https : http;
    const kind = body === undefined ? 'advertisement' : 'result';
    const headers = {
      Accept: `application/x-git-upload-pack-${kind}`,
      'Git-Protocol': 'version=2',
      ...(authorization === undefined ? {} : { Authorization: authorization }),
      ...(body === undefined
        ? {}
        : { 'Content-Type': 'application/x-git-upload-pack-request', 'Content-Length': Buffer.byteLength(body) }),
    };
    const method = body === undefined ? 'GET' : 'POST';
    return new Promise((resolve, reject) => {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(this.#timeoutMs)]);
      const sent = request(url, { method, headers, agent: this.#agent, signal: limit }, (response) => {
        if (response.statusCode !== 200 || response.headers['content-type'] !== headers.Accept) {
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
