import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { VaultClient } from '../../src/adapters/access/vault/client.ts';
import { redeem } from '../../src/adapters/access/vault/redeem.ts';
import { StalledError, TransientError } from '../../src/errors.ts';
import type { Access } from '../../src/ports/access.ts';
import { redeemVault } from '../../src/runner/redeem-vault.ts';
import { grantRequest } from '../contract/access.contract.ts';
import { makeVaultBench, type VaultBench } from '../fakes/vault-access-bench.ts';

const UNWRAP = /^sys\/wrapping\/unwrap$/;
const VALUE = 'the value that nobody may see';

describe('consuming a grant of a secret store', () => {
  let bench: VaultBench;
  let access: Access;

  beforeEach(async () => {
    bench = await makeVaultBench();
    ({ access } = bench);
    bench.server.putSecret('ALPHA', VALUE);
  });

  afterEach(() => bench.close());

  it('revokes what came out', async () => {
    const { fragment, accessor } = await access.grant(grantRequest(['ALPHA']));
    expect(await access.consume(fragment)).toBe('consumed');
    expect(bench.server.token(accessor)).toBeUndefined();
  });

  it.each([
    ['500', (): void => void bench.server.answer(500, { path: UNWRAP, times: 1 })],
    ['sealed', (): void => void bench.server.answer(503, { path: UNWRAP, times: 1 }, { errors: ['Vault is sealed'] })],
    ['nothing', (): void => void bench.server.cut({ path: UNWRAP, times: 1 })],
  ])('takes %s for no answer, and asks again', async (_, arm) => {
    const { fragment } = await access.grant(grantRequest(['ALPHA']));
    arm();
    await expect(access.consume(fragment)).rejects.toThrow(TransientError);
    expect(await access.consume(fragment)).toBe('consumed');
  });

  it.each([
    [200, {}],
    [204, null],
    [200, { data: {} }],
    [200, 'hello'],
  ])(
    'takes %i with %j, which holds no token, for no answer: the wrapper is unread (promise 3)',
    async (status, body) => {
      const { fragment } = await access.grant(grantRequest(['ALPHA']));
      bench.server.answer(status, { path: UNWRAP, times: 1 }, body);
      await expect(access.consume(fragment)).rejects.toThrow(TransientError);
      const runner = await redeemVault(fragment, { caFile: null, stop: new AbortController().signal });
      expect((await runner.read('ALPHA')).toString()).toBe(VALUE);
      await runner.close();
    },
  );

  it('proves nothing after its own answer was lost', async () => {
    const { fragment } = await access.grant(grantRequest(['ALPHA']));
    bench.server.loseAnswer({ path: UNWRAP, times: 1 });
    await expect(access.consume(fragment)).rejects.toThrow(TransientError);
    expect(await access.consume(fragment)).toBe('used');
  });

  it('proves what it proves, also when what came out can not be revoked', async () => {
    const { fragment } = await access.grant(grantRequest(['ALPHA']));
    bench.server.cut({ path: /revoke-self$/ });
    expect(await access.consume(fragment)).toBe('consumed');
  });

  it('is no matter of a ticket of files', async () => {
    const { fragment } = await access.grant(grantRequest(['ALPHA']));
    await expect(access.consume({ ...fragment, kind: 'file' })).rejects.toThrow(StalledError);
    expect(bench.server.seen(UNWRAP)).toEqual([]);
  });

  it('takes a server that hangs for no answer', async () => {
    const { fragment } = await access.grant(grantRequest(['ALPHA']));
    const held = bench.server.hold({ path: UNWRAP });
    const client = new VaultClient({ ...bench.options, timeoutMs: 30 });
    await expect(redeem(client, bench.tools.clock, fragment, undefined)).rejects.toThrow('did not answer in time');
    held.stop();
  });

  it('tells a wrapper that was used from one that is over by the clock of the store, not by ours', async () => {
    const { fragment } = await access.grant(grantRequest(['ALPHA']));
    await access.consume(fragment);
    bench.tools.advance(3600);
    expect(await access.consume(fragment)).toBe('used');
    bench.server.advance(3_600_000);
    expect(await access.consume(fragment)).toBe('expired');
  });
});
