import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { deployment } from '../../../../../src/adapters/access/vault/deployment.ts';
import type { Catalogue, Change, Wanted } from '../../../../../src/adapters/factory.ts';
import { type SidecarJob, sidecarJobSection } from '../../../../../src/domain/config-sidecar.ts';
import { StalledError } from '../../../../../src/errors.ts';
import { makeVaultBench, type VaultBench, withToken } from '../../../../fakes/vault-access-bench.ts';

const SECTION = sidecarJobSection.parse({});
const CATALOGUE: Catalogue = {
  variants: [
    { job: 'sidecar', mounts: [] },
    { job: 'sidecar-gpg-ssh', mounts: ['gpg', 'ssh'] },
    { job: 'sidecars', mounts: [] },
    { job: 'vault-runner', mounts: [] },
  ],
  secrets: [],
  sidecarSeconds: 3600,
};

describe('deploy for sidecars, into a secret store (S2.1)', () => {
  let bench: VaultBench;

  beforeEach(async () => {
    bench = await makeVaultBench({}, { jwt: {} });
  });

  afterEach(() => bench.close());

  async function changes(
    sidecar: Partial<SidecarJob> = {},
    more: Partial<Wanted> = {},
    catalogue: Partial<Catalogue> = {},
  ): Promise<readonly Change[]> {
    const tools = withToken(bench.tools, bench.server.rootToken);
    const wanted = { ...tools.wanted, sidecar: { ...SECTION, ...sidecar }, ...more };
    const all = await deployment(bench.options, { ...tools, wanted }, { ...CATALOGUE, ...catalogue });
    return all.filter(({ what }) => !['policy service-dispatcher', 'policy edge-run', 'role edge-run'].includes(what));
  }

  async function apply(all: readonly Change[]): Promise<void> {
    for (const one of all) await one.apply();
  }

  async function call(path: string, { token = bench.server.rootToken, body }: { token?: string; body?: unknown } = {}) {
    const init = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) };
    const answer = await fetch(`${bench.server.address}/v1/${path}`, { headers: { 'X-Vault-Token': token }, ...init });
    return { status: answer.status, body: (await answer.json().catch(() => ({}))) as Record<string, unknown> };
  }

  /** What Nomad does for a task with this identity. */
  async function logIn(claims: Readonly<Record<string, unknown>>, role = 'edge-sidecar') {
    const jwt = JSON.stringify(claims);
    const own = { nomad_namespace: 'agents', nomad_task: 'runner', nomad_job_id: 'sidecar' };
    bench.server.acceptJwt(jwt, { ...own, ...claims });
    return call('auth/jwt-nomad/login', { token: '', body: { jwt, role } });
  }

  async function tokenFor(claims: Readonly<Record<string, unknown>>): Promise<string> {
    const { body } = await logIn(claims);
    return (body['auth'] as { client_token: string }).client_token;
  }

  it('is a policy and a login role, in which nothing is left to do afterwards', async () => {
    const first = await changes();
    expect(first.map(({ what, kind }) => [what, kind])).toEqual([
      ['policy edge-sidecar', 'new'],
      ['role edge-sidecar of auth/jwt-nomad', 'new'],
    ]);
    await apply(first);
    expect((await changes()).map(({ kind, difference }) => [kind, difference])).toEqual([
      ['same', []],
      ['same', []],
    ]);
  });

  it('lets every variant of the job log in, in its namespace, and nobody else', async () => {
    await apply(await changes());
    const statusOf = async (claims: Readonly<Record<string, unknown>>) => (await logIn(claims)).status;
    expect(await statusOf({})).toBe(200);
    expect(await statusOf({ nomad_job_id: 'sidecar-gpg-ssh' })).toBe(200);
    expect(await statusOf({ nomad_job_id: 'sidecars' })).toBe(400);
    expect(await statusOf({ nomad_job_id: 'vault-runner' })).toBe(400);
    expect(await statusOf({ nomad_namespace: 'other' })).toBe(400);
    expect(await statusOf({ nomad_task: 'another' })).toBe(400);
    expect(await statusOf({ aud: 'elsewhere' })).toBe(400);
  });

  it('gives a token that reads the bot token, nothing else, and no longer than a run may take', async () => {
    await apply(await changes());
    const token = await tokenFor({});
    const told = (await call('auth/token/lookup', { body: { token } })).body['data'];
    const life = 3600 + 600 + 120;
    expect(told).toMatchObject({ policies: ['edge-sidecar'], explicit_max_ttl: life, creation_ttl: life });
    expect(told).toMatchObject({ type: 'service', num_uses: 0, orphan: true });
    await call('kv/data/edge/sidecar/bot', { body: { data: { value: 'bot' } } });
    await call('kv/data/edge/sidecar/bot-2', { body: { data: { value: 'other' } } });
    expect((await call('kv/data/edge/sidecar/bot', { token })).status).toBe(200);
    expect((await call('kv/data/edge/sidecar/bot-2', { token })).status).toBe(403);
    expect((await call('kv/metadata/edge/sidecar/bot', { token })).status).toBe(403);
    expect((await call('kv/data/edge/sidecar/bot', { token, body: { data: { value: 'mine' } } })).status).toBe(403);
    expect((await call('auth/token/renew-self', { token, body: {} })).status).toBe(403);
  });

  it('uses the names of the configuration everywhere', async () => {
    const names = { bot_token_path: 'secret/data/bots/forge', vault_role: 'issue-bots', audience: 'store.example' };
    await apply(await changes(names, { engineNamespace: 'chores' }, { sidecarSeconds: 5400 }));
    const policy = (await call('sys/policies/acl/issue-bots')).body['data'] as { policy: string };
    expect(policy.policy).toContain('path "secret/data/bots/forge"');
    expect(policy.policy.match(/^path /gm)).toHaveLength(1);
    expect((await call('auth/jwt-nomad/role/issue-bots')).body['data']).toMatchObject({
      bound_audiences: ['store.example'],
      bound_claims: { nomad_namespace: ['chores'], nomad_job_id: ['sidecar', 'sidecar-gpg-ssh'] },
      token_policies: ['issue-bots'],
      token_ttl: 6120,
      token_explicit_max_ttl: 6120,
    });
  });

  it('shows what somebody changed, and sets it right', async () => {
    await apply(await changes());
    const widened = { bound_claims: { nomad_namespace: ['agents', 'other'] }, token_no_default_policy: false };
    await call('auth/jwt-nomad/role/edge-sidecar', { body: widened });
    const role = (await changes())[1];
    expect(role?.kind).toBe('changed');
    expect(role?.difference.map((line) => line.split(':')[0])).toEqual(['bound_claims', 'token_no_default_policy']);
    await role?.apply();
    expect((await changes()).map(({ kind }) => kind)).toEqual(['same', 'same']);
  });

  it('says what to do where nothing is mounted to log in at, before anything is changed', async () => {
    const planned = changes({ auth_mount: 'elsewhere' });
    await expect(planned).rejects.toThrow(StalledError);
    await expect(planned).rejects.toMatchObject({
      code: 'ERR_ACCESS_DENIED',
      message: 'the secret store: nothing is mounted at auth/elsewhere',
      hint: expect.stringContaining('vault auth enable -path=elsewhere jwt'),
    });
  });

  it.each<readonly [string, Partial<SidecarJob>, Partial<Wanted>, Partial<Catalogue>]>([
    ['sidecars', {}, { sidecar: null }, { sidecarSeconds: null }],
    ['a bot token', { bot_token_path: null }, {}, {}],
    ['Nomad', {}, { engineNamespace: null }, {}],
  ])('is nothing without %s', async (_, sidecar, wanted, catalogue) => {
    expect(await changes(sidecar, wanted, catalogue)).toEqual([]);
  });

  it('is what the files of vault/ hold, for the default names and formulas of an hour', async () => {
    await apply(await changes({}, {}, { variants: [{ job: 'sidecar', mounts: [] }] }));
    const file = JSON.parse(readFileSync('vault/roles/edge-sidecar.json', 'utf8')) as Record<string, unknown>;
    expect((await call('auth/jwt-nomad/role/edge-sidecar')).body['data']).toMatchObject(file);
    const policy = (await call('sys/policies/acl/edge-sidecar')).body['data'] as { policy: string };
    expect(policy.policy).toBe(readFileSync('vault/policies/edge-sidecar.hcl', 'utf8'));
  });
});
