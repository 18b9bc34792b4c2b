import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StalledError, TransientError } from '../../src/errors.ts';
import type { Access, Grant } from '../../src/ports/access.ts';
import { grantRequest } from '../contract/access.contract.ts';
import { makeVaultBench, type VaultBench } from '../fakes/vault-access-bench.ts';

const MINT = /^auth\/token\/create\/edge-run$/;
const REVOKE = /^auth\/token\/revoke-accessor$/;
const LOOK_UP = /^auth\/token\/lookup-accessor$/;
const VALUE = 'the value that nobody may see';

describe('access to a secret store', () => {
  let bench: VaultBench;
  let access: Access;

  beforeEach(async () => {
    bench = await makeVaultBench();
    ({ access } = bench);
    for (const name of ['ALPHA', 'BETA']) bench.server.putSecret(name, VALUE);
  });

  afterEach(() => bench.close());

  describe('an outage', () => {
    it.each([
      ['sealed', (): void => void (bench.server.sealed = true)],
      ['a standby without an active one', (): void => void (bench.server.standby = 'alone')],
      ['a standby that redirects', (): void => void bench.server.redirect('http://127.0.0.1:9')],
      ['broken', (): void => void bench.server.answer(500)],
      ['behind a broken proxy', (): void => void bench.server.answer(502, {}, '<html>')],
      ['too busy', (): void => void bench.server.answer(429, {}, 'slow down')],
      ['cut off', (): void => void bench.server.cut()],
      ['talking nonsense', (): void => void bench.server.answer(200, {}, '<html>')],
    ])('is a server that is %s, and never a verdict (promise 5)', async (_, arm) => {
      const request = grantRequest(['ALPHA']);
      const grant = await access.grant(request);
      arm();
      await expect(access.states(['ALPHA', 'GAMMA'])).rejects.toThrow(TransientError);
      await expect(access.grant(request)).rejects.toThrow(TransientError);
      await expect(access.verify(request, grant)).rejects.toThrow(TransientError);
      await expect(access.revoke(grant.accessor, request.token)).rejects.toThrow(TransientError);
    });
  });

  describe('grant', () => {
    it('asks for exactly these policies, a life and a purpose, wrapped (S1.1)', async () => {
      const request = grantRequest(['BETA', 'ALPHA']);
      const { accessor } = await access.grant(request);
      const [mint] = bench.server.seen(MINT);
      expect(mint?.wrapTtl).toBe('720s');
      expect(JSON.parse(mint?.body ?? '{}')).toMatchObject({
        policies: ['edge-run', 'runner-ALPHA', 'runner-BETA'],
        ttl: '840s',
        explicit_max_ttl: '840s',
        no_default_policy: true,
      });
      expect(bench.server.token(accessor)).toMatchObject({
        orphan: true,
        meta: {
          attempt_token: request.token,
          id: 'release-v1',
          attempt: '1',
          action_blob: request.blobs.action,
          formula_blob: request.blobs.formula,
        },
      });
    });

    it.each([['alpha'], ['ALPHA/../BETA'], ['*']])('mints nothing for %j, which is no name', async (name) => {
      await expect(access.grant(grantRequest(['ALPHA', name]))).rejects.toThrow(StalledError);
      expect(bench.server.seen(MINT)).toEqual([]);
    });

    it('takes back a token that came without its wrapper', async () => {
      const { accessor } = await access.grant(grantRequest(['ALPHA']));
      const auth = { client_token: 's.naked', accessor };
      bench.server.answer(200, { path: MINT, times: 1 }, { wrap_info: null, auth });
      await expect(access.grant(grantRequest(['ALPHA']))).rejects.toThrow('the token came without its wrapper');
      expect(bench.server.token(accessor)).toBeUndefined();
    });

    it.each([
      ['of another path', { creation_path: 'auth/token/create' }],
      ['of another life', { ttl: 90_000 }],
      ['of no time', { creation_time: 'yesterday' }],
    ])('takes back a token whose wrapper is %s', async (_, change) => {
      const { accessor } = await access.grant(grantRequest(['ALPHA']));
      const told = {
        token: 's.w',
        ttl: 720,
        creation_time: '2026-11-21T03:00:00Z',
        creation_path: 'auth/token/create/edge-run',
      };
      bench.server.answer(
        200,
        { path: MINT, times: 1 },
        { wrap_info: { ...told, ...change, wrapped_accessor: accessor } },
      );
      await expect(access.grant(grantRequest(['ALPHA']))).rejects.toThrow(StalledError);
      expect(bench.server.token(accessor)).toBeUndefined();
    });

    it('leaves, when its answer is lost, a token that nobody holds and that ends by itself', async () => {
      const lost = bench.server.loseAnswer({ path: MINT });
      await expect(access.grant(grantRequest(['ALPHA']))).rejects.toThrow(TransientError);
      lost.stop();
      expect(bench.server.runTokens).toHaveLength(1);
      bench.pass(841);
      expect(bench.server.runTokens).toEqual([]);
    });

    it('says which side refuses: the role, or the rights of our token', async () => {
      const refusing = { errors: ['token policies (["a"]) must be subset of the role\'s allowed policies ([])'] };
      bench.server.answer(400, { path: MINT, times: 1 }, refusing);
      await expect(access.grant(grantRequest(['ALPHA']))).rejects.toThrow('the role does not allow these policies');
      bench.server.answer(400, { path: MINT, times: 1 }, { errors: ['unknown role edge-run'] });
      await expect(access.grant(grantRequest(['ALPHA']))).rejects.toThrow('there is no such role');
      bench.server.deny({ path: MINT });
      await expect(access.grant(grantRequest(['ALPHA']))).rejects.toThrow('our token has no right to it (403)');
    });
  });

  describe('revoke', () => {
    it('does not touch a token that another role made', async () => {
      const request = grantRequest(['ALPHA']);
      const { accessor } = await access.grant(request);
      await expect(bench.open({ role: 'another' }).revoke(accessor, request.token)).rejects.toThrow('not of our role');
      expect(bench.server.token(accessor)).toBeDefined();
      expect(bench.server.seen(REVOKE)).toEqual([]);
    });

    it('leaves no token alive that verify refused, when the role got a path_suffix meanwhile', async () => {
      const headers = { 'X-Vault-Token': bench.server.rootToken };
      const body = JSON.stringify({ path_suffix: 'more' });
      await fetch(`${bench.server.address}/v1/auth/token/roles/edge-run`, { method: 'POST', headers, body });
      const request = grantRequest(['ALPHA']);
      const grant = await access.grant(request);
      await expect(access.verify(request, grant)).rejects.toThrow('it is not of our role');
      await access.revoke(grant.accessor, request.token);
      expect(bench.server.runTokens).toEqual([]);
    });

    it('asks again after an outage', async () => {
      const request = grantRequest(['ALPHA']);
      const { accessor } = await access.grant(request);
      bench.server.loseAnswer({ path: REVOKE, times: 1 });
      await expect(access.revoke(accessor, request.token)).rejects.toThrow(TransientError);
      expect(Date.parse(await access.revoke(accessor, request.token))).not.toBeNaN();
      expect(bench.server.seen(REVOKE)).toHaveLength(1);
    });

    it('takes both answers of one that is gone for gone', async () => {
      const request = grantRequest(['ALPHA']);
      const { accessor } = await access.grant(request);
      const gone = { errors: ['1 error occurred:\n\t* invalid accessor\n\n'] };
      for (const status of [400, 403]) {
        bench.server.answer(status, { path: LOOK_UP, times: 1 }, gone);
        expect(Date.parse(await access.revoke(accessor, request.token))).not.toBeNaN();
      }
    });
  });

  it('gives each run its own secrets and no other, of 6 names in every subset (S1.8, R15)', async () => {
    const names = ['ALPHA', 'BETA', 'GAMMA', 'DELTA', 'EPSILON', 'ZETA'];
    for (const name of names) bench.server.putSecret(name, `${VALUE}: ${name}`);
    for (let bits = 0; bits < 2 ** names.length; bits += 1) {
      const asked = names.filter((_, index) => (bits >> index) % 2 === 1);
      const request = grantRequest(asked);
      const grant = await access.grant(request);
      await access.verify(request, grant);
      expect([asked, await readableBy(grant)]).toEqual([asked, asked]);
    }

    async function readableBy({ fragment }: Grant): Promise<string[]> {
      const { auth } = (await call('POST', 'sys/wrapping/unwrap', fragment.wrapping_token)) as {
        auth: { client_token: string };
      };
      const read = names.map((name) => call('GET', `kv/data/edge/runner/${name}`, auth.client_token));
      const found = await Promise.all(read);
      return names.filter((_, index) => found[index] !== null);
    }

    async function call(method: string, path: string, token: string): Promise<unknown> {
      const answer = await fetch(`${bench.server.address}/v1/${path}`, { method, headers: { 'X-Vault-Token': token } });
      const body: unknown = await answer.json();
      return answer.ok ? body : null;
    }
  });

  it('lets no token, wrapper, value or body into any error of any failure (R14)', async () => {
    const request = grantRequest(['ALPHA']);
    const grant = await access.grant(request);
    const { daemonToken } = bench;
    const leaky = { errors: [`${VALUE} ${daemonToken} ${grant.fragment.wrapping_token}`], data: { value: VALUE } };
    const failures: (() => { stop(): void })[] = [
      ...[200, 204, 302, 400, 403, 404, 412, 429, 500, 503].map(
        (status) => () => bench.server.answer(status, {}, leaky),
      ),
      () => bench.server.cut(),
      () => bench.server.loseAnswer(),
      () => bench.server.redirect(`http://${daemonToken}.example`),
    ];
    const attempts: (() => Promise<unknown>)[] = [
      () => access.states(['ALPHA']),
      () => access.grant(request),
      () => access.verify(request, grant),
      () => access.consume(grant.fragment),
      () => access.revoke(grant.accessor, request.token),
      () => access.check(),
      () => bench.deploy(['ALPHA']),
    ];
    const texts: string[] = [];
    for (const arm of failures) {
      const trouble = arm();
      for (const attempt of attempts) texts.push(textOf(await attempt().catch((error: unknown) => error)));
      trouble.stop();
    }
    const secrets = [VALUE, daemonToken, bench.server.rootToken, grant.fragment.wrapping_token, 'X-Vault-Token'];
    expect(texts).toHaveLength(failures.length * attempts.length);
    expect(texts.filter((text) => secrets.some((secret) => text.includes(secret)))).toEqual([]);
  });
});

/** Whatever a log could print of it; its causes and hidden fields too. */
function textOf(thrown: unknown): string {
  const inspected = inspect(thrown, { depth: 9, showHidden: true });
  return thrown instanceof Error ? `${thrown.stack}\n${inspected}\n${JSON.stringify(thrown)}` : inspected;
}
