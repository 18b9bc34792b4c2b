import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { drift } from '../../../../../src/adapters/engines/nomad/drift.ts';
import { jobSpec } from '../../../../../src/adapters/engines/nomad/jobspec.ts';
import { nomadOptions } from '../../../../../src/adapters/engines/nomad/options.ts';
import { type Job, job } from '../../../../../src/adapters/engines/nomad/types.ts';
import { sidecarJobSection } from '../../../../../src/domain/config-sidecar.ts';
import { jobVariant } from '../../../../../src/domain/job-variant.ts';
import { WANTED } from '../../../../fakes/tools.ts';

const FIXTURES = path.resolve('test/fixtures/nomad');

const fixture = z.object({
  options: nomadOptions,
  mounts: z.array(z.string()),
  /** `[sidecar_job]`; absent: it is no job of sidecars. */
  sidecar: sidecarJobSection.optional(),
  /** Address of the secret store; absent: none is named. */
  vault: z.string().optional(),
  hcl_sha256: z.string().optional(),
  job,
});

const tools = {
  runner: ['/usr/bin/node', '/opt/edge-dispatcher/dist/runner/main.js'],
  wanted: {
    ...WANTED,
    mounts: { gpg: { path: null, hostVolume: 'agent-gpg' }, ssh: { path: null, hostVolume: 'agent-ssh' } },
  },
};

const names = (kind: string) =>
  readdirSync(FIXTURES).filter((file) => file.startsWith(`${kind}-`) && file.endsWith('.json'));

function load(file: string) {
  const { options, mounts, sidecar, vault, ...rest } = fixture.parse(
    JSON.parse(readFileSync(path.join(FIXTURES, file), 'utf8')),
  );
  const base = sidecar === undefined ? 'vault-runner' : 'sidecar';
  const wanted = { ...tools.wanted, sidecar: sidecar ?? null, vaultAddress: vault ?? null };
  return { ...rest, base, spec: jobSpec(jobVariant(base, mounts), mounts, options, { ...tools, wanted }) };
}

type Path = readonly (string | number)[];

/** Every value that is no object, and every empty one: where it stands. */
function leaves(value: unknown, at: Path = []): readonly Path[] {
  const inner = Array.isArray(value) ? value.map((each, key) => [key, each] as const) : entriesOf(value);
  return inner.length === 0 ? [at] : inner.flatMap(([key, each]) => leaves(each, [...at, key]));
}

function entriesOf(value: unknown): readonly (readonly [string, unknown])[] {
  return typeof value === 'object' && value !== null ? Object.entries(value) : [];
}

/** A copy in which the value at this place is another one. */
function mutated(original: Job, at: Path): Job {
  const copy: unknown = structuredClone(original);
  const holder = at.slice(0, -1).reduce<unknown>((inner, key) => Reflect.get(Object(inner), key), copy);
  const key = at.at(-1) ?? '';
  Reflect.set(Object(holder), key, other(Reflect.get(Object(holder), key)));
  return copy as Job;
}

function other(value: unknown): unknown {
  if (typeof value === 'boolean') return !value;
  if (typeof value === 'number') return value + 1;
  if (typeof value === 'string') return `${value}x`;
  return value === null || Array.isArray(value) ? [{ Name: 'other' }] : { Name: 'other' };
}

