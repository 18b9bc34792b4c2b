import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StalledError } from '../../src/errors.ts';
import type { Access, Grant, GrantRequest } from '../../src/ports/access.ts';
import { grantRequest } from '../contract/access.contract.ts';
import { makeVaultBench, type VaultBench } from '../fakes/vault-access-bench.ts';

const LOOK_UP = /^auth\/token\/lookup-accessor$/;

describe('verifying a grant of a secret store (promise 2)', () => {
  let bench: VaultBench;
  let access: Access;

  beforeEach(async () => {
    bench = await makeVaultBench();
    ({ access } = bench);
    for (const name of ['ALPHA', 'BETA']) bench.server.putSecret(name, 'the value of a secret');
  });

  afterEach(() => bench.close());

  const minted = async (change: Partial<GrantRequest> = {}): Promise<[GrantRequest, Grant]> => {
    const request = grantRequest(['ALPHA'], change);
    return [request, await access.grant(request)];
  };

  it.each([
    [
      'has one policy more',
      (): unknown => bench.server.mint.add.push('runner-BETA'),
      'policies are not those asked for',
    ],
    [
      'has one policy fewer',
      (): unknown => bench.server.mint.drop.push('runner-alpha'),
      'policies are not those asked for',
    ],
    ['ends with our own', (): unknown => (bench.server.mint.notOrphan = true), 'not an orphan'],
    [
      'has a policy that does not exist',
      (): unknown => bench.server.removePolicy('runner-alpha'),
      'do their policies exist?',
    ],
    ['can not end itself', (): unknown => bench.server.removePolicy('edge-run'), 'does the policy edge-run exist?'],
    [
      'may write its secret',
      (): unknown => bench.server.putPolicy('runner-alpha', open('kv/data/edge/runner/ALPHA', '"read", "update"')),
      'may not just read: ALPHA',
    ],
    [
      'may read the secrets of others',
      (): unknown => bench.server.putPolicy('runner-alpha', open('kv/data/edge/runner/*', '"read"')),
      'may also use: BETA',
    ],
    [
      'may make tokens',
      (): unknown =>
        bench.server.putPolicy('edge-run', `${RUN_ITSELF}\n${open('auth/token/create/edge-run', '"update"')}`),
      'may also use the paths: auth/token/create/edge-run',
    ],
  ] as const)('refuses a token that %s', async (_, arm, message) => {
    arm();
    const [request, grant] = await minted();
    const error: unknown = await access.verify(request, grant).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(StalledError);
    expect(String(error)).toContain(message);
  });

  it.each([
    ['of an identity', { identity_policies: ['admin'] }, 'policies of an identity'],
    ['of an entity', { entity_id: '7d2e3179' }, 'policies of an identity'],
    ['of another role', { path: 'auth/token/create/another' }, 'not of our role'],
    ['of a role with another path', { path: 'auth/token/create/edge-run/more' }, 'not of our role'],
    ['renewable', { renewable: true }, 'it can be renewed'],
    ['a batch token', { type: 'batch' }, 'no service token without count'],
    ['counted', { num_uses: 3 }, 'no service token without count'],
    ['too long-lived', { creation_ttl: 841 }, 'it lives longer than asked for'],
    ['without end', { ttl: 0 }, 'it never ends'],
    ['without purpose', { meta: null }, 'of another attempt, or of other bytes'],
  ])('refuses a token that is %s', async (_, change, message) => {
    const [request, grant] = await minted();
    const data = await lookedUp(grant.accessor);
    const told = bench.server.answer(200, { path: LOOK_UP }, { data: { ...data, ...change } });
    await expect(access.verify(request, grant)).rejects.toThrow(message);
    expect(told.hits).toBe(1);
  });

  async function lookedUp(accessor: string): Promise<object> {
    const headers = { 'X-Vault-Token': bench.server.rootToken };
    const sent = { method: 'POST', headers, body: JSON.stringify({ accessor }) };
    const answer = await fetch(`${bench.server.address}/v1/auth/token/lookup-accessor`, sent);
    return ((await answer.json()) as { data: object }).data;
  }

  it('refuses a policy that opens the whole folder, also where there is no other secret', async () => {
    bench.server.loseSecret('BETA', 'absent');
    bench.server.putPolicy('runner-alpha', open('kv/data/edge/runner/*', '"read"'));
    const [request, grant] = await minted();
    await expect(access.verify(request, grant)).rejects.toThrow('may also use the paths');
  });

  it('refuses a role that cuts the token shorter than its wrapper', async () => {
    const [request, grant] = await minted({ wrapSeconds: 1000 });
    await expect(access.verify(request, grant)).rejects.toThrow('it lives shorter than its wrapper');
  });

  it('refuses a grant for other bytes', async () => {
    const [request, grant] = await minted();
    const blobs = { ...request.blobs, formula: request.blobs.action };
    await expect(access.verify({ ...request, blobs }, grant)).rejects.toThrow('of another attempt, or of other bytes');
  });

  it('refuses a token that was revoked meanwhile', async () => {
    const [request, grant] = await minted();
    await access.revoke(grant.accessor, request.token);
    await expect(access.verify(request, grant)).rejects.toThrow('not there any more');
  });

  it('lists the secrets once a minute, not once an attempt', async () => {
    const listed = (): number => bench.server.seen(/^kv\/metadata\/edge\/runner\/?$/).length;
    for (let times = 0; times < 3; times += 1) await access.verify(...(await minted()));
    expect(listed()).toBe(1);
    bench.pass(61);
    await access.verify(...(await minted()));
    expect(listed()).toBe(2);
  });
});

const RUN_ITSELF = `${open('auth/token/lookup-self', '"read"')}\n${open('auth/token/revoke-self', '"update"')}`;

function open(path: string, capabilities: string): string {
  return `path "${path}" { capabilities = [${capabilities}] }`;
}
