import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { drift } from '../../../../../src/adapters/engines/nomad/drift.ts';
import { jobSpec } from '../../../../../src/adapters/engines/nomad/jobspec.ts';
import { type NomadOptions, nomadOptions } from '../../../../../src/adapters/engines/nomad/options.ts';
import { job } from '../../../../../src/adapters/engines/nomad/types.ts';
import { type SidecarJob, sidecarJobSection } from '../../../../../src/domain/config-sidecar.ts';
import { jobVariant } from '../../../../../src/domain/job-variant.ts';
import { StalledError } from '../../../../../src/errors.ts';
import { WANTED } from '../../../../fakes/tools.ts';

const MIB = 1024 ** 2;
const tools = {
  runner: ['/usr/bin/node', '/opt/edge-dispatcher/dist/runner/main.js'],
  wanted: {
    ...WANTED,
    mounts: { ssh: { path: null, hostVolume: 'agent-ssh' }, sops: { path: '/home/agent/sops', hostVolume: null } },
  },
};

const spec = (given: Partial<NomadOptions> = {}, mounts: readonly string[] = []) =>
  jobSpec('vault-runner', mounts, nomadOptions.parse(given), tools);
const groupOf = (of: ReturnType<typeof spec>) => of.TaskGroups[0];
const taskOf = (of: ReturnType<typeof spec>) => groupOf(of)?.Tasks[0];

describe('jobSpec', () => {
  it('is started once and never again, on no other node either (R5)', () => {
    expect(groupOf(spec())).toMatchObject({
      Count: 1,
      RestartPolicy: { Attempts: 0, Mode: 'fail' },
      ReschedulePolicy: { Attempts: 0, Unlimited: false },
      Disconnect: { Replace: false },
    });
  });

  it('takes a payload and the five names of a dispatch, in the namespace of the options', () => {
    expect(spec({ namespace: 'chores', datacenters: ['a', 'b'] })).toMatchObject({
      ID: 'vault-runner',
      Type: 'batch',
      Namespace: 'chores',
      Datacenters: ['a', 'b'],
      ParameterizedJob: {
        Payload: 'required',
        MetaRequired: ['action_id', 'attempt', 'formula', 'mounts', 'secrets_csv'],
        MetaOptional: [],
      },
    });
    expect(taskOf(spec())).toMatchObject({ Name: 'runner', DispatchPayload: { File: 'payload' } });
  });

  it('names a region only where one is set', () => {
    expect(spec()).not.toHaveProperty('Region');
    expect(spec({ region: 'eu' })).toHaveProperty('Region', 'eu');
  });

  it('hands no Nomad token to the task, neither in its environment nor as a file', () => {
    expect(taskOf(spec())).toMatchObject({ Identity: { Name: 'default', Env: false, File: false } });
  });

  it('stops by TERM, and kills after the time that the runner needs to end the command', () => {
    expect(taskOf(spec())).toMatchObject({ KillSignal: 'SIGTERM', KillTimeout: 30_000_000_000 });
  });

  it('gives a container to docker in which the runner can do little and the command is another user', () => {
    expect(taskOf(spec({ image: 'registry.example/edge:1', run_as: '1000:1000', artifacts: true }))).toMatchObject({
      Driver: 'docker',
      User: '0:0',
      Env: { TMPDIR: '${NOMAD_TASK_DIR}' },
      Config: {
        image: 'registry.example/edge:1',
        entrypoint: ['node'],
        command: '/app/dist/runner/main.js',
        args: [
          '--payload',
          '${NOMAD_TASK_DIR}/payload',
          '--artifacts',
          '${NOMAD_ALLOC_DIR}/data/artifacts',
          '--run-as',
          '1000:1000',
        ],
        cap_drop: ['all'],
        cap_add: ['CHOWN', 'DAC_OVERRIDE', 'KILL', 'SETGID', 'SETUID'],
        security_opt: ['no-new-privileges'],
        readonly_rootfs: true,
        mount: [{ type: 'tmpfs', target: '/tmp' }],
      },
    });
  });

  it.each(['exec', 'raw_exec'] as const)(
    'starts the runner of this installation, or the one named, by %s',
    (driver) => {
      expect(taskOf(spec({ driver }))).toMatchObject({
        Driver: driver,
        User: '',
        Config: {
          command: '/usr/bin/node',
          args: ['/opt/edge-dispatcher/dist/runner/main.js', '--payload', '${NOMAD_TASK_DIR}/payload'],
        },
      });
      const named = spec({ driver, runner: ['/usr/local/bin/edge-runner'], artifacts: true });
      expect(taskOf(named)?.Config).toEqual({
        command: '/usr/local/bin/edge-runner',
        args: ['--payload', '${NOMAD_TASK_DIR}/payload', '--artifacts', '${NOMAD_ALLOC_DIR}/data/artifacts'],
      });
    },
  );

  it('tells the runner the CA as the clients have it', () => {
    expect(taskOf(spec({ driver: 'exec', runner_ca_file: '/etc/ssl/vault.pem' }))?.Env).toEqual({
      VAULT_CACERT: '/etc/ssl/vault.pem',
    });
    expect(taskOf(spec({ driver: 'exec' }))?.Env).toEqual({});
  });

  it('mounts host volumes read-only at /mounts/<name> (S3)', () => {
    const mounted = spec({ driver: 'exec' }, ['ssh']);
    expect(groupOf(mounted)?.Volumes).toEqual({
      ssh: { Name: 'ssh', Type: 'host', Source: 'agent-ssh', ReadOnly: true },
    });
    expect(taskOf(mounted)?.VolumeMounts).toEqual([{ Volume: 'ssh', Destination: '/mounts/ssh', ReadOnly: true }]);
  });

  it.each([
    ['raw_exec', 'ssh', 'the driver raw_exec can not mount ssh'],
    ['docker', 'sops', 'the mount sops has no host volume'],
    ['docker', 'gpg', 'the mount gpg has no host volume'],
    ['docker', 'constructor', 'the mount constructor has no host volume'],
  ] as const)('refuses what %s can not give: %s (S3)', (driver, mount, message) => {
    const make = () => spec({ driver }, [mount]);
    expect(make).toThrow(StalledError);
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_ENGINE_DENIED', message }));
  });

  it('never lets a byte of a stream be rotated away, nor the disk be too small for both', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4 * 1024 * MIB }), (logBytes) => {
        const wanted = { ...tools.wanted, logBytes };
        const group = jobSpec('vault-runner', [], nomadOptions.parse({}), { ...tools, wanted }).TaskGroups[0];
        const { MaxFiles = 0, MaxFileSizeMB = 0 } = group?.Tasks[0]?.LogConfig ?? {};
        // The newest of the files may be empty.
        expect((MaxFiles - 1) * MaxFileSizeMB * MIB).toBeGreaterThanOrEqual(logBytes + MIB);
        expect(group?.EphemeralDisk.SizeMB).toBeGreaterThan(2 * MaxFiles * MaxFileSizeMB);
      }),
    );
  });

  it('has no drift from itself, whatever the options', () => {
    const options = fc.record({
      driver: fc.constantFrom('docker' as const, 'exec' as const),
      namespace: fc.stringMatching(/^[a-z]{1,8}$/),
      region: fc.constantFrom('', 'eu'),
      cpu: fc.integer({ min: 1, max: 10_000 }),
      memory_mb: fc.integer({ min: 128, max: 10_000 }),
      artifacts: fc.boolean(),
      runner_ca_file: fc.constantFrom('', '/etc/ssl/vault.pem'),
    });
    fc.assert(
      fc.property(options, fc.subarray(['ssh']), (given, mounts) => {
        const made = spec(given, mounts);
        expect(drift(job.parse(made), made)).toEqual([]);
      }),
      { numRuns: 50 },
    );
  });
});