/** Nomad's own book-keeping, and what changes nothing about what runs, where it may run and how often. */
const NOT_COMPARED: readonly RegExp[] = [
  /^(?:Name|ParentID|Priority|Status|StatusDescription|SubmitTime|UI|VersionTag|Version|Stable|AllAtOnce)$/,
  /^(?:CreateIndex|ModifyIndex|JobModifyIndex|NomadTokenID|Dispatched|DispatchIdempotencyToken)$/,
  /^Update\./,
  /^TaskGroups\.0\.(?:Name|Migrate|Update|EphemeralDisk\.(?:Sticky|Migrate))$/,
  // With no attempts neither how long nor when is asked.
  /RestartPolicy\.(?:Interval|Delay|RenderTemplates)$/,
  /ReschedulePolicy\.(?:Interval|Delay|DelayFunction|MaxDelay)$/,
  // The default identity is handed to nobody: neither environment nor file.
  /Identity\.(?:Name|TTL|ServiceName|Filepath|ExtraClaims|ChangeMode|ChangeSignal|Audience\.0)$/,
  /Resources\.(?:DiskMB|IOPS|SecretsMB)$/,
  /Volumes\.[a-z-]+\.(?:Name|Sticky|MountOptions|AccessMode|AttachmentMode)$/,
  /VolumeMounts\.\d\.SELinuxLabel$/,
  // Without a change nothing is signalled or waited for; the last one is an old name that Nomad ignores.
  /(?:Templates|Identities)\.0\.ChangeSignal$/,
  /Vault\.ChangeSignal$/,
  /Templates\.0\.(?:Splay|VaultGrace)$/,
];

type Spec = ReturnType<typeof load>['spec'];
const withoutVault = ({ Tasks }: Spec['TaskGroups'][number]) => ({ ...Tasks[0], Vault: null });

/** The job with these parts of its task in the place of what is there. */
function withTask(of: Job, parts: Readonly<Record<string, unknown>>): Job {
  const shape = z.object({ TaskGroups: z.tuple([z.looseObject({ Tasks: z.tuple([z.looseObject({})]) })]) });
  const copy = structuredClone(of);
  const { TaskGroups } = shape.parse(copy);
  Object.assign(TaskGroups[0].Tasks[0], parts);
  return { ...copy, TaskGroups };
}

