import { StalledError } from '../../../errors.ts';
import type { EngineTools } from '../../factory.ts';
import { taskConfig } from './jobspec-drivers.ts';
import type { NomadOptions } from './options.ts';
import { RUNNER_TASK } from './types.ts';

const SECOND = 1_000_000_000;
const MINUTE = 60 * SECOND;
const DAY = 24 * 60 * MINUTE;

/** Every dispatch carries all of them, so that what Nomad shows of a run says what it is (formats.md, Dispatch). */
const META = ['action_id', 'attempt', 'formula', 'mounts', 'secrets_csv'];

/** Where the runner finds its payload, beneath the task's `local` directory; it deletes the file at once. */
const PAYLOAD_FILE = 'payload';

const LOG_FILES = 10;
const MIB = 1024 ** 2;
/** Beside the logs: the work of the command. */
const WORK_MB = 300;

export type JobSpec = ReturnType<typeof jobSpec>;
export type JobTools = Pick<EngineTools, 'runner' | 'wanted'>;

/**
 * The parameterized batch job of one variant, as `POST /v1/jobs` takes it. Pure. `job` is the name of the variant and
 * `mounts` what it mounts, read-only, at `/mounts/<name>`. One task that is started once and never again: no restart, no
 * rescheduling, no replacement for a disconnected node. The task holds no Nomad token. Throws StalledError
 * (ERR_ENGINE_DENIED) for mounts that this driver or the clients can't give.
 */
export function jobSpec(job: string, mounts: readonly string[], options: NomadOptions, tools: JobTools) {
  const volumes = mounts.toSorted().map((name) => ({ name, source: hostVolume(name, options, tools) }));
  const logs = logConfig(tools.wanted.logBytes);
  return {
    ID: job,
    Name: job,
    Type: 'batch',
    Namespace: options.namespace,
    ...(options.region === '' ? {} : { Region: options.region }),
    Datacenters: options.datacenters,
    ParameterizedJob: { Payload: 'required', MetaRequired: META, MetaOptional: [] },
    TaskGroups: [
      {
        Name: 'run',
        Count: 1,
        RestartPolicy: { Attempts: 0, Mode: 'fail', Interval: DAY, Delay: 15 * SECOND },
        ReschedulePolicy: { Attempts: 0, Unlimited: false },
        // A node that comes back in time still tells how the run ended; after that the engine calls it lost.
        Disconnect: { LostAfter: 15 * MINUTE, Replace: false, Reconcile: 'keep_original' },
        EphemeralDisk: { SizeMB: 2 * logs.MaxFiles * logs.MaxFileSizeMB + WORK_MB },
        Volumes: Object.fromEntries(
          volumes.map(({ name, source }) => [name, { Name: name, Type: 'host', Source: source, ReadOnly: true }]),
        ),
        Tasks: [
          {
            Name: RUNNER_TASK,
            Driver: options.driver,
            ...taskConfig(PAYLOAD_FILE, options, tools),
            DispatchPayload: { File: PAYLOAD_FILE },
            Identity: { Name: 'default', Env: false, File: false },
            KillSignal: 'SIGTERM',
            KillTimeout: 30 * SECOND,
            LogConfig: logs,
            Resources: { CPU: options.cpu, MemoryMB: options.memory_mb },
            VolumeMounts: volumes.map(({ name }) => ({
              Volume: name,
              Destination: `/mounts/${name}`,
              ReadOnly: true,
            })),
          },
        ],
      },
    ],
  };
}

function hostVolume(name: string, { driver }: NomadOptions, { wanted }: JobTools): string {
  if (driver === 'raw_exec') {
    throw new StalledError('ERR_ENGINE_DENIED', `the driver raw_exec can not mount ${name}`, {
      hint: 'Set driver = "docker" or "exec" in [engine.nomad], or take the mount out of the formula.',
    });
  }
  const volume = Object.hasOwn(wanted.mounts, name) ? wanted.mounts[name]?.hostVolume : null;
  if (volume === null || volume === undefined) {
    throw new StalledError('ERR_ENGINE_DENIED', `the mount ${name} has no host volume`, {
      hint: `Set host_volume in [mounts.${name}] to the name that the clients give it.`,
    });
  }
  return volume;
}

/** The newest file may have been begun just now, so the others hold all that is to be kept, and the trailer. */
function logConfig(logBytes: number) {
  const megabytes = Math.ceil((logBytes + MIB) / MIB);
  return { MaxFiles: LOG_FILES, MaxFileSizeMB: Math.ceil(megabytes / (LOG_FILES - 1)) };
}
