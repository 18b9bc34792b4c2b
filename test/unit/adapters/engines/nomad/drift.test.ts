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
import { jobVariant } from '../../../../../src/domain/job-variant.ts';
import { WANTED } from '../../../../fakes/tools.ts';

const FIXTURES = path.resolve('test/fixtures/nomad');
const HCL = path.resolve('jobs/vault-runner.nomad.hcl');

const fixture = z.object({
  options: nomadOptions,
  mounts: z.array(z.string()),
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
  const { options, mounts, ...rest } = fixture.parse(JSON.parse(readFileSync(path.join(FIXTURES, file), 'utf8')));
  return { ...rest, spec: jobSpec(jobVariant('vault-runner', mounts), mounts, options, tools) };
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
  /^(?:ConsulNamespace|VaultNamespace)$/,
  /^Update\./,
  /^TaskGroups\.0\.(?:Name|Migrate|Update|EphemeralDisk\.(?:Sticky|Migrate))$/,
  // With no attempts neither how long nor when is asked.
  /RestartPolicy\.(?:Interval|Delay|RenderTemplates)$/,
  /ReschedulePolicy\.(?:Interval|Delay|DelayFunction|MaxDelay)$/,
  // The default identity is handed to nobody: neither environment nor file.
  /Identity\.(?:Name|TTL|ServiceName|Filepath|ExtraClaims|ChangeMode|ChangeSignal|Audience\.0)$/,
  /Resources\.(?:DiskMB|IOPS|SecretsMB)$/,
  /Volumes\.[a-z]+\.(?:Name|Sticky|MountOptions|AccessMode|AttachmentMode)$/,
  /VolumeMounts\.\d\.SELinuxLabel$/,
];

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
      'task.Templates: set → none',
      'groups: 2 → 1',
      'group.Volumes: [] → ["gpg: host agent-gpg, read-only","ssh: host agent-ssh, read-only"]',
      'task.Env.TMPDIR: none → "${NOMAD_TASK_DIR}"',
      'task.Env.VAULT_CACERT: none → "/etc/ssl/vault-ca.pem"',
      'task.Env.VAULT_TOKEN: set → none',
    ]);
    expect(lines.join('\n')).not.toContain('hunter2');
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

describe('jobs/vault-runner.nomad.hcl', () => {
  it.each(names('parsed'))('is the job that the code registers (%s, as the real server parsed it)', (file) => {
    const { job: parsed, spec } = load(file);
    expect(drift(parsed, spec)).toEqual([]);
  });

  it.each(names('parsed'))('has not changed since %s was recorded with POST /v1/jobs/parse', (file) => {
    expect(load(file).hcl_sha256).toBe(createHash('sha256').update(readFileSync(HCL)).digest('hex'));
  });
});
