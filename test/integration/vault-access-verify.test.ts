import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StalledError, TransientError } from '../../src/errors.ts';
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

  it.each([
    ['tokens', 'auth/token/create', '"update"', 'auth/token/create'],
    ['orphans', 'auth/token/create-orphan', '"update"', 'auth/token/create-orphan'],
    [
      'tokens of any role',
      'auth/token/create/+',
      '"update"',
      'auth/token/create/edge-run, auth/token/create/no-such-secret',
    ],
    ['its role', 'auth/token/roles/edge-run', '"update"', 'auth/token/roles/edge-run'],
    ['policies', 'sys/policies/acl/*', '"create", "update"', 'sys/policies/acl/no-such-secret'],
    ['policies by their old path', 'sys/policy/*', '"update"', 'sys/policy/no-such-secret'],
    ['logins', 'auth/jwt-nomad/role/*', '"update"', 'auth/jwt-nomad/role/edge-dispatcher'],
    ['identities', 'identity/*', '"update"', 'identity/entity'],
    ['mounts', 'sys/mounts/*', '"update"', 'sys/mounts/no-such-secret'],
    ['ways to log in', 'sys/auth/*', '"update", "sudo"', 'sys/auth/no-such-secret'],
    ['the fields of all secrets', 'kv/subkeys/edge/runner/*', '"read"', 'kv/subkeys/edge/runner/no-such-secret'],
    ['all that lies beside the folder', 'kv/data/+', '"read"', 'kv/data/no-such-secret'],
  ])('refuses a policy that also gives %s, by the path', async (_, path, capabilities, told) => {
    bench.server.putPolicy('runner-alpha', `${READ_ALPHA}\n${open(path, capabilities)}`);
    const [request, grant] = await minted();
    await expect(access.verify(request, grant)).rejects.toThrow(`the token may also use the paths: ${told}`);
  });

  it.each([
    ['of another spelling', 'db-password', 'kv/data/edge/runner/db-password', 'db-password'],
    ['in a folder of the folder', 'team/key', 'kv/data/edge/runner/team/*', 'team/'],
  ])('refuses a policy that also gives a secret %s', async (_, name, path, told) => {
    bench.server.putSecret(name, 'the value of another');
    bench.server.putPolicy('runner-alpha', `${READ_ALPHA}\n${open(path, '"read"')}`);
    const [request, grant] = await minted();
    await expect(access.verify(request, grant)).rejects.toThrow(`the token may also use: ${told}`);
  });

  it('takes no list of secrets that a proxy answered with 404 for an empty one', async () => {
    bench.server.putPolicy('runner-alpha', `${READ_ALPHA}\n${open('kv/data/edge/runner/BETA', '"read"')}`);
    const [request, grant] = await minted();
    bench.server.answer(404, { path: /^kv\/metadata\/edge\/runner\/?$/, times: 1 }, 'default backend - 404');
    await expect(access.verify(request, grant)).rejects.toThrow(TransientError);
    await expect(access.verify(request, grant)).rejects.toThrow('the token may also use: BETA');
  });

  it('refuses a token that is not bound to the addresses of the configuration, and passes one that is', async () => {
    const change = { bound_cidrs: ['10.1.0.0/16', '192.0.2.7/32'] };
    const bound = bench.open(change);
    const [request, grant] = await minted();
    await expect(bound.verify(request, grant)).rejects.toThrow('not bound to the addresses of bound_cidrs');
    await bench.deploy([], change);
    const [next, ofNext] = await minted();
    await bound.verify(next, ofNext);
    await expect(access.verify(next, ofNext)).rejects.toThrow('not bound to the addresses of bound_cidrs');
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

const READ_ALPHA = open('kv/data/edge/runner/ALPHA', '"read"');
const RUN_ITSELF = `${open('auth/token/lookup-self', '"read"')}\n${open('auth/token/revoke-self', '"update"')}`;

function open(path: string, capabilities: string): string {
  return `path "${path}" { capabilities = [${capabilities}] }`;
}
