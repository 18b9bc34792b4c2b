import { type FastifyInstance, fastify } from 'fastify';
import type { Reason } from '../../domain/run.ts';
import { printable } from '../../domain/text.ts';
import { toError } from '../../errors.ts';
import type { Log } from '../../ports/log.ts';
import type { Guard } from './bearer.ts';
import { addHooks, type HookTools } from './hooks.ts';

/** `/metrics`. */
export interface MetricsPage {
  readonly contentType: string;
  text(): Promise<string>;
  /** Who may read it; null: nobody is asked, and it is there on loopback only. */
  readonly guard: Guard | null;
}

/** null: it is not there. */
interface Pages {
  readonly metrics?: MetricsPage | null;
  readonly hooks?: HookTools | null;
}

export interface Health {
  /** URL at which it really listens; null: it does not. */
  readonly address: string | null;
  close(): Promise<void>;
}

/**
 * `/healthz`: the process is alive. `/readyz`: 200, or 503 with the reasons. `/metrics` only on loopback or with a
 * token. `/hooks/push` where there is a secret for it. Off with `listen` null; a port that is taken is a warning and never stops the daemon.
 */
export async function startHealth(
  listen: { readonly host: string; readonly port: number } | null,
  unready: () => readonly Reason[],
  log: Log,
  pages: Pages = {},
): Promise<Health> {
  if (listen === null) return { address: null, close: () => Promise.resolve() };
  const server = fastify({
    logger: false,
    forceCloseConnections: true,
    requestTimeout: REQUEST_MS,
    // Node takes the larger of the two for the body, and looks every 30 s by itself.
    http: { headersTimeout: REQUEST_MS, connectionsCheckingInterval: 1_000 },
  });
  server.get('/healthz', () => ({ status: 'ok' }));
  server.get('/readyz', async (_request, reply) => {
    const reasons = unready();
    const status = reasons.length === 0 ? 'ready' : 'not ready';
    await reply.code(reasons.length === 0 ? 200 : 503).send({
      status,
      reasons: reasons.map(({ code, message, hint }) => ({ code, message: printable(message), hint })),
    });
  });
  const { metrics = null, hooks = null } = pages;
  if (metrics !== null) addMetrics(server, metrics, { host: listen.host, log });
  if (hooks !== null) addHooks(server, hooks);
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

/** In which a request has to have come, body included. */
const REQUEST_MS = 10_000;

function addMetrics(
  server: FastifyInstance,
  metrics: MetricsPage,
  { host, log }: { readonly host: string; readonly log: Log },
): void {
  const { contentType, guard } = metrics;
  if (guard === null && !isLoopback(host)) {
    log.warn('metrics are off: listen is not on loopback, and there is no token_file', { section: 'http', host });
    return;
  }
  server.get('/metrics', async (request, reply) => {
    if (guard !== null && !(await guard(request.headers.authorization))) {
      return reply.code(401).header('www-authenticate', 'Bearer').send({ error: 'the token of [http] is asked for' });
    }
    return reply.type(contentType).send(await metrics.text());
  });
}

const isLoopback = (host: string): boolean => /^(?:localhost|127(?:\.\d{1,3}){3}|::1)$/i.test(host);
