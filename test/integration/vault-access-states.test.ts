import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StalledError, TransientError } from '../../src/errors.ts';
import type { Access } from '../../src/ports/access.ts';
import { makeVaultBench, type VaultBench } from '../fakes/vault-access-bench.ts';

const VALUE = 'the value that nobody may see';

describe('states of secrets in a secret store', () => {
  let bench: VaultBench;
  let access: Access;

  beforeEach(async () => {
    bench = await makeVaultBench();
    ({ access } = bench);
    for (const name of ['ALPHA', 'BETA']) bench.server.putSecret(name, VALUE);
  });

  afterEach(() => bench.close());

  const stateOf = async (name: string): Promise<unknown> => (await access.states([name])).get(name);

  it.each(['deleted', 'destroyed', 'absent'] as const)('calls a secret missing that is %s (S1.4)', async (how) => {
    bench.server.loseSecret('ALPHA', how);
    expect(await stateOf('ALPHA')).toBe('missing');
  });

  it('calls a secret missing whose field is not there, and present when its value is empty (S1.4)', async () => {
    bench.server.putSecretData('ALPHA', { other: VALUE });
    bench.server.putSecretData('BETA', { value: '' });
    expect([await stateOf('ALPHA'), await stateOf('BETA')]).toEqual(['missing', 'present']);
  });

  it('takes the field to be there where fields can not be looked at', async () => {
    bench.server.deny({ path: /^kv\/subkeys\// });
    expect(await stateOf('ALPHA')).toBe('present');
  });

  it.each([
    ['deleted', { deletion_time: '2026-11-20T00:00:00Z', destroyed: false }, 'missing'],
    ['to be deleted later', { deletion_time: '2999-11-20T00:00:00Z', destroyed: false }, 'present'],
    ['destroyed', { deletion_time: '', destroyed: true }, 'missing'],
    ['not the current one', null, 'missing'],
  ])('goes by the metadata alone where it has to, for a version that is %s', async (_, version, state) => {
    bench.server.deny({ path: /^kv\/subkeys\// });
    const versions = version === null ? {} : { 3: version };
    bench.server.answer(200, { path: /^kv\/metadata\// }, { data: { current_version: 3, versions } });
    expect(await stateOf('ALPHA')).toBe(state);
  });

  it('says where a secret lies in the words of the store, without asking it', () => {
    expect(access.placeOf?.('ALPHA')).toBe('kv/edge/runner/ALPHA, field value');
    expect(bench.server.requests).toEqual([]);
  });

  it('asks nothing about what is no name of a secret', async () => {
    expect(await stateOf('../../sys/seal')).toBe('missing');
    expect(bench.server.requests).toEqual([]);
  });

  it('reads no value (S1.3)', async () => {
    await access.states(['ALPHA', 'BETA', 'GAMMA']);
    expect(bench.server.valuesRead).toEqual([]);
    expect(bench.server.seen(/\/data\//)).toEqual([]);
  });

  it('takes a mount that is not there for no verdict on a secret', async () => {
    const body = { errors: ['no handler for route "kv/metadata/edge/runner/ALPHA". route entry not found.'] };
    bench.server.answer(404, { path: /^kv\// }, body);
    await expect(access.states(['ALPHA'])).rejects.toThrow('nothing is mounted there');
  });

  it.each([
    ['default backend - 404', TransientError],
    [{}, TransientError],
    [{ errors: ['namespace not found'] }, StalledError],
  ])('take a 404 of %j, which says nothing of a secret, for no verdict on it (promise 5, S1.4)', async (body, kind) => {
    const told = bench.server.answer(404, {}, body);
    await expect(access.states(['ALPHA'])).rejects.toThrow(kind);
    told.stop();
    bench.server.answer(404, { path: /^kv\/subkeys\// }, body);
    expect(await stateOf('ALPHA').catch(() => 'no verdict')).not.toBe('missing');
  });
});