describe('drift', () => {
  it.each(names('registered'))('finds nothing in %s: the spec as the real server keeps it', (file) => {
    const { job: registered, spec } = load(file);
    expect(drift(registered, spec)).toEqual([]);
  });

  it.each(names('registered'))('%s: finds a change of any field that matters, and of no other', (file) => {
    const { job: registered, spec } = load(file);
    const missed = leaves(registered)
      .filter((at) => drift(mutated(registered, at), spec).length === 0)
      .map((at) => at.join('.'));
    const isNomadsOwn = (at: string) =>
      NOT_COMPARED.some((own) => own.test(at)) || (at === 'Region' && !('Region' in spec));
    expect(missed.filter((at) => !isNomadsOwn(at))).toEqual([]);
    const found = leaves(registered)
      .map((at) => at.join('.'))
      .filter((at) => !missed.includes(at));
    expect(found.filter(isNomadsOwn)).toEqual([]);
  });

  it('compares the region where one is set', () => {
    const { job: registered, spec } = load('registered-docker.json');
    expect(drift({ ...registered, Region: 'elsewhere' }, spec)).toEqual(['job.Region: "elsewhere" → "global"']);
  });

  it('names each difference with what is registered and what is wanted', () => {
    const { job: registered, spec } = load('registered-docker-mounts.json');
    const changed = structuredClone(registered);
    const group = z.object({ TaskGroups: z.tuple([z.looseObject({ Tasks: z.tuple([z.looseObject({})]) })]) });
    const { TaskGroups } = group.parse(changed);
    const [{ Tasks }] = TaskGroups;
    Object.assign(TaskGroups[0], { RestartPolicy: { Attempts: 3, Mode: 'fail' }, Volumes: {} });
    Object.assign(Tasks[0], {
      Driver: 'raw_exec',
      Env: { VAULT_TOKEN: 'hunter2' },
      Templates: [{ EmbeddedTmpl: 'hunter2' }],
    });
    const lines = drift({ ...changed, TaskGroups: [...TaskGroups, { Name: 'more' }], Stop: true }, spec);
    expect(lines).toEqual([
      'job.Stop: set → none',
      'group.RestartPolicy.Attempts: 3 → 0',
      'task.Driver: "raw_exec" → "docker"',
      'groups: 2 → 1',
      'group.Volumes: [] → ["gpg: host agent-gpg, read-only","ssh: host agent-ssh, read-only"]',
      'task.Templates: set → none',
      'task.Env.TMPDIR: none → "${NOMAD_TASK_DIR}"',
      'task.Env.VAULT_CACERT: none → "/etc/ssl/vault-ca.pem"',
      'task.Env.VAULT_TOKEN: set → none',
    ]);
    expect(lines.join('\n')).not.toContain('hunter2');
  });

  it.each([
    ['Vault', { Role: 'edge-sidecar' }],
    ['Templates', [{ EmbeddedTmpl: '{{ with secret "kv/data/x" }}{{ . }}{{ end }}', DestPath: 'secrets/x' }]],
    ['Identities', [{ Name: 'vault_default', Audience: ['vault.io'] }]],
  ])('a job of actions with %s is none of ours (S2.1)', (part, value) => {
    const { job: registered, spec } = load('registered-exec-mounts.json');
    expect(drift(withTask(registered, { [part]: value }), spec)).toEqual([`task.${part}: set → none`]);
  });

  it.each([
    ['Vault', { Role: 'other' }, /^task\.Vault: another value → \[\{"Role":"edge-sidecar"/],
    ['Vault', null, /^task\.Vault: none → /],
    ['Templates', [], /^task\.Templates: none → /],
    ['Templates', [{ EmbeddedTmpl: 'hunter2' }], /^task\.Templates: another value → /],
    ['Identities', [], /^task\.Identities: none → /],
  ])('a job of sidecars with another %s is none of ours either (S2.1)', (part, value, message) => {
    const { job: registered, spec } = load('registered-sidecar-docker.json');
    const lines = drift(withTask(registered, { [part]: value }), spec);
    expect(lines).toEqual([expect.stringMatching(message)]);
    expect(lines.join()).not.toContain('hunter2');
  });

  it('a job of sidecars that can write to the ops repo, or not to its own data, is none of ours (S2.1)', () => {
    const { job: registered, spec } = load('registered-sidecar-docker.json');
    const swapped: unknown = JSON.parse(
      JSON.stringify(registered).replaceAll(/"ReadOnly":(true|false)/g, (_, is) => `"ReadOnly":${is !== 'true'}`),
    );
    const lines = drift(job.parse(swapped), spec);
    expect(lines).toEqual([
      expect.stringMatching(/^group\.Volumes: .*agent-data, read-only.*ops-repo, writable.* → .*agent-data, writable/),
      expect.stringMatching(/^task\.VolumeMounts: .*ops-repo, writable.* → .*ops-repo, read-only/),
    ]);
  });

  it('what Nomad adds for the secret store is no constraint of a job that does not use it', () => {
    const { job: registered, spec } = load('registered-sidecar-docker.json');
    const without = {
      ...spec,
      TaskGroups: spec.TaskGroups.map((group) => ({ ...group, Tasks: [withoutVault(group)] })),
    };
    expect(drift(registered, without as typeof spec)).toContain('group.Constraints: set → none');
  });

  it('names a job that holds nothing, whatever it holds instead, and never fails', () => {
    const { spec } = load('registered-raw-exec.json');
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (TaskGroups, ParameterizedJob) => {
        const odd = job.parse({ ID: 'vault-runner', TaskGroups, ParameterizedJob });
        expect(drift(odd, spec).length).toBeGreaterThan(0);
      }),
    );
  });
});

describe('jobs/*.nomad.hcl', () => {
  it.each(names('parsed'))('is the job that the code registers (%s, as the real server parsed it) (S2.1)', (file) => {
    const { job: parsed, spec } = load(file);
    expect(drift(parsed, spec)).toEqual([]);
  });

  it.each(names('parsed'))('has not changed since %s was recorded with POST /v1/jobs/parse', (file) => {
    const { hcl_sha256, base } = load(file);
    const hcl = readFileSync(path.resolve(`jobs/${base}.nomad.hcl`));
    expect(hcl_sha256).toBe(createHash('sha256').update(hcl).digest('hex'));
  });
});
