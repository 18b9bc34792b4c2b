import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BEARER, HASTY, PATIENT, RedeemBench, refusalOf } from '../../fakes/runner-vault.ts';
import { until } from '../../fakes/until.ts';
import type { FakeVault } from '../../fakes/vault/server.ts';

const LOOKUP = /^sys\/wrapping\/lookup$/;
const UNWRAP = /^sys\/wrapping\/unwrap$/;

let bench: RedeemBench;
let vault: FakeVault;
beforeEach(async () => {
  bench = await RedeemBench.start({ A_TOKEN: 'c0rrect/horse', B_TOKEN: 'another value' });
  vault = bench.vault;
});
afterEach(() => bench.close());

describe('a Vault wrapper', () => {
  it('gives the attempt, the blobs and exactly the names that its token was minted for (S1.1)', async () => {
    const redemption = await bench.granted({ names: ['A_TOKEN'] });
    const { attempt, blobs, names } = redemption;
    expect({ attempt, blobs, names }).toEqual({ attempt: BEARER.token, blobs: BEARER.blobs, names: ['A_TOKEN'] });
    expect(Buffer.from(await redemption.read('A_TOKEN')).toString()).toBe('c0rrect/horse');
  });

  it('is looked up before it is unwrapped, without a token, and nothing else is asked (R5)', async () => {
    const redemption = await bench.granted({ names: [] });
    expect(redemption.names).toEqual([]);
    await redemption.close();
    const lines = vault.requests.slice(-4).map(({ method, path, token }) => `${method} ${path} by ${token}`);
    expect(lines).toEqual([
      'POST sys/wrapping/lookup by none',
      'POST sys/wrapping/unwrap by wrapping',
      'GET auth/token/lookup-self by role:edge-run',
      'POST auth/token/revoke-self by role:edge-run',
    ]);
  });

  it('says what is granted beyond what was named, and what is not', async () => {
    const policies = ['edge-run', 'runner-A_TOKEN', 'runner-B_TOKEN'];
    expect((await bench.granted({ names: ['A_TOKEN'], policies })).names).toEqual(['A_TOKEN', 'runner-b_token']);
    const fewer = await bench.granted({ names: ['A_TOKEN', 'B_TOKEN'], policies: ['edge-run', 'runner-A_TOKEN'] });
    expect(fewer.names).toEqual(['A_TOKEN']);
  });

  it('that was unwrapped before is a used one (R5, R16)', async () => {
    const access = await bench.wrapper({ names: [] });
    await bench.redeem(access);
    await expect(bench.redeem(access)).rejects.toMatchObject({ code: 'ERR_WRAPPER_USED' });
    expect(vault.seen(UNWRAP)).toHaveLength(1);
  });

  it('that has expired is told from a used one (R16)', async () => {
    const access = await bench.wrapper({ names: [], ttlSeconds: 30 });
    vault.advance(31_000);
    const past = new Date(Date.now() - 1_000).toISOString();
    await expect(bench.redeem({ ...access, wrap_expires_at: past })).rejects.toMatchObject({
      code: 'ERR_WRAPPER_EXPIRED',
    });
  });

  it('is redeemed by one of all who try at the same time (R5, R16)', async () => {
    const access = await bench.wrapper({ names: [] });
    vault.wrapping.losersGet500 = 3;
    const ends = await Promise.allSettled(Array.from({ length: 6 }, () => bench.redeem(access)));
    const losers = ends.flatMap((end) => (end.status === 'rejected' ? [(end.reason as { code: string }).code] : []));
    expect(losers).toEqual(Array.from({ length: 5 }, () => 'ERR_WRAPPER_USED'));
  });

  it.each([
    ['another role', 'auth/token/create/edge-run', { role: 'other' }],
    ['another call', 'sys/wrapping/wrap', {}],
    ['no call that we know', 'auth/token/create/', {}],
  ])('that comes from %s is not unwrapped: it was put in the place of ours', async (_, creation_path, plan) => {
    await putRole('other');
    const access = { ...(await bench.wrapper({ names: [], ...plan })), creation_path };
    await expect(bench.redeem(access)).rejects.toThrow('the wrapper is not the one that was minted');
    expect(vault.seen(UNWRAP)).toEqual([]);
  });

  it('is refused by its form even where payload and server agree on another call', async () => {
    await putRole('other');
    vault.answer(200, { path: LOOKUP }, { data: { creation_path: 'sys/wrapping/wrap' } });
    const access = { ...(await bench.wrapper({ names: [] })), creation_path: 'sys/wrapping/wrap' };
    await expect(bench.redeem(access)).rejects.toMatchObject({ code: 'ERR_WRAPPER_USED' });
    expect(vault.seen(UNWRAP)).toEqual([]);
  });
});

