import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/adapters/clock.ts';
import { NomadClient } from '../../src/adapters/engines/nomad/client.ts';
import { credentialsOf } from '../../src/adapters/engines/nomad/credentials.ts';
import { nomadDeployment } from '../../src/adapters/engines/nomad/deployment.ts';
import { type NomadOptions, nomadOptions } from '../../src/adapters/engines/nomad/options.ts';
import { sidecarJobSection } from '../../src/domain/config-sidecar.ts';
import { SecretText } from '../../src/domain/secret-text.ts';
import { StalledError } from '../../src/errors.ts';
import { grantsOf } from '../fakes/nomad/acl.ts';
import { DAEMON_CAPABILITIES, FakeNomad, MANAGEMENT_TOKEN } from '../fakes/nomad/fake-nomad.ts';
import { WANTED } from '../fakes/tools.ts';

const tools = {
  runner: ['/usr/bin/node', '/opt/edge-dispatcher/dist/runner/main.js'],
  wanted: { ...WANTED, mounts: { ssh: { path: null, hostVolume: 'agent-ssh' } } },
};
const catalogue = {
  variants: [
    { job: 'vault-runner', mounts: [] },
    { job: 'vault-runner-ssh', mounts: ['ssh'] },
  ],
  secrets: [],
  sidecarSeconds: null,
};

let nomad: FakeNomad;
let clients: NomadClient[];

beforeEach(async () => {
  nomad = await FakeNomad.start({ namespace: 'other' });
  clients = [];
});

afterEach(async () => {
  for (const client of clients) client.close();
  await nomad.close();
});

function clientFor(options: NomadOptions, token: string): NomadClient {
  const timing = { timeoutMs: 5_000, idleMs: 5_000, deniedMs: 0, recheckMs: 10 };
  const credentials = credentialsOf(options, new SecretText(token));
  const client = new NomadClient(options, { clock: systemClock, credentials, timing });
  clients.push(client);
  return client;
}

function deployment(given: Partial<NomadOptions> = {}, token = MANAGEMENT_TOKEN) {
  const options = nomadOptions.parse({ address: nomad.address, ...given });
  return nomadDeployment(clientFor(options, token), options, tools, catalogue);
}

const brief = (changes: Awaited<ReturnType<typeof deployment>>) => changes.map(({ what, kind }) => `${kind} ${what}`);

async function deploy(given: Partial<NomadOptions> = {}) {
  for (const change of await deployment(given)) await change.apply();
}

