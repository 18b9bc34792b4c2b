import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { StalledError, TransientError } from '../../src/errors.ts';

/** How calls to a forge fail, and forges that do nothing else. */

/** After an outage, as callers do: a forge was seen to make a comment and to fail all the same. */
export async function askedAgain(call: () => Promise<unknown>): Promise<void> {
  await call().catch((error: unknown) => {
    if (!(error instanceof TransientError)) throw error;
    return call();
  });
}

interface Failure {
  /** The class of the error; the answer itself where there is none. */
  readonly class: unknown;
  readonly code?: unknown;
  readonly retryAfterMs?: unknown;
}

export const STALLED = { class: StalledError, code: 'ERR_FORGE_DENIED' };
export const OUTAGE = { class: TransientError, code: 'ERR_FORGE_UNAVAILABLE' };

export async function failureOf(call: Promise<unknown>): Promise<Failure> {
  try {
    return { class: await call };
  } catch (error) {
    if (error instanceof TransientError)
      return { class: TransientError, code: error.code, retryAfterMs: error.retryAfterMs };
    if (error instanceof StalledError) return { class: StalledError, code: error.code };
    throw error;
  }
}

/** Address at which nobody listens any more. */
export async function closedPort(): Promise<string> {
  const { url, close } = await limitingServer(1);
  await close();
  return url;
}

/** Asks everybody to wait for so many seconds. */
export async function limitingServer(seconds: number) {
  const headers = { 'retry-after': `${seconds}` };
  const server = createServer((_request, response) => response.writeHead(429, headers).end('{}'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { url: `http://127.0.0.1:${port}`, close };
}
