import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { vault } from '../../src/adapters/access/vault.ts';
import { sidecarJobSection } from '../../src/domain/config-sidecar.ts';
import type { Access } from '../../src/ports/access.ts';
import { makeVaultBench, type VaultBench, withToken } from '../fakes/vault-access-bench.ts';

const ROLE = 'auth/token/roles/edge-run';
const LOGIN = 'auth/jwt-nomad/role/edge-dispatcher';
const CANARY = 'no-such-secret';

describe('the checks of access to a secret store', () => {
  let bench: VaultBench;

  beforeEach(async () => {
    bench = await makeVaultBench();
    bench.server.putSecret('ALPHA', 'the value of alpha');
  });

  afterEach(() => bench.close());

  /** Of those that are not good, name, code and text. */
  async function problems(access: Access = bench.access): Promise<string[]> {
    const checks = await access.check();
    return checks.filter(({ ok }) => !ok).map(({ name, code, message }) => `${name} ${code}: ${message}`);
  }

  const policy = (name: string, more: string): void => bench.server.putPolicy(name, more);
  const open = (path: string, capabilities: string): string => `path "${path}" { capabilities = [${capabilities}] }`;

  async function write(path: string, body: unknown): Promise<void> {
    const headers = { 'X-Vault-Token': bench.server.rootToken };
    await fetch(`${bench.server.address}/v1/${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
  }

  async function ownPolicy(): Promise<string> {
    const headers = { 'X-Vault-Token': bench.server.rootToken };
    const answer = await fetch(`${bench.server.address}/v1/sys/policies/acl/service-dispatcher`, { headers });
    return ((await answer.json()) as { data: { policy: string } }).data.policy;
  }

  it('are all good after our own deployment, and have a name each (S1.6)', async () => {
    const checks = await bench.access.check();
    expect(checks.map(({ name }) => name)).toEqual([
      'access.vault.transport',
      'access.vault.server',
      'access.vault.clock',
      'access.vault.token',
      'access.vault.rights',
      'access.vault.role',
      'access.vault.metadata',
    ]);
    expect(checks.filter(({ ok }) => !ok)).toEqual([]);
  });

  it.each([
    ['sealed', () => (bench.server.sealed = true), 'it is sealed'],
    ['not there', () => bench.server.cut(), 'it can not be reached (ECONNRESET)'],
    ['no such server', () => bench.server.answer(404, {}, 'page not found'), 'its answer can not be read (404)'],
  ])('say so when the server is %s, and ask no more', async (_, arm, text) => {
    arm();
    const found = await problems();
    expect(found).toHaveLength(1);
    expect(found[0]).toContain('access.vault.server ERR_ACCESS_UNAVAILABLE: ');
    expect(found[0]).toContain(text);
    expect(bench.server.requests.map(({ path }) => path)).toEqual(['sys/health']);
  });

  it('say so when the server is not initialised', async () => {
    const body = { initialized: false, sealed: true, standby: true, version: '2.6.2' };
    bench.server.answer(501, { path: /health/ }, body);
    expect(await problems()).toEqual(['access.vault.server ERR_ACCESS_DENIED: the secret store is not initialised']);
  });

  it('are good for a standby that forwards', async () => {
    bench.server.standby = 'forwarding';
    expect(await problems()).toEqual([]);
  });

  it('say so for a standby that does not', async () => {
    bench.server.standby = 'alone';
    expect((await problems()).join()).toMatch(/^access\.vault\.token ERR_ACCESS_UNAVAILABLE: /);
  });

  it('measure the clocks against each other (R24)', async () => {
    bench.server.advance(29_000);
    expect(await problems()).toEqual([]);
    bench.server.advance(11_000);
    expect((await problems()).join()).toMatch(/^access\.vault\.clock ERR_CLOCK_SKEW: .* differ by (?:39|40|41) s$/);
  });

  it('refuse a root token (R5)', async () => {
    const found = await problems(bench.open({}, bench.server.rootToken));
    expect(found).toContain('access.vault.token ERR_ACCESS_EXCESS: the dispatcher has a root token');
  });

  it('tell a token that the store does not know', async () => {
    bench.server.expire(bench.daemonToken);
    expect((await problems()).join()).toContain('access.vault.token ERR_ACCESS_DENIED: ');
  });

  it.each([
    ['reads one secret', 'kv/data/edge/runner/ALPHA', '"read"'],
    ['reads all of the folder', 'kv/data/edge/runner/*', '"read"'],
    ['reads all of the mount', 'kv/data/*', '"read"'],
    ['may write a secret', 'kv/data/edge/runner/*', '"create"'],
    ['makes tokens without the role', 'auth/token/create', '"update"'],
    ['makes tokens that are its own', 'auth/token/create-orphan', '"update"'],
    ['makes tokens of other roles', 'auth/token/create/*', '"update"'],
    ['writes its role', ROLE, '"read", "update"'],
    ['writes policies', 'sys/policies/acl/*', '"update"'],
    ['mounts', 'sys/mounts/*', '"update"'],
    ['sets up logins', 'sys/auth/*', '"create", "sudo"'],
  ])('refuse a token of the dispatcher that %s (S1.3)', async (_, path, capabilities) => {
    const ours = open('auth/token/lookup-self', '"read"') + open('sys/capabilities-accessor', '"update"');
    policy(
      'service-dispatcher',
      `${ours}${open('kv/metadata/edge/runner/*', '"read", "list"')}${open(path, capabilities)}`,
    );
    expect((await problems()).join('\n')).toContain(
      "access.vault.rights ERR_ACCESS_EXCESS: the dispatcher's own token may use what it must not: ",
    );
  });

  it.each([
    [
      'reads a secret of another spelling',
      'kv/data/edge/runner/db-password',
      '"read"',
      'kv/data/edge/runner/db-password',
    ],
    ['reads what lies in a folder of the folder', 'kv/data/edge/runner/team/*', '"read"', 'kv/data/edge/runner/team/'],
    ['writes policies by their old path', 'sys/policy/*', '"update"', `sys/policy/${CANARY}`],
    ['writes its login', LOGIN, '"update"', LOGIN],
    ['writes identities', 'identity/*', '"create", "update"', 'identity/entity'],
    ['writes metadata', 'kv/metadata/edge/runner/*', '"update"', `kv/metadata/edge/runner/${CANARY}`],
    ['deletes secrets', 'kv/delete/edge/runner/*', '"update"', `kv/delete/edge/runner/${CANARY}`],
    ['brings secrets back', 'kv/undelete/edge/runner/*', '"update"', `kv/undelete/edge/runner/${CANARY}`],
    ['destroys secrets', 'kv/destroy/edge/runner/*', '"update"', `kv/destroy/edge/runner/${CANARY}`],
  ])('refuse a token of the dispatcher that %s, by the path (S1.3)', async (_, path, capabilities, told) => {
    for (const name of ['db-password', 'team/key']) bench.server.putSecret(name, 'the value of another');
    policy('service-dispatcher', `${await ownPolicy()}\n${open(path, capabilities)}`);
    expect(await problems()).toEqual([
      `access.vault.rights ERR_ACCESS_EXCESS: the dispatcher's own token may use what it must not: ${told}`,
    ]);
  });

  it.each([
    ['reads the bot token of sidecars', 'secret/data/bots/*', '"read"', 'secret/data/bots/forge'],
    ['writes their login', 'auth/nomad/role/*', '"update"', 'auth/nomad/role/issue-bots'],
  ])('refuse a token of the dispatcher that %s (S1.3, S2.1)', async (_, path, capabilities, told) => {
    const names = { bot_token_path: 'secret/data/bots/forge', auth_mount: 'nomad', vault_role: 'issue-bots' };
    const sidecar = sidecarJobSection.parse(names);
    const tools = withToken(bench.tools, bench.daemonToken);
    const access = vault.create(bench.options, { ...tools, wanted: { ...tools.wanted, sidecar } });
    const rights = async () => (await access.check()).find(({ name }) => name === 'access.vault.rights');
    expect(await rights()).toMatchObject({ ok: true });
    policy('service-dispatcher', `${await ownPolicy()}\n${open(path, capabilities)}`);
    expect(await rights()).toMatchObject({
      ok: false,
      code: 'ERR_ACCESS_EXCESS',
      message: expect.stringContaining(told),
    });
  });

  it('do not call the rights good while the secrets can not be listed (S1.3)', async () => {
    bench.server.answer(503, { path: /^kv\/metadata\/edge\/runner\/?$/, times: 1 }, { errors: ['busy'] });
    expect(await problems()).toEqual([
      'access.vault.rights ERR_ACCESS_UNAVAILABLE: the secret store: can not list the secrets: ' +
        'it has a fault of its own (503)',
    ]);
    policy('service-dispatcher', `${await ownPolicy()}\n${open('sys/policy/*', '"update"')}`);
    bench.server.answer(503, { path: /^kv\/metadata\/edge\/runner\/?$/ }, { errors: ['busy'] });
    expect((await bench.open().check()).find(({ name }) => name === 'access.vault.rights')).toMatchObject({
      ok: false,
      code: 'ERR_ACCESS_EXCESS',
    });
  });

  it('name the rights that the token of the dispatcher does not have', async () => {
    policy(
      'service-dispatcher',
      open('auth/token/lookup-self', '"read"') + open('sys/capabilities-accessor', '"update"'),
    );
    const found = await problems();
    expect(found.join('\n')).toContain(
      'access.vault.rights ERR_ACCESS_DENIED: our token has no right to: auth/token/create/edge-run, ' +
        'auth/token/lookup-accessor, auth/token/revoke-accessor, kv/metadata/edge/runner/',
    );
    expect(found.join('\n')).toContain('access.vault.metadata ERR_ACCESS_DENIED: ');
    expect(found.join('\n')).toContain('access.vault.role ERR_ACCESS_DENIED: ');
  });

  it.each([
    ['all policies', { allowed_policies_glob: ['*'] }, 'it allows other policies'],
    ['one more policy', { allowed_policies: ['edge-run', 'admin'] }, 'it allows other policies'],
    ['no list', { allowed_policies: [], allowed_policies_glob: [] }, 'it names no policies'],
    ['children', { orphan: false }, 'its tokens are no orphans'],
    ['the policy default', { token_no_default_policy: false }, 'its tokens have the policy default'],
    ['renewable tokens', { renewable: true }, 'its tokens can be renewed'],
    ['tokens of any life', { token_explicit_max_ttl: 0 }, 'its tokens have no explicit maximum of life'],
  ])('refuse a role that gives %s (R5)', async (_, change, text) => {
    await write(ROLE, change);
    const found = (await problems()).join('\n');
    expect(found).toContain('access.vault.role ERR_ACCESS_EXCESS: the role gives too much: ');
    expect(found).toContain(text);
  });

  it.each([
    ['does not give secrets', { allowed_policies_glob: ['runner-a*'] }, 'it does not allow runner-*'],
    ['does not give the policy of runs', { allowed_policies: ['runner-x'] }, 'it does not allow edge-run'],
    ['ends tokens early', { token_explicit_max_ttl: 600 }, 'its tokens end after 600 s, before the 840 s'],
    ['forbids policies of secrets', { disallowed_policies_glob: ['runner-a*'] }, 'it forbids policies'],
    ['forbids the policy of one secret', { disallowed_policies: ['runner-alpha'] }, 'it forbids policies'],
    [
      'binds tokens to addresses that nobody configured',
      { token_bound_cidrs: ['10.1.0.0/16'] },
      'its tokens are bound to other addresses than bound_cidrs',
    ],
  ])('tell a role that %s (R24)', async (_, change, text) => {
    await write(ROLE, change);
    const found = (await problems()).join('\n');
    expect(found).toContain('access.vault.role ERR_ACCESS_DENIED: the role gives too little: ');
    expect(found).toContain(text);
  });

  it('tell a role that does not bind tokens to the addresses of the configuration, until it is deployed', async () => {
    const change = { bound_cidrs: ['10.1.0.0/16', '192.0.2.7/32'] };
    expect(await problems(bench.open(change))).toEqual([
      'access.vault.role ERR_ACCESS_DENIED: the role gives too little: ' +
        'its tokens are bound to other addresses than bound_cidrs',
    ]);
    await bench.deploy([], change);
    expect(await problems(bench.open(change))).toEqual([]);
  });

  it('tell a role that is not there', async () => {
    const found = await problems(bench.open({ role: 'another' }));
    expect(found.filter((problem) => problem.startsWith('access.vault.role '))).toHaveLength(1);
  });

  it('say, without a failure, that http beyond this machine can be read on the way', async () => {
    // Reaches this machine, by an address that does not say so.
    const address = bench.server.address.replace('127.0.0.1', '0.0.0.0');
    const [transport, ...rest] = await bench.open({ address }).check();
    expect(transport).toMatchObject({ name: 'access.vault.transport', ok: true, code: null });
    expect(transport?.message).toContain('http to 0.0.0.0: tokens and secrets travel readable');
    expect(rest.filter(({ ok }) => !ok)).toEqual([]);
  });
});
