import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { deployment } from '../../../../../src/adapters/access/vault/deployment.ts';
import type { VaultOptions } from '../../../../../src/adapters/access/vault/options.ts';
import type { Change } from '../../../../../src/adapters/factory.ts';
import { StalledError } from '../../../../../src/errors.ts';
import { makeVaultBench, type VaultBench, withToken } from '../../../../fakes/vault-access-bench.ts';

const SECRETS = ['ALPHA', 'NPM_TOKEN'];

describe('deploy into a secret store', () => {
  let bench: VaultBench;

  beforeEach(async () => {
    bench = await makeVaultBench();
  });

  afterEach(() => bench.close());

  function changes(change: Partial<VaultOptions> = {}, wrapSeconds = 720): Promise<readonly Change[]> {
    const tools = withToken(bench.tools, bench.server.rootToken);
    const wanted = { ...tools.wanted, wrapSeconds };
    return deployment(
      { ...bench.options, ...change },
      { ...tools, wanted },
      { variants: [], secrets: SECRETS, sidecarSeconds: null },
    );
  }

  async function apply(all: readonly Change[]): Promise<void> {
    for (const one of all) await one.apply();
  }

  async function read(path: string): Promise<Record<string, unknown>> {
    const headers = { 'X-Vault-Token': bench.server.rootToken };
    const answer = await fetch(`${bench.server.address}/v1/${path}`, { headers });
    return ((await answer.json()) as { data: Record<string, unknown> }).data;
  }

  it('is one policy for each secret, two more and a role, in which nothing is left to do afterwards', async () => {
    const first = await changes();
    expect(first.map(({ what, kind }) => [what, kind])).toEqual([
      ['policy service-dispatcher', 'same'],
      ['policy edge-run', 'same'],
      ['policy runner-ALPHA', 'new'],
      ['policy runner-NPM_TOKEN', 'new'],
      ['role edge-run', 'same'],
    ]);
    await apply(first);
    expect(new Set((await changes()).map(({ kind }) => kind))).toEqual(new Set(['same']));
    expect((await changes()).flatMap(({ difference }) => difference)).toEqual([]);
  });

  it('changes nothing before it is applied', async () => {
    bench.server.forget();
    await changes({ role: 'another', kv_mount: 'elsewhere' });
    expect(new Set(bench.server.requests.map(({ method }) => method))).toEqual(new Set(['GET']));
  });

  it('lets a policy of a secret read that one path, in its own case', async () => {
    await apply(await changes());
    const { policy } = await read('sys/policies/acl/runner-npm_token');
    expect(policy).toContain('path "kv/data/edge/runner/NPM_TOKEN" {\n  capabilities = ["read"]\n}');
    expect(policy).not.toContain('path "kv/data/edge/runner/{name}"');
  });

  it('uses the names of the configuration everywhere', async () => {
    const named = { role: 'my-role', kv_mount: 'team/secrets', secret_path: 'runs/of/{name}' };
    await apply(await changes(named));
    const { policy } = await read('sys/policies/acl/service-dispatcher');
    const paths = [...String(policy).matchAll(/^path "([^"]*)"/gm)].map(([, path]) => path);
    expect(paths).toEqual([
      'auth/token/create/my-role',
      'auth/token/roles/my-role',
      'auth/token/lookup-accessor',
      'sys/capabilities-accessor',
      'auth/token/revoke-accessor',
      'team/secrets/metadata/runs/of/*',
      'team/secrets/subkeys/runs/of/*',
      'auth/token/lookup-self',
      'auth/token/renew-self',
    ]);
    expect((await read('sys/policies/acl/runner-alpha'))['policy']).toContain('"team/secrets/data/runs/of/ALPHA"');
    expect(await read('auth/token/roles/my-role')).toMatchObject({ orphan: true, allowed_policies: ['edge-run'] });
    expect(new Set((await changes(named)).map(({ kind }) => kind))).toEqual(new Set(['same']));
  });

  it('fits the role to how long runs may take to be placed, and to where they are', async () => {
    await apply(await changes());
    const [role] = (await changes({ bound_cidrs: ['10.0.0.0/8', '192.0.2.7/32'] }, 3600)).slice(-1);
    expect(role).toMatchObject({
      kind: 'changed',
      difference: ['token_explicit_max_ttl: 840 → 3720', 'token_bound_cidrs: [] → ["10.0.0.0/8","192.0.2.7"]'],
    });
  });

  it('shows which lines of a policy somebody changed, and sets it right', async () => {
    await apply(await changes());
    bench.server.putPolicy('runner-ALPHA', 'path "kv/data/edge/runner/*" {\n  capabilities = ["read"]\n}\n');
    const changed = (await changes()).filter(({ kind }) => kind !== 'same');
    expect(changed.map(({ what }) => what)).toEqual(['policy runner-ALPHA']);
    expect(changed[0]?.difference).toContain('policy: path "kv/data/edge/runner/*" { → (nothing)');
    expect(changed[0]?.difference).toContain('policy: (nothing) → path "kv/data/edge/runner/ALPHA" {');
    await apply(changed);
    expect(new Set((await changes()).map(({ kind }) => kind))).toEqual(new Set(['same']));
  });

  it('names the path of a right that moved from one path to another', async () => {
    await apply(await changes());
    const right = (path: string, capability: string): string =>
      `path "${path}" {\n  capabilities = ["${capability}"]\n}`;
    const swapped = [
      [right('auth/token/roles/edge-run', 'read'), right('auth/token/roles/edge-run', 'update')],
      [right('auth/token/lookup-accessor', 'update'), right('auth/token/lookup-accessor', 'read')],
    ] as const;
    const { policy } = await read('sys/policies/acl/service-dispatcher');
    for (const [before] of swapped) expect(policy).toContain(before);
    const other = swapped.reduce((text, [before, after]) => text.replace(before, after), String(policy));
    bench.server.putPolicy('service-dispatcher', other);
    const changed = (await changes()).filter(({ kind }) => kind !== 'same');
    expect(changed.map(({ what, difference }) => [what, difference])).toEqual([
      [
        'policy service-dispatcher',
        [
          'policy: path "auth/token/roles/edge-run" { capabilities = ["update"] → (nothing)',
          'policy: path "auth/token/lookup-accessor" { capabilities = ["read"] → (nothing)',
          'policy: (nothing) → path "auth/token/roles/edge-run" { capabilities = ["read"]',
          'policy: (nothing) → path "auth/token/lookup-accessor" { capabilities = ["update"]',
        ],
      ],
    ]);
  });

  it("needs an operator's token", async () => {
    const tools = withToken(bench.tools, bench.daemonToken);
    const asked = deployment(bench.options, tools, { variants: [], secrets: SECRETS, sidecarSeconds: null });
    await expect(asked).rejects.toThrow(StalledError);
  });
});
