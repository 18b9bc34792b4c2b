import { isDeepStrictEqual } from 'node:util';
import { IMPLIED_BY_VAULT, secretStoreParts } from './drift-secret-store.ts';
import type { JobSpec } from './jobspec.ts';
import { oneLine } from './status-words.ts';
import type { Job } from './types.ts';

/*
 * The fixed list of what of a registered job must be as it was made by `deploy`. All else is Nomad's own: indices,
 * times, versions, and defaults that change nothing about what runs, where it may run and how often.
 */

/** Equal to what is wanted, by their names in Nomad's JSON. */
const EQUAL = {
  job: ['ID', 'Type', 'Namespace', 'Datacenters', 'ParameterizedJob.Payload'],
  group: [
    'Count',
    'RestartPolicy.Attempts',
    'RestartPolicy.Mode',
    'ReschedulePolicy.Attempts',
    'ReschedulePolicy.Unlimited',
    'Disconnect.LostAfter',
    'Disconnect.Replace',
    'Disconnect.Reconcile',
    'EphemeralDisk.SizeMB',
  ],
  task: [
    'Name',
    'Driver',
    'User',
    'DispatchPayload.File',
    'Identity.Env',
    'Identity.File',
    'KillSignal',
    'KillTimeout',
    'LogConfig.MaxFiles',
    'LogConfig.MaxFileSizeMB',
    'Resources.CPU',
    'Resources.MemoryMB',
  ],
} as const;

/** Absent or empty: each of these would run more than the runner, somewhere else, again, or with more in its hands. */
const EMPTY = {
  job: [
    'Stop',
    'Meta',
    'Payload',
    'Periodic',
    'VaultNamespace',
    'ConsulNamespace',
    'Multiregion',
    'Constraints',
    'Affinities',
    'Spreads',
  ],
  group: [
    'Affinities',
    'Spreads',
    'Consul',
    'Networks',
    'Services',
    'Scaling',
    'MaxRunDuration',
    'MaxClientDisconnect',
    'StopAfterClientDisconnect',
    'PreventRescheduleOnLost',
    'Disconnect.StopOnClientAfter',
    'ShutdownDelay',
    'Meta',
  ],
  task: [
    'Actions',
    'Affinities',
    'Artifacts',
    'CSIPluginConfig',
    'Constraints',
    'Consul',
    'Kind',
    'Leader',
    'Lifecycle',
    'LogConfig.Disabled',
    'Meta',
    'Resources.Cores',
    'Resources.Devices',
    'Resources.MemoryMaxMB',
    'Resources.NUMA',
    'Resources.Networks',
    'ScalingPolicies',
    'Schedule',
    'Secrets',
    'Services',
    'ShutdownDelay',
  ],
} as const;

/**
 * How a registered job differs from what is wanted: one line each, `path: registered → wanted`; none: it is the same.
 * Pure. Only the presence is told of values that we did not set, since somebody may have put a secret there.
 */
export function drift(registered: Job, wanted: JobSpec): readonly string[] {
  const [is, should] = [partsOf(registered), partsOf(wanted)];
  return [
    ...(['job', 'group', 'task'] as const).flatMap((part) => [
      ...EQUAL[part].flatMap((path) =>
        line(`${part}.${path}`, valueAt(is[part], path) ?? null, valueAt(should[part], path) ?? null),
      ),
      ...EMPTY[part].flatMap((path) => (isEmpty(valueAt(is[part], path)) ? [] : [`${part}.${path}: set → none`])),
    ]),
    ...('Region' in wanted ? line('job.Region', registered['Region'], wanted.Region) : []),
    ...line('job.NodePool', registered['NodePool'] || 'default', 'default'),
    ...(['MetaRequired', 'MetaOptional'] as const).flatMap((kind) =>
      line(`job.ParameterizedJob.${kind}`, metaKeys(registered, kind), metaKeys(wanted, kind)),
    ),
    ...line('groups', is.groups, should.groups),
    ...line('group.tasks', is.tasks, should.tasks),
    ...(hasOnlyImplied(is.group, should.task) ? [] : ['group.Constraints: set → none']),
    ...line('group.Volumes', volumes(is.group), volumes(should.group)),
    ...line('task.VolumeMounts', mounts(is.task), mounts(should.task)),
    ...(['Vault', 'Templates', 'Identities'] as const).flatMap((kind) =>
      parts(`task.${kind}`, secretStoreParts(is.task)[kind], secretStoreParts(should.task)[kind]),
    ),
    // A task's own policy goes before the group's; Nomad shows the one that counts.
    ...line('task.RestartPolicy.Attempts', valueAt(is.task, 'RestartPolicy.Attempts') ?? 0, 0),
    ...line('task.RestartPolicy.Mode', valueAt(is.task, 'RestartPolicy.Mode') ?? 'fail', 'fail'),
    ...lines('task.Config', valueAt(is.task, 'Config'), valueAt(should.task, 'Config')),
    ...lines('task.Env', valueAt(is.task, 'Env'), valueAt(should.task, 'Env')),
  ];
}

