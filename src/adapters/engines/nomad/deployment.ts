import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import type { Catalogue, Change } from '../../factory.ts';
import { jobPath, type NomadClient } from './client.ts';
import { drift } from './drift.ts';
import { type JobSpec, type JobTools, jobSpec } from './jobspec.ts';
import type { NomadOptions } from './options.ts';
import { job } from './types.ts';

type Client = Pick<NomadClient, 'get' | 'send'>;

const POLICY = 'edge-dispatcher';
/** Beside dist/ and src/, both one folder below the root of the installation. */
const RULES_FILE = new URL('../../../../deploy/nomad/edge-dispatcher.policy.hcl', import.meta.url);

const namespace = z.object({ Name: z.string() });
const policy = z.object({
  Description: z.string().nullish(),
  Rules: z.string(),
  /** The job whose workload identity holds it: the operator's own decision, kept as it is. */
  JobACL: z.unknown(),
});

/**
 * What `deploy` would do in Nomad with a token that may: the namespace, the dispatcher's ACL policy, and a job for each
 * variant, in this order. Nothing is changed before `apply`, and then only what differs. With raw_exec, which mounts
 * nothing, variants with mounts are left out. Errors: TransientError, StalledError (a mount without host volume too).
 */
export async function nomadDeployment(
  client: Client,
  options: NomadOptions,
  tools: JobTools,
  { variants }: Catalogue,
): Promise<readonly Change[]> {
  const mountable = variants.filter(({ mounts }) => options.driver !== 'raw_exec' || mounts.length === 0);
  const specs = mountable.map((variant) => jobSpec(variant.job, variant.mounts, options, tools));
  return [
    await namespaceChange(client, options.namespace),
    await policyChange(client, options),
    ...(await Promise.all(specs.map((spec) => jobChange(client, spec)))),
  ];
}

async function namespaceChange(client: Client, name: string): Promise<Change> {
  const what = `namespace ${name}`;
  const path = `/v1/namespace/${name}`;
  // Its limits, pools and descriptions are the operator's.
  if ((await client.get(path, namespace)) !== null) return same(what);
  const body = { Name: name, Description: 'runs of the edge dispatcher' };
  return { ...differs(what, null, [`${what}: none → new`]), apply: () => post(client, path, body) };
}

async function policyChange(client: Client, options: NomadOptions): Promise<Change> {
  const what = `ACL policy ${POLICY}`;
  const path = `/v1/acl/policy/${POLICY}`;
  const rules = await policyRules(options);
  const registered = (await client.get(path, policy))?.value ?? null;
  const difference = ruleLines(registered?.Rules ?? '', rules);
  if (registered !== null && difference.length === 0) return same(what);
  const body = {
    Name: POLICY,
    Description: registered?.Description || 'the edge dispatcher, in the namespace of its runs',
    Rules: rules,
    JobACL: registered?.JobACL ?? null,
  };
  return { ...differs(what, registered, difference), apply: () => post(client, path, body) };
}

/** The rules of the installation, for this namespace and, with `artifacts`, with the right to read files. */
async function policyRules({ namespace: name, artifacts }: NomadOptions): Promise<string> {
  const text = (await readFile(RULES_FILE, 'utf8')).replace('namespace "agents"', `namespace "${name}"`);
  return artifacts ? text.replace('# read-fs:', '"read-fs", #') : text;
}

/** Lines that count, without their comments: those that go, then those that come. */
function ruleLines(before: string, after: string): readonly string[] {
  const [old, wanted] = [before, after].map((text) =>
    text
      .split('\n')
      .map((line) => line.replace(/#.*$/, '').trim())
      .filter((line) => line !== ''),
  );
  const gone = (old ?? []).filter((line) => !wanted?.includes(line));
  const come = (wanted ?? []).filter((line) => !old?.includes(line));
  return [...gone.map((line) => `rules: ${line} → none`), ...come.map((line) => `rules: none → ${line}`)];
}

async function jobChange(client: Client, spec: JobSpec): Promise<Change> {
  const what = `job ${spec.ID}`;
  const registered = (await client.get(jobPath(spec.ID), job))?.value ?? null;
  const difference = registered === null ? newLines(spec) : drift(registered, spec);
  if (difference.length === 0) return same(what);
  return { ...differs(what, registered, difference), apply: () => post(client, '/v1/jobs', { Job: spec }) };
}

/** What a job that is not there yet would run, and what it would have in its hands. */
function newLines({ ID, TaskGroups }: JobSpec): readonly string[] {
  const [group] = TaskGroups;
  const task = group?.Tasks[0];
  const volumes = Object.values(group?.Volumes ?? {}).map(
    ({ Name, Source, ReadOnly }) =>
      `volume ${Name}: none → host volume ${Source}, ${ReadOnly ? 'read-only' : 'writable'}`,
  );
  const login = task?.Vault ? [`secret store: none → what the role ${task.Vault.Role} may read, by Nomad`] : [];
  return [`job ${ID}: none → ${task?.Driver}`, ...volumes, ...login];
}

function same(what: string): Change {
  return { what, kind: 'same', difference: [], apply: () => Promise.resolve() };
}

function differs(what: string, registered: unknown, difference: readonly string[]) {
  return { what, kind: registered === null ? ('new' as const) : ('changed' as const), difference };
}

async function post(client: Client, path: string, body: unknown): Promise<void> {
  await client.send(['POST', path], body, z.unknown());
}
