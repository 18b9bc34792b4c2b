import { readFileSync } from 'node:fs';
import { Agent as HttpAgent } from 'node:http';
import { type AgentOptions, Agent as HttpsAgent } from 'node:https';
import { StalledError } from '../../../errors.ts';
import type { NomadOptions } from './options.ts';

type Where = Pick<NomadOptions, 'address' | 'ca_file' | 'client_cert_file' | 'client_key_file'>;

/** Keep-alive connections to the server. Opens nothing before the first call; certificates are read then, once. */
export class Connections {
  /** What paths are put behind; a Unix socket has no host, so any name does. */
  readonly base: string;
  readonly #where: Where;
  #agent: HttpAgent | null = null;

  constructor(where: Where) {
    this.#where = where;
    this.base = isUnix(where.address) ? 'http://localhost' : new URL(where.address).origin;
  }

  /** Throws StalledError (ERR_ENGINE_DENIED) when a certificate file can not be read. */
  get agent(): HttpAgent {
    this.#agent ??= this.#make();
    return this.#agent;
  }

  /** Closes all sockets, those in use too. */
  close(): void {
    this.#agent?.destroy();
    this.#agent = null;
  }

  #make(): HttpAgent {
    const options: AgentOptions = { keepAlive: true };
    const { address } = this.#where;
    if (isUnix(address)) {
      // Node's agent takes the path of a Unix socket, which its types do not know.
      const unix = { ...options, socketPath: address.slice('unix://'.length) };
      return new HttpAgent(unix);
    }
    if (address.startsWith('http://')) return new HttpAgent(options);
    return new HttpsAgent({
      ...options,
      ...pem('ca', this.#where.ca_file),
      ...pem('cert', this.#where.client_cert_file),
      ...pem('key', this.#where.client_key_file),
    });
  }
}

const isUnix = (address: string): boolean => address.startsWith('unix://');

function pem(name: 'ca' | 'cert' | 'key', file: string): AgentOptions {
  if (file === '') return {};
  try {
    return { [name]: readFileSync(file) };
  } catch (error) {
    const why = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
    throw new StalledError('ERR_ENGINE_DENIED', `${file} of [engine.nomad] can not be read: ${why}`);
  }
}
