import { StalledError } from '../../../errors.ts';
import type { EngineTools } from '../../factory.ts';
import { taskConfig } from './jobspec-drivers.ts';
import { isSidecarJob, SIDECAR_META, type SidecarParts, sidecarParts, type Volume } from './jobspec-sidecar.ts';
import type { NomadOptions } from './options.ts';
import { RUNNER_TASK } from './types.ts';

const SECOND = 1_000_000_000;
const MINUTE = 60 * SECOND;
const DAY = 24 * 60 * MINUTE;

/** Every dispatch carries all of them, so that what Nomad shows of a run says what it is (formats.md, Dispatch). */
const META = { required: ['action_id', 'attempt', 'formula', 'mounts', 'secrets_csv'], optional: [] } as const;
/** Of a job that is none of sidecars. */
const NOTHING: SidecarParts = { volumes: [], args: [], botToken: null };

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
 * rescheduling, no replacement for a disconnected node. The task holds no Nomad token. Of the job `sidecar` there is
 * more (jobspec-sidecar.ts). Throws StalledError: ERR_ENGINE_DENIED for mounts that this driver or the clients can't
 * give, ERR_JOB_MISSING for the job of sidecars where there are none.
 */
export function jobSpec(job: string, mounts: readonly string[], options: NomadOptions, tools: JobTools) {
  const isSidecar = isSidecarJob(job, mounts);
  const meta = isSidecar ? SIDECAR_META : META;
  const { volumes: more, args, botToken } = isSidecar ? sidecarParts(options, tools) : NOTHING;
  const volumes = allVolumes(mounts, more, options, tools);
  const logs = logConfig(tools.wanted.logBytes);
  return {
    ID: job,
    Name: job,
    Type: 'batch',
    Namespace: options.namespace,
    ...(options.region === '' ? {} : { Region: options.region }),
    Datacenters: options.datacenters,
    ParameterizedJob: { Payload: 'required', MetaRequired: meta.required, MetaOptional: meta.optional },
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
          volumes.map(({ name, source, readOnly }) => [
            name,
            { Name: name, Type: 'host', Source: source, ReadOnly: readOnly },
          ]),
        ),
        Tasks: [
          {
            Name: RUNNER_TASK,
            Driver: options.driver,
            ...taskConfig({ payload: PAYLOAD_FILE, args, isSidecar }, options, tools),
            DispatchPayload: { File: PAYLOAD_FILE },
            Identity: { Name: 'default', Env: false, File: false },
            Identities: botToken?.Identities ?? [],
            Vault: botToken?.Vault ?? null,
            Templates: botToken?.Templates ?? [],
            KillSignal: 'SIGTERM',
            KillTimeout: 30 * SECOND,
            LogConfig: logs,
            Resources: { CPU: options.cpu, MemoryMB: options.memory_mb },
            VolumeMounts: volumes.map(({ name, destination, readOnly }) => ({
              Volume: name,
              Destination: destination,
              ReadOnly: readOnly,
            })),
          },
        ],
      },
    ],
  };
}

/** Those of the mounts, and `more`, which may have no name in common. */
function allVolumes(
  mounts: readonly string[],
  more: readonly Volume[],
  options: NomadOptions,
  tools: JobTools,
): readonly Volume[] {
  const ours = mounts.toSorted().map((name): Volume => {
    return { name, source: hostVolume(name, options, tools), destination: `/mounts/${name}`, readOnly: true };
  });
  const twice = ours.find(({ name }) => more.some((other) => other.name === name));
  if (twice === undefined) return [...ours, ...more];
  throw new StalledError('ERR_ENGINE_DENIED', `sidecars have a volume named ${twice.name}: no mount can be named so`, {
    hint: `Rename [mounts.${twice.name}], or set the key of this volume in [sidecar_job] to "".`,
  });
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
