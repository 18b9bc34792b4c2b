import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { drift } from '../../../../../src/adapters/engines/nomad/drift.ts';
import { jobSpec } from '../../../../../src/adapters/engines/nomad/jobspec.ts';
import { type NomadOptions, nomadOptions } from '../../../../../src/adapters/engines/nomad/options.ts';
import { job } from '../../../../../src/adapters/engines/nomad/types.ts';
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
