import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Redemption } from '../../../src/runner/redemption.ts';
import { HASTY, RedeemBench, refusalOf } from '../../fakes/runner-vault.ts';
import { until } from '../../fakes/until.ts';
import type { FakeVault } from '../../fakes/vault/server.ts';

const SELF = /^auth\/token\/lookup-self$/;
const REVOKE = /^auth\/token\/revoke-self$/;
const DATA = /^kv\/data\//;
const A = { names: ['A_TOKEN'] };

let bench: RedeemBench;
let vault: FakeVault;
beforeEach(async () => {
  bench = await RedeemBench.start({ A_TOKEN: 'c0rrect/horse', B_TOKEN: 'another value' });
  vault = bench.vault;
});
afterEach(() => bench.close());

describe('a secret', () => {
  it.each([
    ['absent', 'A_TOKEN is not in the store'],
    ['deleted', 'A_TOKEN was deleted from the store'],
    ['destroyed', 'A_TOKEN was deleted from the store'],
  ] as const)('that is %s is missing (S1.4)', async (how, message) => {
    const redemption = await bench.granted(A);
    vault.loseSecret('A_TOKEN', how);
    expect(await refusalOf(redemption.read('A_TOKEN'))).toBe(`ERR_SECRET_MISSING: ${message}`);
  });

  it.each([
    [{ other: 'x' }, 'has no such field'],
    [{ value: 7 }, 'is no text there'],
  ])('whose field is not a text is missing too (S1.4)', async (data, what) => {
    vault.putSecretData('A_TOKEN', data);
    const redemption = await bench.granted(A);
    expect(await refusalOf(redemption.read('A_TOKEN'))).toBe(
      `ERR_SECRET_MISSING: A_TOKEN is in the store, but ${what} (value)`,
    );
  });

  it('that is empty is handed on as it is, for who judges it (S1.4)', async () => {
    vault.putSecret('A_TOKEN', '');
    expect(await valueOf(await bench.granted(A), 'A_TOKEN')).toBe('');
  });

  it('that the store denies is told from one that is not there (S1.4, R15)', async () => {
    const redemption = await bench.granted({ names: ['A_TOKEN', 'B_TOKEN'], policies: ['edge-run', 'runner-A_TOKEN'] });
    const denied = "ERR_SECRET_DENIED: B_TOKEN can't be read from the store: the store denies it to this run";
    expect(await refusalOf(redemption.read('B_TOKEN'))).toBe(denied);
    expect(await refusalOf(redemption.read('C_TOKEN'))).toBe('ERR_SECRET_DENIED: C_TOKEN is not granted');
    expect(await valueOf(redemption, 'A_TOKEN')).toBe('c0rrect/horse');
  });

  it('is not to be had by a token that was revoked meanwhile, and it says so', async () => {
    const redemption = await bench.granted(A);
    await revokeAll();
    expect(await refusalOf(redemption.read('A_TOKEN'))).toMatch("the run's token has ended or was revoked");
  });

  it('is waited for while the server is sealed mid-way, and then read (S1.4, E2)', async () => {
    const redemption = await bench.granted(A);
    vault.sealed = true;
    const value = valueOf(redemption, 'A_TOKEN');
    await until('it was refused', () => vault.seen(DATA).some(({ status }) => status === 503));
    vault.sealed = false;
    expect(await value).toBe('c0rrect/horse');
  });

  it('of a server that stays sealed is no missing one (S1.4)', async () => {
    const redemption = await bench.granted(A, HASTY);
    vault.sealed = true;
    expect(await refusalOf(redemption.read('A_TOKEN'))).toBe(
      `ERR_VAULT_UNAVAILABLE: A_TOKEN can't be read from the store: ${vault.address} is not to be had (it answered 503); nothing was started`,
    );
  });

  it('that is longer than any store keeps is not read to its end', async () => {
    vault.putSecret('A_TOKEN', 'x'.repeat(5 << 20));
    const redemption = await bench.granted(A, HASTY);
    expect(await refusalOf(redemption.read('A_TOKEN'))).toMatch('EMSGSIZE');
  });
});

