import net from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type Health, startHealth } from '../../../src/daemon/http/health.ts';
import type { Reason } from '../../../src/domain/run.ts';
import { reason } from '../../../src/story/reasons.ts';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

async function start(unready: () => readonly Reason[], port = 0) {
  const warnings: unknown[] = [];
  const quiet = () => undefined;
  const log = {
    debug: quiet,
    info: quiet,
    error: quiet,
    warn: (message: string, fields?: object) => void warnings.push([message, fields]),
  };
  // Frozen, as the configuration is.
  const health: Health = await startHealth(Object.freeze({ host: '127.0.0.1', port }), unready, log);
  closers.push(() => health.close());
  const ask = async (path: string) => {
    const response = await fetch(new URL(path, health.address ?? ''), { headers: { connection: 'close' } });
    return { status: response.status, body: await response.text() };
  };
  return { health, ask, warnings };
}

describe('health endpoints', () => {
  it('say that the process is alive, whatever it waits for', async () => {
    const { ask } = await start(() => [reason('ERR_GIT_UNAVAILABLE', 'away')]);
    expect(await ask('/healthz')).toEqual({ status: 200, body: '{"status":"ok"}' });
  });

  it('are not ready, with the reasons, and then ready', async () => {
    const reasons = [reason('ERR_GIT_UNAVAILABLE', 'the git server does not answer')];
    const { ask } = await start(() => reasons);
    const first = await ask('/readyz');
    expect([first.status, JSON.parse(first.body)]).toEqual([
      503,
      {
        status: 'not ready',
        reasons: [
          {
            code: 'ERR_GIT_UNAVAILABLE',
            message: 'the git server does not answer',
            hint: 'The git server does not answer; it is asked again.',
          },
        ],
      },
    ]);
    reasons.length = 0;
    expect(await ask('/readyz')).toEqual({ status: 200, body: '{"status":"ready","reasons":[]}' });
  });

  it('answer nothing else', async () => {
    const { ask } = await start(() => []);
    expect((await ask('/')).status).toBe(404);
  });

  it('listen to nothing when they are off', async () => {
    const quiet = () => undefined;
    const health = await startHealth(null, () => [], { debug: quiet, info: quiet, warn: quiet, error: quiet });
    expect(health.address).toBeNull();
    await health.close();
  });

  it('only warn where the port is taken', async () => {
    const other = net.createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    closers.push(() => new Promise((resolve) => void other.close(() => resolve())));
    const address = other.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const { health, warnings } = await start(() => [], port);
    expect(health.address).toBeNull();
    expect(warnings).toMatchObject([['health endpoints are off: cannot listen', { host: '127.0.0.1', port }]]);
  });
});