function partsOf(job: unknown) {
  const groups = listAt(job, 'TaskGroups');
  const tasks = listAt(groups[0], 'Tasks');
  return { job, group: groups[0], task: tasks[0], groups: groups.length, tasks: tasks.length };
}

function valueAt(value: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((inner, key) => (isRecord(inner) ? inner[key] : undefined), value);
}

function listAt(value: unknown, path: string): readonly unknown[] {
  const list = valueAt(value, path);
  return Array.isArray(list) ? list : [];
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isEmpty(value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 0;
  if (isRecord(value)) return Object.keys(value).length === 0;
  return value === undefined || value === null || value === false || value === 0 || value === '';
}

function line(path: string, is: unknown, should: unknown): readonly string[] {
  return isDeepStrictEqual(is, should) ? [] : [`${path}: ${show(is)} → ${show(should)}`];
}

function show(value: unknown): string {
  return value === undefined || value === null ? 'none' : oneLine(JSON.stringify(value));
}

/** Key by key; of keys that are not ours only the presence, of others' values in ours only that they differ. */
function lines(path: string, is: unknown, should: unknown): readonly string[] {
  const [found, ours] = [isRecord(is) ? is : {}, isRecord(should) ? should : {}];
  const keys = [...new Set([...Object.keys(found), ...Object.keys(ours)])].toSorted();
  return keys.flatMap((key) => {
    if (isDeepStrictEqual(found[key], ours[key])) return [];
    const before = Object.hasOwn(found, key) ? 'another value' : 'none';
    return Object.hasOwn(ours, key)
      ? [`${path}.${key}: ${before} → ${show(ours[key])}`]
      : [`${path}.${key}: set → none`];
  });
}

/** As one; of what is not ours only the presence. */
function parts(path: string, is: readonly unknown[], should: readonly unknown[]): readonly string[] {
  if (isDeepStrictEqual(is, should)) return [];
  if (should.length === 0) return [`${path}: set → none`];
  return [`${path}: ${is.length === 0 ? 'none' : 'another value'} → ${show(should)}`];
}

function metaKeys(job: unknown, kind: 'MetaRequired' | 'MetaOptional'): readonly string[] {
  return listAt(job, `ParameterizedJob.${kind}`).map(String).toSorted();
}

/** Nomad itself adds that the node must know the kill signal, and what the secret store needs. */
function hasOnlyImplied(group: unknown, wantedTask: unknown): boolean {
  const signal = { LTarget: '${attr.os.signals}', Operand: 'set_contains', RTarget: 'SIGTERM' };
  const implied = [signal, ...(isEmpty(valueAt(wantedTask, 'Vault')) ? [] : IMPLIED_BY_VAULT)];
  return listAt(group, 'Constraints').every((constraint) =>
    implied.some((each) => isDeepStrictEqual(constraint, each)),
  );
}

/** `ssh: host agent-ssh, read-only`, sorted. */
function volumes(group: unknown): readonly string[] {
  return Object.entries(Object(valueAt(group, 'Volumes')))
    .map(([name, volume]) => {
      const words = [valueAt(volume, 'Type'), valueAt(volume, 'Source')].map(String).join(' ');
      // With per_alloc it is another volume: ssh[0].
      return `${name}: ${words}${isEmpty(valueAt(volume, 'PerAlloc')) ? '' : '[0]'}, ${readOnly(volume)}`;
    })
    .toSorted();
}

/** `ssh at /mounts/ssh, read-only`, sorted. */
function mounts(task: unknown): readonly string[] {
  return listAt(task, 'VolumeMounts')
    .map((mount) => {
      const propagation = valueAt(mount, 'PropagationMode') ?? 'private';
      const shared = propagation === 'private' ? '' : `, ${show(propagation)}`;
      return `${String(valueAt(mount, 'Volume'))} at ${String(valueAt(mount, 'Destination'))}, ${readOnly(mount)}${shared}`;
    })
    .toSorted();
}

function readOnly(value: unknown): string {
  return valueAt(value, 'ReadOnly') === true ? 'read-only' : 'writable';
}