describe('a server that is away before the unwrap', () => {
  it.each([
    ['sealed', () => vault.answer(503, { path: LOOKUP, times: 2 }, { errors: ['Vault is sealed'] })],
    ['a standby', () => vault.redirect('http://127.0.0.1:1', { path: LOOKUP, times: 2 })],
    ['busy', () => vault.answer(429, { path: LOOKUP, times: 2 }, 'too many')],
    ['behind a proxy that answers 400', () => vault.answer(400, { path: LOOKUP, times: 1 }, 'Bad Request')],
    ['cut off', () => vault.cut({ path: LOOKUP, times: 2 })],
  ])('%s is asked again, and the wrapper is redeemed (S1.4)', async (_, arm) => {
    const access = await bench.wrapper({ names: [] });
    const trouble = arm();
    await bench.redeem(access);
    expect(trouble.hits).toBeGreaterThan(0);
    expect(vault.seen(UNWRAP)).toHaveLength(1);
  });

  it('for longer than anybody waits is no verdict on the wrapper', async () => {
    const access = await bench.wrapper({ names: [] });
    await vault.refuseConnections();
    const away = `ERR_VAULT_UNAVAILABLE: the wrapper can't be looked up: ${vault.address} is not to be had`;
    expect(await refusalOf(bench.redeem(access, HASTY))).toBe(`${away} (ECONNREFUSED); nothing was started`);
    await vault.acceptConnections();
    vault.sealed = true;
    expect(await refusalOf(bench.redeem(access, HASTY))).toBe(`${away} (it answered 503); nothing was started`);
    vault.sealed = false;
    await bench.redeem(access);
  });

  it('is not waited for once the wrapper has expired', async () => {
    const access = {
      ...(await bench.wrapper({ names: [] })),
      wrap_expires_at: new Date(Date.now() + 50).toISOString(),
    };
    vault.sealed = true;
    await expect(bench.redeem(access, PATIENT)).rejects.toMatchObject({ code: 'ERR_VAULT_UNAVAILABLE' });
  });

  it('that takes the call and says nothing is asked again', async () => {
    const access = await bench.wrapper({ names: [] });
    const trouble = vault.hold({ path: LOOKUP, times: 1 });
    await bench.redeem(access, { ...PATIENT, callMs: 200 });
    trouble.stop();
    expect(vault.seen(LOOKUP)).toHaveLength(2);
  });

  it('is not taken at its word when it says something else than that the wrapper is gone', async () => {
    const access = await bench.wrapper({ names: [] });
    vault.answer(400, { path: LOOKUP, times: 1 }, { errors: ['unknown namespace'] });
    expect(await refusalOf(bench.redeem(access))).toMatch('ERR_VAULT_UNAVAILABLE');
    await bench.redeem(access);
  });

  it('and says nothing is given up as soon as nobody wants the run any more', async () => {
    const access = await bench.wrapper({ names: [] });
    const trouble = vault.hold({ path: LOOKUP });
    const waiting = bench.redeem(access, { ...PATIENT, callMs: 60_000 });
    await until('it was asked', () => trouble.hits > 0);
    bench.stop.abort();
    expect(await refusalOf(waiting)).toMatch('ERR_VAULT_UNAVAILABLE');
    trouble.stop();
  });

  it('is given up as soon as nobody wants the run any more', async () => {
    const access = await bench.wrapper({ names: [] });
    vault.sealed = true;
    const waiting = bench.redeem(access, PATIENT);
    await until('it was asked', () => vault.seen(LOOKUP).length > 0);
    bench.stop.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'ERR_VAULT_UNAVAILABLE' });
  });
});

