import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { DAEMON_TOKEN, FakeNomad, MANAGEMENT_TOKEN } from '../fakes/nomad/fake-nomad.ts';
import { processDriver } from '../fakes/nomad/process-driver.ts';
import { until } from '../fakes/until.ts';

/** Children that really run, as under raw_exec; and servers with other access rules. */

let nomad: FakeNomad | undefined;

afterEach(async () => {
  await nomad?.close();
  nomad = undefined;
});

async function run(script: string, task: Readonly<Record<string, unknown>> = {}, group = {}): Promise<FakeNomad> {
  const runner = {
    Name: 'runner',
    Driver: 'raw_exec',
    Config: { command: '/bin/sh', args: ['-c', script, 'sh', '${NOMAD_TASK_DIR}'] },
    DispatchPayload: { File: 'payload.json' },
    ...task,
  };
  const parameters = { Payload: 'optional', MetaOptional: ['formula', 'mounts'] };
  const job = { ID: 'runner', ParameterizedJob: parameters, TaskGroups: [{ Name: 'run', Tasks: [runner], ...group }] };
  nomad = await FakeNomad.start({ driver: processDriver(), jobs: [job] });
  const payload = Buffer.from('{"a":1}').toString('base64');
  nomad.foreignChild({ parent: 'runner', token: 'one', payload, meta: { formula: 'f' } });
  return nomad;
}

async function ended(fake: FakeNomad) {
  await until('it ended', () => {
    const [allocation] = fake.state.allocationsOf(fake.child('one'));
    const state = allocation?.TaskStates?.['runner']?.State;
    return state === 'dead' && ['complete', 'failed'].includes(allocation?.ClientStatus ?? '');
  });
  const { ClientStatus, ClientDescription, TaskStates } = fake.allocation('one');
  const events = TaskStates?.['runner']?.Events ?? [];
  const details = events.find(({ Type }) => Type === 'Terminated')?.Details;
  return { ClientStatus, ClientDescription, types: events.map(({ Type }) => Type), details };
}

async function logOf(fake: FakeNomad, stream: string): Promise<string> {
  const path = `/v1/client/fs/logs/${fake.allocation('one').ID}?task=runner&type=${stream}&plain=true`;
  return await (await fetch(`${fake.address}${path}`, { headers: { 'x-nomad-token': DAEMON_TOKEN } })).text();
}

async function has(fake: FakeNomad, text: string): Promise<void> {
  await until(`it printed ${text}`, async () => (await logOf(fake, 'stdout')).includes(text));
}

test('a task gets its payload, its variables and nothing of this process', async () => {
  const script =
    'cat "$1/payload.json"; echo; echo "$MINE|$NOMAD_META_formula|$NOMAD_META_MOUNTS|$HOME"; echo no >&2; exit 3';
  const fake = await run(script, { Env: { MINE: '${NOMAD_META_formula}-${unknown}' } });
  expect(await ended(fake)).toEqual({
    ClientStatus: 'failed',
    ClientDescription: 'Failed tasks',
    types: ['Received', 'Task Setup', 'Started', 'Terminated', 'Not Restarting'],
    details: { exit_code: '3', signal: '0', oom_killed: 'false' },
  });
  expect(await logOf(fake, 'stdout')).toBe('{"a":1}\nf-${unknown}|f||\n');
  expect(await logOf(fake, 'stderr')).toBe('no\n');
  expect(fake.executions('one')).toBe(1);
});

test('a command that does not exist is a driver failure', async () => {
  const fake = await run('', { Config: { command: '/no/such/binary' } });
  expect(await ended(fake)).toMatchObject({
    ClientStatus: 'failed',
    types: ['Received', 'Task Setup', 'Driver Failure', 'Not Restarting'],
  });
});

test('a stopped task gets its signal, and is complete whatever it answers', async () => {
  const fake = await run('trap "echo asked; exit 7" TERM; echo up; while :; do sleep 0.01; done', {
    KillSignal: 'SIGTERM',
  });
  await until('it runs', () => fake.state.allocationsOf(fake.child('one'))[0]?.ClientStatus === 'running');
  await has(fake, 'up');
  const id = encodeURIComponent(fake.child('one').ID);
  await fetch(`${fake.address}/v1/job/${id}?namespace=agents`, {
    method: 'DELETE',
    headers: { 'x-nomad-token': DAEMON_TOKEN },
  });
  expect(await ended(fake)).toMatchObject({
    ClientStatus: 'complete',
    types: ['Received', 'Task Setup', 'Started', 'Killing', 'Terminated', 'Killed'],
    details: { exit_code: '7', signal: '0' },
  });
});