describe("the run's token", () => {
  it('is revoked when the redemption is closed, once, and reads nothing any more (R16)', async () => {
    const redemption = await bench.granted(A);
    expect(vault.runTokens).toHaveLength(1);
    await redemption.close();
    await redemption.close();
    expect(vault.runTokens).toEqual([]);
    expect(vault.seen(REVOKE)).toHaveLength(1);
    expect(await refusalOf(redemption.read('A_TOKEN'))).toMatch('ERR_SECRET_DENIED');
  });

  it.each([
    ['is sealed', () => vault.answer(503, { path: REVOKE, times: 2 }, { errors: ['Vault is sealed'] })],
    ['has an error', () => vault.answer(500, { path: REVOKE, times: 2 })],
    ['cuts the connection', () => vault.cut({ path: REVOKE, times: 2 })],
    ['loses the answer', () => vault.loseAnswer({ path: REVOKE, times: 1 })],
  ])('is revoked again where the server %s (R16)', async (_, arm) => {
    const redemption = await bench.granted(A);
    arm();
    await redemption.close();
    expect(vault.runTokens).toEqual([]);
  });

  it('that can not be revoked is said to live on (R16)', async () => {
    const away = await bench.granted(A, HASTY);
    const trouble = vault.cut({ path: REVOKE });
    expect(await refusalOf(away.close())).toMatch("ERR_VAULT_UNAVAILABLE: the run's token can't be revoked");
    trouble.stop();
    vault.putPolicy('edge-run', 'path "auth/token/lookup-self" { capabilities = ["read"] }');
    expect(await refusalOf((await bench.granted(A)).close())).toMatch('it answered 403');
  });

  it('is revoked when it can not even be looked up', async () => {
    vault.answer(500, { path: SELF });
    expect(await refusalOf(bench.granted(A, HASTY))).toMatch(
      "ERR_VAULT_UNAVAILABLE: the run's token can't be looked up",
    );
    expect(vault.runTokens).toEqual([]);
  });

  it('without the policy that all runs have starts nothing, and it says why', async () => {
    const refusal = await refusalOf(bench.granted({ ...A, policies: ['runner-A_TOKEN'] }));
    expect(refusal).toBe(
      "ERR_SECRET_DENIED: the run's token can't be looked up: its policy edge-run is missing or wrong; nothing was started",
    );
  });

  it('that was revoked before it was unwrapped is told from one without right', async () => {
    const access = await bench.wrapper(A);
    await revokeAll();
    expect(await refusalOf(bench.redeem(access))).toMatch("can't be looked up: it has ended or was revoked");
  });

  it('without metadata is of no attempt and of no blobs', async () => {
    vault.answer(200, { path: SELF }, { data: { policies: ['edge-run'], meta: null } });
    const { attempt, blobs, names } = await bench.granted({ names: [] });
    expect({ attempt, blobs, names }).toEqual({ attempt: '', blobs: { action: '', formula: '' }, names: [] });
  });
});

describe('the address of a Vault', () => {
  it.each(['', 'vault', 'ftp://vault', 'unix:/x'])('is no %j', async (address) => {
    const access = await bench.wrapper(A);
    expect(await refusalOf(bench.redeem({ ...access, address }))).toBe(
      'ERR_PAYLOAD: the payload names no address of a Vault',
    );
  });
});

async function valueOf(redemption: Redemption, name: string): Promise<string> {
  return Buffer.from(await redemption.read(name)).toString('utf8');
}

/** As the dispatcher does at the end. */
async function revokeAll(): Promise<void> {
  for (const { accessor } of vault.runTokens) {
    await fetch(`${vault.address}/v1/auth/token/revoke-accessor`, {
      method: 'POST',
      headers: { 'X-Vault-Token': vault.rootToken, connection: 'close' },
      body: JSON.stringify({ accessor }),
    });
  }
}