describe('jobSpec of sidecars (S2.1)', () => {
  const of = (given: Partial<NomadOptions> = {}, sidecar: Partial<SidecarJob> = {}, mounts: readonly string[] = []) =>
    jobSpec(jobVariant('sidecar', mounts), mounts, nomadOptions.parse(given), {
      ...tools,
      wanted: { ...tools.wanted, sidecar: { ...sidecarJobSection.parse({}), ...sidecar } },
    });
  const NONE = { bot_token_path: null, project_repos: null, ops_repo: null, agent_data: null };

  it('takes the issue, the formula and the project file, and what every run says of itself if it is sent', () => {
    expect(of()).toMatchObject({
      ID: 'sidecar',
      ParameterizedJob: {
        Payload: 'required',
        MetaRequired: ['issue_number', 'formula', 'project_toml'],
        MetaOptional: ['action_id', 'attempt', 'mounts', 'secrets_csv'],
      },
    });
  });

  it('is started once and never again, and holds no Nomad token', () => {
    expect(groupOf(of())).toMatchObject({
      RestartPolicy: { Attempts: 0, Mode: 'fail' },
      ReschedulePolicy: { Attempts: 0, Unlimited: false },
    });
    expect(taskOf(of())).toMatchObject({ Identity: { Env: false, File: false } });
  });

  it('reads projects and ops repo, and writes to its own data only', () => {
    const mounted = of({}, { ops_repo: 'our-ops' }, ['ssh']);
    expect(mounted.ID).toBe('sidecar-ssh');
    expect(groupOf(mounted)?.Volumes).toEqual({
      ssh: { Name: 'ssh', Type: 'host', Source: 'agent-ssh', ReadOnly: true },
      'project-repos': { Name: 'project-repos', Type: 'host', Source: 'project-repos', ReadOnly: true },
      'ops-repo': { Name: 'ops-repo', Type: 'host', Source: 'our-ops', ReadOnly: true },
      'agent-data': { Name: 'agent-data', Type: 'host', Source: 'agent-data', ReadOnly: false },
    });
    expect(taskOf(mounted)?.VolumeMounts).toEqual([
      { Volume: 'ssh', Destination: '/mounts/ssh', ReadOnly: true },
      { Volume: 'project-repos', Destination: '/mounts/project-repos', ReadOnly: true },
      { Volume: 'ops-repo', Destination: '/mounts/ops-repo', ReadOnly: true },
      { Volume: 'agent-data', Destination: '/volumes/agent-data', ReadOnly: false },
    ]);
  });

  it('has the bot token as a file, and no token of the secret store in the task', () => {
    const task = taskOf(of({}, { bot_token_path: 'kv/data/bots/a', bot_token_field: 'token', vault_role: 'bots' }));
    expect(task).toMatchObject({
      Vault: { Role: 'bots', Env: false, DisableFile: true, ChangeMode: 'noop', AllowTokenExpiration: true },
      Identities: [{ Name: 'vault_default', Audience: ['vault.io'], Env: false, File: false }],
      Templates: [
        {
          EmbeddedTmpl: '{{ with secret "kv/data/bots/a" }}{{ .Data.data.token }}{{ end }}',
          DestPath: 'secrets/bot-token',
          Perms: '0400',
          ChangeMode: 'noop',
          ErrMissingKey: true,
          Once: true,
        },
      ],
    });
    expect(task?.Config.args.join(' ')).toContain('--bot-token ${NOMAD_SECRETS_DIR}/bot-token');
  });

  it('takes from the user of exec the powers to read what is not its own, and makes the token its own', () => {
    const task = taskOf(of({ driver: 'exec' }));
    expect(task).toMatchObject({ Config: { cap_drop: ['all'] }, Templates: [{ Uid: 65_534, Gid: 65_534 }] });
    expect(taskOf(spec({ driver: 'exec' }))?.Config).not.toHaveProperty('cap_drop');
  });

  it('has nothing of what is set empty', () => {
    const bare = of({ driver: 'raw_exec' }, NONE);
    expect(groupOf(bare)?.Volumes).toEqual({});
    expect(taskOf(bare)).toMatchObject({ Vault: null, Templates: [], Identities: [], VolumeMounts: [] });
    expect(taskOf(bare)?.Config.args).toEqual([
      '/opt/edge-dispatcher/dist/runner/main.js',
      '--payload',
      '${NOMAD_TASK_DIR}/payload',
    ]);
  });

  it.each(['bot_token_path', 'project_repos', 'ops_repo', 'agent_data'] as const)('%s is not for raw_exec', (key) => {
    const make = () => of({ driver: 'raw_exec' }, { ...NONE, [key]: 'kv/data/x' });
    const message = `the driver raw_exec can not give sidecars ${key}`;
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_ENGINE_DENIED', message }));
    expect(make).toThrow(StalledError);
  });

  it('lets no mount take the place of a volume of its own', () => {
    const wanted = { ...tools.wanted, sidecar: sidecarJobSection.parse({}) };
    const mounts = { 'ops-repo': { path: null, hostVolume: 'writable-repo' } };
    const make = () =>
      jobSpec('sidecar-ops-repo', ['ops-repo'], nomadOptions.parse({}), { ...tools, wanted: { ...wanted, mounts } });
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_ENGINE_DENIED' }));
  });

  it('is not there where no sidecars are configured, and another job is none of sidecars', () => {
    const without = () => jobSpec('sidecar', [], nomadOptions.parse({}), tools);
    expect(without).toThrow(expect.objectContaining({ code: 'ERR_JOB_MISSING' }));
    const other = jobSpec('sidecars', [], nomadOptions.parse({}), tools);
    expect(other.ParameterizedJob.MetaOptional).toEqual([]);
  });

  it('has no drift from itself, whatever is configured', () => {
    const sidecars = fc.record({
      bot_token_path: fc.constantFrom(null, 'kv/data/a'),
      agent_data: fc.constantFrom(null, 'data'),
      ops_repo: fc.constantFrom(null, 'ops'),
      audience: fc.string({ minLength: 1, maxLength: 8 }),
    });
    fc.assert(
      fc.property(sidecars, fc.constantFrom('docker' as const, 'exec' as const), (sidecar, driver) => {
        const made = of({ driver }, sidecar, ['ssh']);
        expect(drift(job.parse(made), made)).toEqual([]);
      }),
      { numRuns: 50 },
    );
  });
});