test('a task that ignores its signal is killed with all it started, after its time', async () => {
  const script = 'trap "" INT; setsid sleep 1000 & echo "child $!"; while :; do sleep 0.01; done';
  const fake = await run(script, { KillTimeout: 2e7 }, { MaxRunDuration: 3e8 });
  expect(await ended(fake)).toMatchObject({
    ClientStatus: 'complete',
    ClientDescription: 'allocation exceeded max_run_duration',
    details: { exit_code: '137', signal: '9' },
  });
  const pid = /child (\d+)/.exec(await logOf(fake, 'stdout'))?.[1];
  await until('its child is dead', () => !existsSync(`/proc/${pid}`));
});

test('nothing runs any more after close', async () => {
  const fake = await run('echo "self $$"; while :; do sleep 0.01; done');
  await until('it runs', () => fake.state.allocationsOf(fake.child('one'))[0]?.ClientStatus === 'running');
  await has(fake, 'self');
  const pid = /self (\d+)/.exec(await logOf(fake, 'stdout'))?.[1];
  await fake.close();
  expect(existsSync(`/proc/${pid}`)).toBe(false);
});

test('without access control everybody reads jobs; anonymous tokens may be given rights', async () => {
  nomad = await FakeNomad.start({ acl: false });
  const without = async (path: string) => (await fetch(`${nomad?.address}${path}`)).status;
  expect(await without('/v1/jobs?namespace=agents')).toBe(200);
  expect(await (await fetch(`${nomad.address}/v1/acl/token/self`)).json()).toMatchObject({
    AccessorID: 'acls-disabled',
  });
  await nomad.close();
  nomad = await FakeNomad.start({ anonymousCapabilities: ['list-jobs'] });
  expect(await without('/v1/jobs?namespace=agents')).toBe(200);
  expect(await without('/v1/job/nosuch?namespace=agents')).toBe(403);
});

test('the server listens on a socket when asked to, and answers there', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'fake-nomad-socket-'));
  const socketPath = join(directory, 'api.sock');
  nomad = await FakeNomad.start({ listen: { socketPath } });
  expect(nomad.address).toBe(`unix://${socketPath}`);
  const status = await new Promise((resolve, reject) => {
    const request = get({ socketPath, path: '/v1/status/leader', agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    request.once('error', reject);
  });
  expect(status).toBe(200);
  await nomad.close();
  rmSync(directory, { recursive: true });
});

test('jobs, policies and namespaces are registered with the management token only', async () => {
  nomad = await FakeNomad.start();
  const put = async (path: string, token: string, body: unknown) =>
    await fetch(`${nomad?.address}${path}`, {
      method: 'PUT',
      headers: { 'x-nomad-token': token },
      body: JSON.stringify(body),
    });
  const job = {
    Job: { ID: 'one', Namespace: 'agents', ParameterizedJob: {}, TaskGroups: [{ Name: 'run', Tasks: [] }] },
  };
  expect((await put('/v1/jobs', DAEMON_TOKEN, job)).status).toBe(403);
  expect((await put('/v1/jobs', MANAGEMENT_TOKEN, job)).status).toBe(200);
  const before = nomad.job('one');
  await put('/v1/jobs', MANAGEMENT_TOKEN, job);
  expect(nomad.job('one')).toEqual(before);
  expect((await put('/v1/acl/policy/p', DAEMON_TOKEN, { Rules: '' })).status).toBe(403);
  expect((await put('/v1/acl/policy/p', MANAGEMENT_TOKEN, { Rules: '' })).status).toBe(200);
  expect((await put('/v1/namespace/n', DAEMON_TOKEN, { Name: 'n' })).status).toBe(403);
  expect((await put('/v1/namespace/n', MANAGEMENT_TOKEN, { Name: 'n' })).status).toBe(200);
});
