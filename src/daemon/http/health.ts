import { fastify } from 'fastify';
import type { Reason } from '../../domain/run.ts';
import { toError } from '../../errors.ts';
import type { Log } from '../../ports/log.ts';

export interface Health {
  /** URL at which it really listens; null: it does not. */
  readonly address: string | null;
  close(): Promise<void>;
}

/**
 * `/healthz`: the process is alive. `/readyz`: 200, or 503 with the reasons. Off with `listen` null; a port that is
 * taken is a warning and never stops the daemon.
 */
export async function startHealth(
  listen: { readonly host: string; readonly port: number } | null,
  unready: () => readonly Reason[],
  log: Log,
): Promise<Health> {
  if (listen === null) return { address: null, close: () => Promise.resolve() };
  const server = fastify({ logger: false, forceCloseConnections: true });
  server.get('/healthz', () => ({ status: 'ok' }));
  server.get('/readyz', async (_request, reply) => {
    const reasons = unready();
    const status = reasons.length === 0 ? 'ready' : 'not ready';
    await reply.code(reasons.length === 0 ? 200 : 503).send({
      status,
      reasons: reasons.map(({ code, message, hint }) => ({ code, message, hint })),
    });
  });
  try {
    // A copy: the server writes into what it gets, and the configuration is frozen.
    const address = await server.listen({ ...listen });
    return { address, close: () => server.close() };
  } catch (error) {
    log.warn('health endpoints are off: cannot listen', { ...listen, err: toError(error) });
    await server.close();
    return { address: null, close: () => Promise.resolve() };
  }
}