describe('nomadDeployment', () => {
  it('makes everything that is missing, and changes nothing before it is applied', async () => {
    const changes = await deployment();
    expect(brief(changes)).toEqual([
      'new namespace agents',
      'new ACL policy edge-dispatcher',
      'new job vault-runner',
      'new job vault-runner-ssh',
    ]);
    expect(changes.map(({ difference }) => difference.length > 0)).toEqual([true, true, true, true]);
    expect(brief(await deployment())).toEqual(brief(changes));
    for (const change of changes) await change.apply();
    expect(nomad.state.job('agents', 'vault-runner-ssh')).toMatchObject({ Namespace: 'agents', Type: 'batch' });
  });

  it('finds nothing to do the second time, and applying that does nothing', async () => {
    await deploy();
    const again = await deployment();
    expect(again.map(({ kind, difference }) => ({ kind, difference }))).toEqual(
      again.map(() => ({ kind: 'same', difference: [] })),
    );
    const before = nomad.state.job('agents', 'vault-runner')?.JobModifyIndex;
    for (const change of again) await change.apply();
    expect(nomad.state.job('agents', 'vault-runner')?.JobModifyIndex).toBe(before);
  });

  it('shows what differs and sets it right', async () => {
    await deploy();
    const changed = await deployment({ cpu: 1000, image: 'registry.example/edge:2' });
    expect(changed.find(({ what }) => what === 'job vault-runner')).toMatchObject({
      kind: 'changed',
      difference: ['task.Resources.CPU: 500 → 1000', 'task.Config.image: another value → "registry.example/edge:2"'],
    });
    for (const change of changed) await change.apply();
    expect(brief(await deployment({ cpu: 1000, image: 'registry.example/edge:2' }))).toContain('same job vault-runner');
  });

  it('gives the dispatcher exactly what it needs, in the namespace of its runs only', async () => {
    await deploy({ namespace: 'chores' });
    const rules = nomad.acl.policies.get('edge-dispatcher')?.Rules ?? '';
    expect(grantsOf(rules)).toEqual([{ name: 'chores', capabilities: [...DAEMON_CAPABILITIES] }]);
  });

  it('gives the right to read files for artifacts only', async () => {
    await deploy();
    const changes = await deployment({ artifacts: true });
    expect(changes.find(({ what }) => what === 'ACL policy edge-dispatcher')).toMatchObject({
      kind: 'changed',
      difference: ['rules: none → "read-fs",'],
    });
  });

  it('keeps the job that an operator attached the policy to', async () => {
    const JobACL = { Namespace: 'edge', JobID: 'edge-dispatcher', Group: '', Task: '' };
    const registered = { Name: 'edge-dispatcher', Description: 'ours', Rules: 'namespace "other" {}', JobACL };
    nomad.faults.answer(200, JSON.stringify(registered), { pattern: /^GET \/v1\/acl\/policy\//, times: 1 });
    const sent: unknown[] = [];
    const options = nomadOptions.parse({ address: nomad.address });
    const client = clientFor(options, MANAGEMENT_TOKEN);
    const changes = await nomadDeployment(
      {
        get: client.get.bind(client),
        send: (call, body, schema) => {
          sent.push(body);
          return client.send(call, body, schema);
        },
      },
      options,
      tools,
      catalogue,
    );
    await changes.find(({ what }) => what === 'ACL policy edge-dispatcher')?.apply();
    expect(sent).toMatchObject([{ Name: 'edge-dispatcher', Description: 'ours', JobACL }]);
  });

  it('leaves out what raw_exec can not mount', async () => {
    expect(brief(await deployment({ driver: 'raw_exec' })).slice(2)).toEqual(['new job vault-runner']);
  });

  describe('of sidecars (S2.1)', () => {
    const sidecars = {
      variants: [...catalogue.variants, { job: 'sidecar', mounts: [] }, { job: 'sidecar-ssh', mounts: ['ssh'] }],
      secrets: [],
      sidecarSeconds: 3600,
    };
    const plan = (given: Partial<NomadOptions> = {}, job: Readonly<Record<string, string>> = {}) => {
      const options = nomadOptions.parse({ address: nomad.address, ...given });
      const wanted = { ...tools.wanted, sidecar: sidecarJobSection.parse(job) };
      return nomadDeployment(clientFor(options, MANAGEMENT_TOKEN), options, { ...tools, wanted }, sidecars);
    };
    const nothing = { bot_token_path: '', project_repos: '', ops_repo: '', agent_data: '' };

    it('shows what the job would have in its hands, registers it, and has nothing to do afterwards', async () => {
      const changes = await plan();
      expect(changes.find(({ what }) => what === 'job sidecar-ssh')).toMatchObject({
        kind: 'new',
        difference: [
          'job sidecar-ssh: none → docker',
          'volume ssh: none → host volume agent-ssh, read-only',
          'volume project-repos: none → host volume project-repos, read-only',
          'volume ops-repo: none → host volume ops-repo, read-only',
          'volume agent-data: none → host volume agent-data, writable',
          'secret store: none → what the role edge-sidecar may read, by Nomad',
        ],
      });
      for (const change of changes) await change.apply();
      expect(new Set((await plan()).map(({ kind }) => kind))).toEqual(new Set(['same']));
    });

    it('shows a volume that changed and a template that is gone', async () => {
      for (const change of await plan()) await change.apply();
      const changes = await plan({}, { ops_repo: 'other', bot_token_path: '' });
      const change = changes.find(({ what }) => what === 'job sidecar');
      expect(change?.difference.join('\n')).toMatch(
        /group\.Volumes: .*host ops-repo, read-only.* → .*host other, read-only/,
      );
      expect(change?.difference).toContain('task.Templates: set → none');
      expect(change?.difference).toContain('task.Vault: set → none');
    });

    it('are nothing for raw_exec but with empty hands', async () => {
      await expect(plan({ driver: 'raw_exec' })).rejects.toThrow(
        /raw_exec can not give sidecars bot_token_path, project/,
      );
      expect(brief(await plan({ driver: 'raw_exec' }, nothing)).slice(2)).toEqual([
        'new job vault-runner',
        'new job sidecar',
      ]);
    });
  });

  it('says so when the token may not', async () => {
    await expect(deployment({}, '10000000-0000-4000-8000-00000000000f')).rejects.toThrow(StalledError);
  });
});

describe('deploy/nomad/edge-dispatcher.policy.hcl', () => {
  it('is good as it stands: for the default namespace, without the right to read files', async () => {
    const rules = await readFile('deploy/nomad/edge-dispatcher.policy.hcl', 'utf8');
    expect(grantsOf(rules)).toEqual([{ name: 'agents', capabilities: [...DAEMON_CAPABILITIES] }]);
  });
});
