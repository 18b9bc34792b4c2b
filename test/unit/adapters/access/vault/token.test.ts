import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { vaultOptions } from '../../../../../src/adapters/access/vault/options.ts';
import { StalledError, TransientError } from '../../../../../src/errors.ts';
import type { Access } from '../../../../../src/ports/access.ts';
import { until } from '../../../../fakes/until.ts';
import { makeVaultBench, type VaultBench } from '../../../../fakes/vault-access-bench.ts';

const RENEW = /^auth\/token\/renew-self$/;
const LOGIN = /^auth\/jwt-nomad\/login$/;
const LOOK_UP = /^auth\/token\/lookup-self$/;
const HOUR = 3600;

describe('the own token of the dispatcher', () => {
  let bench: VaultBench;
  const use = (access: Access): Promise<unknown> => access.states(['ALPHA']);
  const count = (requests: RegExp): number => bench.server.seen(requests).length;
  const inside = (name: string): string => path.join(bench.tools.stateDir, name);

  beforeEach(async () => {
    bench = await makeVaultBench();
    bench.server.putSecret('ALPHA', 'the value of alpha');
  });

  afterEach(async () => {
    vi.useRealTimers();
    await bench.close();
  });

  it('is looked up once, and renewed when half of its life is over', async () => {
    await use(bench.access);
    bench.pass(11 * HOUR);
    await use(bench.access);
    expect([count(LOOK_UP), count(RENEW)]).toEqual([1, 0]);
    bench.pass(2 * HOUR);
    await Promise.all([use(bench.access), use(bench.access), use(bench.access)]);
    expect([count(LOOK_UP), count(RENEW)]).toEqual([1, 1]);
    bench.pass(13 * HOUR);
    await use(bench.access);
    expect(count(RENEW)).toBe(2);
  });

  it('is used on while it can not be renewed, and renewal is not asked for at every use', async () => {
    await use(bench.access);
    bench.pass(13 * HOUR);
    const trouble = bench.server.answer(500, { path: RENEW });
    await use(bench.access);
    await use(bench.access);
    expect(count(RENEW)).toBe(1);
    trouble.stop();
    bench.pass(31);
    await use(bench.access);
    await use(bench.access);
    expect(count(RENEW)).toBe(2);
  });

  it('is read again from its file at every use (R16)', async () => {
    const file = inside('vault-token');
    const access = bench.open({ token_file: file }, null);
    writeFileSync(file, `${bench.server.newDaemonToken()}\n`);
    await use(access);
    writeFileSync(file, bench.server.newDaemonToken());
    await use(access);
    expect(count(LOOK_UP)).toBe(2);
  });

  it('is taken from its file once more when the store does not know it any more', async () => {
    const file = inside('vault-token');
    const [old, fresh] = [bench.server.newDaemonToken(), bench.server.newDaemonToken()];
    const access = bench.open({ token_file: file }, null);
    writeFileSync(file, old);
    await use(access);
    bench.server.expire(old);
    await expect(use(access)).rejects.toThrow('our token is unknown to it, expired or revoked');
    writeFileSync(file, fresh);
    expect(await use(access)).toEqual(new Map([['ALPHA', 'present']]));
  });

  it.each([
    ['no token at all', { token_file: '' }, 'token_file is not set'],
    ['a file that is not there', { token_file: '/nowhere/token' }, 'token_file can not be read (ENOENT)'],
  ])('says when there is %s', async (_, change, message) => {
    const error: unknown = await use(bench.open(change, null)).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(StalledError);
    expect(String(error)).toContain(message);
  });

  it('quotes nothing of a file that holds no token (R14)', async () => {
    const file = inside('vault-token');
    writeFileSync(file, 'two\nlines of something');
    const error: unknown = await use(bench.open({ token_file: file }, null)).catch((reason: unknown) => reason);
    expect(String(error)).toBe('StalledError: no token for the secret store: token_file holds none');
    expect(bench.server.requests).toEqual([]);
  });

  describe('from a login by JWT', () => {
    const jwtFile = (): string => inside('jwt');
    const logsIn = (): Access => {
      const { login } = vaultOptions.parse({ login: { method: 'jwt', jwt_file: jwtFile() } });
      return bench.open({ login }, null);
    };

    beforeEach(async () => {
      await bench.close();
      bench = await makeVaultBench({}, { jwt: { ttlSeconds: 1200 } });
      bench.server.putSecret('ALPHA', 'the value of alpha');
      bench.server.acceptJwt('jwt-one');
      bench.server.acceptJwt('jwt-two');
      writeFileSync(jwtFile(), 'jwt-one');
    });

    it('is made once by many at the same time', async () => {
      const access = logsIn();
      await Promise.all([use(access), use(access), use(access)]);
      expect([count(LOGIN), count(LOOK_UP)]).toEqual([1, 0]);
    });

    it('is renewed when half of its life is over', async () => {
      const access = logsIn();
      await use(access);
      bench.pass(601);
      await use(access);
      expect([count(LOGIN), count(RENEW)]).toEqual([1, 1]);
    });

    it('is made anew, with the JWT as it then is, when the store does not know it any more (R16)', async () => {
      const access = logsIn();
      await use(access);
      writeFileSync(jwtFile(), 'jwt-two');
      // The server's time only: we take the token for good.
      bench.server.advance(1300 * 1000);
      await Promise.all([use(access), use(access)]);
      const jwts = bench.server.seen(LOGIN).map(({ body }) => (JSON.parse(body) as { jwt: string }).jwt);
      expect(jwts).toEqual(['jwt-one', 'jwt-two']);
    });

    it('is made anew when it can not be renewed', async () => {
      const access = logsIn();
      await use(access);
      bench.pass(601);
      bench.server.deny({ path: RENEW });
      await use(access);
      expect([count(LOGIN), count(RENEW)]).toEqual([2, 1]);
    });

    it('is made anew after its end, without a try of the old one', async () => {
      const access = logsIn();
      await use(access);
      bench.pass(1300);
      await use(access);
      expect(count(LOGIN)).toBe(2);
      expect(bench.server.requests.filter(({ status }) => status === 403)).toEqual([]);
    });

    it('is kept alive by a timer while nobody uses it', async () => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
      await use(logsIn());
      bench.pass(601);
      vi.advanceTimersByTime(600_000);
      vi.useRealTimers();
      await until('it was renewed', () => count(RENEW) > 0);
      expect(count(LOGIN)).toBe(1);
    });

    it('stalls when the login is refused, and says nothing of the JWT (R14)', async () => {
      writeFileSync(jwtFile(), 'jwt-unknown');
      const error: unknown = await use(logsIn()).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(StalledError);
      expect(String(error)).toContain('can not log in at auth/jwt-nomad as edge-dispatcher: it refuses the request');
      expect(String(error)).not.toContain('jwt-unknown');
    });

    it('waits when nobody answers the login', async () => {
      bench.server.cut({ path: LOGIN });
      await expect(use(logsIn())).rejects.toThrow(TransientError);
    });
  });
});
