import { readFile } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import { StalledError } from '../../../errors.ts';
import { networkCode } from './answers.ts';

const AGENT = { keepAlive: true } as const;

/** Keep-alive connections to one forge. `ca_file` is read each time, since certificates are rotated. */
export class Connections {
  /** Scheme, host and port. */
  readonly origin: string;
  readonly #caFile: string | null;
  #made: { readonly ca: string; readonly agent: http.Agent } | null = null;

  constructor(address: string, caFile: string | null) {
    this.origin = new URL(address).origin;
    this.#caFile = caFile;
  }

  /** Throws StalledError (ERR_FORGE_DENIED) when `ca_file` can't be read. */
  async agent(): Promise<http.Agent> {
    const ca = this.#caFile === null ? '' : await readCa(this.#caFile);
    if (this.#made?.ca !== ca) {
      const trust = ca === '' ? {} : { ca };
      const isSecure = this.origin.startsWith('https:');
      this.#made = { ca, agent: isSecure ? new https.Agent({ ...AGENT, ...trust }) : new http.Agent(AGENT) };
    }
    return this.#made.agent;
  }
}

async function readCa(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new StalledError('ERR_FORGE_DENIED', `ca_file of [forge] can not be read (${networkCode(error)})`);
  }
}
