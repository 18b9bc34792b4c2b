import type { Job, Task, TaskGroup } from './wire.ts';

/** The fields that Nomad 2.0.5 fills in when a job is registered. */

type Loose = Readonly<Record<string, unknown>>;

const JOB = {
  Affinities: null,
  AllAtOnce: false,
  Constraints: null,
  ConsulNamespace: '',
  Datacenters: ['*'],
  DispatchIdempotencyToken: '',
  Dispatched: false,
  Meta: null,
  Multiregion: null,
  NodePool: 'default',
  NomadTokenID: '',
  ParameterizedJob: null,
  ParentID: '',
  Payload: null,
  Periodic: null,
  Priority: 50,
  Region: 'global',
  Spreads: null,
  Stable: false,
  StatusDescription: '',
  Stop: false,
  Type: 'batch',
  UI: null,
  Update: {
    AutoPromote: false,
    AutoRevert: false,
    Canary: 0,
    HealthCheck: '',
    HealthyDeadline: 0,
    MaxParallel: 0,
    MinHealthyTime: 0,
    ProgressDeadline: 0,
    Stagger: 0,
  },
  VaultNamespace: '',
  VersionTag: null,
};

const RESTART = { Attempts: 3, Delay: 15e9, Interval: 86_400e9, Mode: 'fail', RenderTemplates: false };
const RESCHEDULE = {
  Attempts: 1,
  Delay: 5e9,
  DelayFunction: 'constant',
  Interval: 86_400e9,
  MaxDelay: 0,
  Unlimited: false,
};

const GROUP = {
  Affinities: null,
  Constraints: null,
  Consul: null,
  Count: 1,
  Disconnect: null,
  MaxClientDisconnect: null,
  MaxRunDuration: null,
  Meta: null,
  Migrate: null,
  Networks: null,
  PreventRescheduleOnLost: false,
  Scaling: null,
  Services: null,
  ShutdownDelay: null,
  Spreads: null,
  StopAfterClientDisconnect: null,
  Update: null,
  Volumes: null,
};

const TASK = {
  Actions: null,
  Affinities: null,
  Artifacts: null,
  CSIPluginConfig: null,
  Config: {},
  Constraints: null,
  Consul: null,
  DispatchPayload: null,
  Driver: 'raw_exec',
  Env: null,
  Identities: null,
  KillSignal: '',
  KillTimeout: 5e9,
  Kind: '',
  Leader: false,
  Lifecycle: null,
  Meta: null,
  ScalingPolicies: null,
  Schedule: null,
  Secrets: null,
  Services: null,
  ShutdownDelay: 0,
  Templates: null,
  User: '',
  Vault: null,
  VolumeMounts: null,
};

const RESOURCES = {
  CPU: 100,
  Cores: 0,
  Devices: null,
  DiskMB: 0,
  IOPS: 0,
  MemoryMB: 300,
  MemoryMaxMB: 0,
  NUMA: null,
  Networks: null,
  SecretsMB: 0,
};

const IDENTITY = {
  Audience: ['nomadproject.io'],
  ChangeMode: '',
  ChangeSignal: '',
  Env: false,
  ExtraClaims: null,
  File: false,
  Filepath: '',
  Name: 'default',
  ServiceName: '',
  TTL: 0,
};

const VAULT = {
  AllowTokenExpiration: false,
  ChangeMode: 'restart',
  ChangeSignal: 'SIGHUP',
  Cluster: 'default',
  DisableFile: false,
  Env: true,
  Namespace: '',
  Role: '',
};

const TEMPLATE = {
  ChangeMode: 'restart',
  ChangeScript: null,
  ChangeSignal: '',
  DestPath: '',
  EmbeddedTmpl: '',
  Envvars: false,
  ErrMissingKey: false,
  Gid: null,
  LeftDelim: '{{',
  Once: false,
  Perms: '0644',
  RightDelim: '}}',
  SourcePath: '',
  Splay: 5e9,
  Uid: null,
  VaultGrace: 0,
  Wait: null,
};

const NEEDS_VAULT = [
  { LTarget: '${attr.vault.version}', Operand: 'semver', RTarget: '>= 0.6.1' },
  { LTarget: '${attr.nomad.version}', Operand: 'semver', RTarget: '>= 1.7.0-a' },
];

/** The job as it is stored, without its indices. */
export function withDefaults(job: Loose, namespace: string): Job {
  const id = String(job['ID']);
  const filled = { ...JOB, Name: id, Namespace: namespace, ...given(job) };
  const parameterized = filled.ParameterizedJob as Loose | null;
  return {
    ...filled,
    ParameterizedJob:
      parameterized === null
        ? null
        : {
            MetaOptional: [],
            MetaRequired: [],
            ...given(parameterized),
            Payload: parameterized['Payload'] || 'optional',
          },
    TaskGroups: list(job['TaskGroups']).map((group) => groupWithDefaults(group)),
  } as unknown as Job;
}

function groupWithDefaults(group: Loose): TaskGroup {
  const restart = { ...RESTART, ...given(group['RestartPolicy']) };
  const tasks = list(group['Tasks']).map((task) => taskWithDefaults(task, restart));
  const implied = tasks.some((task) => task['Vault'] !== null) ? NEEDS_VAULT : [];
  const constraints = [...list(group['Constraints']), ...implied];
  return {
    ...GROUP,
    ...given(group),
    Constraints: constraints.length === 0 ? null : constraints,
    EphemeralDisk: { Migrate: false, SizeMB: 300, Sticky: false, ...given(group['EphemeralDisk']) },
    ReschedulePolicy: { ...RESCHEDULE, ...given(group['ReschedulePolicy']) },
    RestartPolicy: restart,
    Tasks: tasks,
  } as unknown as TaskGroup;
}

function taskWithDefaults(task: Loose, restart: Loose): Task {
  return {
    ...TASK,
    ...given(task),
    Identities: manyOrNull(task['Identities'], { ...IDENTITY, Audience: null, Name: '' }),
    Identity: { ...IDENTITY, ...given(task['Identity']) },
    LogConfig: { Disabled: false, MaxFileSizeMB: 10, MaxFiles: 10, ...given(task['LogConfig']) },
    Resources: { ...RESOURCES, ...given(task['Resources']) },
    RestartPolicy: { ...restart, ...given(task['RestartPolicy']) },
    Templates: manyOrNull(task['Templates'], TEMPLATE),
    Vault: (task['Vault'] ?? null) === null ? null : { ...VAULT, ...given(task['Vault']) },
  } as unknown as Task;
}

/** What was given: a field that is null or absent gets the default. */
function given(value: unknown): Loose {
  return Object.fromEntries(Object.entries(value ?? {}).filter(([, field]) => field !== null && field !== undefined));
}

/** The server stores an empty list as null. */
function manyOrNull(value: unknown, defaults: Loose): readonly Loose[] | null {
  const all = list(value).map((each) => ({ ...defaults, ...given(each) }));
  return all.length === 0 ? null : all;
}

function list(value: unknown): readonly Loose[] {
  return Array.isArray(value) ? (value as readonly Loose[]) : [];
}