describe('an unwrap that goes wrong', () => {
  it('with a 500 is tried again while the wrapper is there', async () => {
    const access = await bench.wrapper({ names: [] });
    vault.answer(500, { path: UNWRAP, times: 1 });
    await bench.redeem(access);
    expect(vault.requests.map(({ path }) => path).filter((path) => path.startsWith('sys/wrapping'))).toEqual([
      'sys/wrapping/lookup',
      'sys/wrapping/unwrap',
      'sys/wrapping/lookup',
      'sys/wrapping/unwrap',
    ]);
  });

  it('with a 500, and then the wrapper is gone, is a used wrapper', async () => {
    const access = await bench.wrapper({ names: [] });
    const trouble = vault.hold({ path: UNWRAP, times: 1 });
    vault.wrapping.losersGet500 = 1;
    const loser = bench.redeem(access);
    await until('it was asked', () => trouble.hits > 0);
    await bench.redeem(access);
    trouble.stop();
    const message = 'the unwrap failed in the server, and then the wrapper was gone';
    expect(await refusalOf(loser)).toMatch(`ERR_WRAPPER_USED: ${message}`);
  });

  it('whose answer was lost is no theft, and starts nothing', async () => {
    const access = await bench.wrapper({ names: [] });
    vault.loseAnswer({ path: UNWRAP, times: 1 });
    const message = 'the wrapper is consumed, but the answer to the unwrap was lost; nothing was started';
    expect(await refusalOf(bench.redeem(access))).toBe(`ERR_VAULT_UNAVAILABLE: ${message}`);
  });

  it.each([
    ['was cut off before it was done', () => vault.cut({ path: UNWRAP, times: 1 })],
    ['was answered in halves', () => vault.answer(200, { path: UNWRAP, times: 1 }, '{"auth":{"client_tok')],
    ['was refused by a proxy', () => vault.answer(502, { path: UNWRAP, times: 1 }, 'Bad Gateway')],
  ])('because it %s is tried again while the wrapper is there', async (_, arm) => {
    const access = await bench.wrapper({ names: [] });
    arm();
    await bench.redeem(access);
    expect(vault.seen(UNWRAP)).toHaveLength(2);
  });

  it('on a sealed server leaves no doubt: gone by then is a used wrapper', async () => {
    const access = await bench.wrapper({ names: [] });
    const held = vault.hold({ path: UNWRAP, times: 1 });
    const loser = bench.redeem(access);
    await until('it was asked', () => held.hits > 0);
    vault.sealed = true;
    const trouble = vault.answer(503, { path: LOOKUP }, { errors: ['Vault is sealed'] });
    held.stop();
    await until('it was refused', () => trouble.hits > 0);
    vault.sealed = false;
    await unwrapElsewhere(access.wrapping_token);
    trouble.stop();
    expect(await refusalOf(loser)).toMatch('ERR_WRAPPER_USED: the wrapper was unwrapped before');
  });
});

/** By somebody who does not look first. */
async function unwrapElsewhere(token: string): Promise<void> {
  await fetch(`${vault.address}/v1/sys/wrapping/unwrap`, {
    method: 'POST',
    headers: { 'X-Vault-Token': token, connection: 'close' },
  });
}

async function putRole(name: string): Promise<void> {
  await fetch(`${vault.address}/v1/auth/token/roles/${name}`, {
    method: 'POST',
    headers: { 'X-Vault-Token': vault.rootToken, connection: 'close' },
    body: JSON.stringify({ allowed_policies: ['edge-run'], orphan: true, token_no_default_policy: true }),
  });
}
