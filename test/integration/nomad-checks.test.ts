import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { checkNomad } from '../../src/adapters/engines/nomad/checks.ts';
import { NOMAD_DEFAULTS, retention } from '../../src/adapters/engines/nomad/checks-retention.ts';
import { isClearText } from '../../src/adapters/engines/nomad/checks-transport.ts';
import { isNewEnough } from '../../src/adapters/engines/nomad/checks-version.ts';
import { CLIENT_TIMING, type NomadClient } from '../../src/adapters/engines/nomad/client.ts';
import { jobSpec } from '../../src/adapters/engines/nomad/jobspec.ts';
import type { Check } from '../../src/domain/check.ts';
import { type SidecarJob, sidecarJobSection } from '../../src/domain/config-sidecar.ts';
import type { Code } from '../../src/errors.ts';
import { type FakeNomadOptions, MANAGEMENT_TOKEN } from '../fakes/nomad/fake-nomad.ts';
import { type NomadParts, startNomadParts } from '../fakes/nomad-parts.ts';

let parts: NomadParts;

const start = async (fake?: FakeNomadOptions, sidecar: SidecarJob | null = null): Promise<void> => {
  parts = await startNomadParts(fake, sidecar);
};
/** With a rate that Nomad's own settings fit. */
const check = (client: NomadClient = parts.client, options = parts.options): Promise<readonly Check[]> =>
  checkNomad(client, options, { ...parts.tools, wanted: { ...parts.tools.wanted, dispatchesPerMinute: 20 } });

const failures = (checks: readonly Check[]): Record<string, Code | null> =>
  Object.fromEntries(checks.filter(({ ok }) => !ok).map(({ name, code }) => [name.replace('engine.nomad.', ''), code]));

describe('the checks of Nomad', () => {
  afterEach(() => parts.close());

  it('are all good with the deployed jobs and policy, and start and change nothing (S1.6)', async () => {
    await start();
    parts.register('vault-runner', ['ssh']);
    const jobs = parts.nomad.state.jobs.size;
    const checks = await check();
    expect(failures(checks)).toEqual({});
    expect(checks.map(({ name }) => name)).toEqual([
      'engine.nomad.reach',
      'engine.nomad.clock',
      'engine.nomad.token',
      'engine.nomad.acl',
      'engine.nomad.version',
      'engine.nomad.rights.list',
      'engine.nomad.job.vault-runner',
      'engine.nomad.job.vault-runner-ssh',
      'engine.nomad.rights.dispatch',
      'engine.nomad.retention.children',
      'engine.nomad.retention.allocations',
      'engine.nomad.retention.spool',
    ]);
    expect(parts.nomad.state.jobs.size).toBe(jobs);
  });

  it('say that Nomad is away, and nothing else', async () => {
    await start();
    await parts.nomad.down();
    expect(failures(await check())).toEqual({ reach: 'ERR_ENGINE_UNAVAILABLE' });
  });

  it('name each job that is missing, stopped or changed (R5, S3)', async () => {
    await start();
    parts.register('vault-runner', ['gpg', 'ssh']);
    const group = parts.nomad.job('vault-runner').TaskGroups[0];
    parts.nomad.alterJob('vault-runner-gpg-ssh', () => ({
      TaskGroups: [{ ...group, ReschedulePolicy: { Attempts: 1, Unlimited: false } }],
    }));
    expect(failures(await check())).toEqual({ 'job.vault-runner-gpg-ssh': 'ERR_JOB_DRIFT' });
    parts.nomad.alterJob('vault-runner', () => ({ Stop: true }));
    expect(failures(await check())).toMatchObject({ 'job.vault-runner': 'ERR_JOB_MISSING' });
    parts.nomad.purge('vault-runner');
    expect(failures(await check())).toMatchObject({ 'job.vault-runner': 'ERR_JOB_MISSING' });
  });

  it('look at the jobs of sidecars where there are some (S2.1)', async () => {
    await start({}, sidecarJobSection.parse({}));
    const missing = (await check()).find(({ name }) => name === 'engine.nomad.job.sidecar');
    expect(missing).toMatchObject({ ok: false, code: 'ERR_JOB_MISSING', fix: expect.stringContaining('deploy') });
    parts.register('sidecar');
    parts.register('sidecar', ['gpg', 'ssh']);
    const checks = await check();
    expect(failures(checks)).toEqual({});
    expect(checks.map(({ name }) => name)).toContain('engine.nomad.job.sidecar-gpg-ssh');
    const [group] = parts.nomad.job('sidecar').TaskGroups;
    parts.nomad.alterJob('sidecar', () => ({ TaskGroups: [{ ...group, Volumes: {} }] }));
    expect(failures(await check())).toEqual({ 'job.sidecar': 'ERR_JOB_DRIFT' });
  });

  it.each<readonly [string, Record<string, Code>]>([
    ['list-jobs', { 'rights.list': 'ERR_ENGINE_DENIED' }],
    ['read-job', { 'job.vault-runner': 'ERR_ENGINE_DENIED' }],
    ['dispatch-job', { 'rights.dispatch': 'ERR_ENGINE_DENIED' }],
  ])('find out that the token has no %s', async (missing, expected) => {
    const all = ['dispatch-job', 'read-job', 'list-jobs', 'read-logs', 'deregister-job'];
    await start({ daemonCapabilities: all.filter((right) => right !== missing) });
    const checks = await check();
    expect(failures(checks)).toEqual(expected);
    expect(checks.find(({ ok }) => !ok)?.fix).toContain(missing);
  });

  it('refuse a management token, no token and a token that Nomad does not know', async () => {
    await start();
    expect(failures(await check(parts.newClient({}, MANAGEMENT_TOKEN)))).toEqual({ token: 'ERR_ENGINE_EXCESS' });
    const denied = { token: 'ERR_ENGINE_DENIED', 'rights.list': 'ERR_ENGINE_DENIED' };
    expect(failures(await check(parts.newClient({}, null)))).toEqual(denied);
    const unknown = parts.newClient({}, '20000000-0000-4000-8000-000000000001');
    expect(failures(await check(unknown))).toEqual(denied);
  });

  it('take a workload identity, which is no token that can look at itself', async () => {
    await start();
    parts.nomad.faults.answer(404, 'ACL token not found', { pattern: /token\/self/ });
    expect(failures(await check())).toEqual({});
  });

  it('refuse jobs that anybody can read', async () => {
    await start({ anonymousCapabilities: ['list-jobs', 'read-job'] });
    expect(failures(await check())).toEqual({ acl: 'ERR_ENGINE_EXCESS' });
    await parts.close();
    await start({ acl: false });
    expect(failures(await check())).toEqual({ token: 'ERR_ENGINE_EXCESS', acl: 'ERR_ENGINE_EXCESS' });
  });

  it.each([4, 6, 8])(
    'refuse them also when the agent has only just started, and denies %i requests (S1.6)',
    async (denied) => {
      await start({ anonymousCapabilities: ['list-jobs', 'read-job'] });
      await parts.nomad.restart(denied);
      const patient = parts.newClient({}, undefined, { ...CLIENT_TIMING, recheckMs: 5 });
      expect(failures(await check(patient))).toEqual({ acl: 'ERR_ENGINE_EXCESS' });
    },
  );

  it('leave out the job of a mount that no run can have any more', async () => {
    await start();
    parts.register('vault-runner', ['ssh']);
    const named = async (...[options, mounts]: Parameters<typeof left>) =>
      (await left(options, mounts)).filter(({ name }) => name.includes('.job.'));
    const left = (options: Partial<typeof parts.options>, mounts: typeof parts.tools.wanted.mounts) => {
      const all = { ...parts.options, ...options };
      parts.nomad.registerJob(jobSpec('vault-runner', [], all, parts.tools));
      const wanted = { ...parts.tools.wanted, dispatchesPerMinute: 20, mounts };
      return checkNomad(parts.client, all, { ...parts.tools, wanted });
    };
    const base = [{ name: 'engine.nomad.job.vault-runner', ok: true }];
    expect(await named({ driver: 'raw_exec' }, parts.tools.wanted.mounts)).toMatchObject(base);
    expect(await named({}, { ssh: { path: '/srv/ssh', hostVolume: null } })).toMatchObject(base);
  });

  it('warn of clocks that differ by more than 30 s (R24)', async () => {
    await start();
    parts.tools.advance(25);
    expect(failures(await check())).toEqual({});
    parts.tools.advance(15);
    expect(failures(await check())).toEqual({ clock: 'ERR_CLOCK_SKEW' });
  });

  it('hold no token and no words of a server (R14)', async () => {
    await start();
    const hostile = createServer((_, response) => response.writeHead(500).end('hvs.SECRET'));
    await new Promise<void>((resolve) => hostile.listen(0, '127.0.0.1', resolve));
    try {
      const address = `http://127.0.0.1:${(hostile.address() as AddressInfo).port}`;
      const checks = await check(parts.newClient({ address }, 'hvs.SECRET'));
      expect(failures(checks)).toEqual({ reach: 'ERR_ENGINE_UNAVAILABLE' });
      expect(JSON.stringify(checks)).not.toContain('SECRET');
    } finally {
      await new Promise((resolve) => hostile.close(resolve));
    }
  });

  it('warn where the token crosses a network in clear text', async () => {
    await start();
    const checks = await check(parts.client, { ...parts.options, address: 'http://nomad.example:4646' });
    expect(checks.find(({ name }) => name === 'engine.nomad.transport')).toMatchObject({
      ok: true,
      message: expect.stringContaining('WARNING') as string,
    });
  });
});

describe('retention (R24)', () => {
  const GIB = 1024 ** 3;
  const fits = { dispatchesPerMinute: 20, inFlight: 16, logBytes: 1024 ** 2, ...NOMAD_DEFAULTS, freeBytes: GIB };
  const warned = (figures: Partial<typeof fits>) => Object.keys(failures(retention({ ...fits, ...figures })));

  it.each<readonly [string, Partial<typeof fits>, readonly string[]]>([
    ['all fits', {}, []],
    ['20 a minute for 250 minutes: 5000 children', { jobGcSeconds: 15_000 }, []],
    ['one second more', { jobGcSeconds: 15_003 }, ['retention.children']],
    ['600 a minute for 4 h', { dispatchesPerMinute: 600 }, ['retention.children']],
    ['600 a minute for 8 minutes', { dispatchesPerMinute: 600, jobGcSeconds: 480 }, []],
    ['49 runs where 50 allocations are kept', { inFlight: 49 }, []],
    ['50 runs where 50 allocations are kept', { inFlight: 50 }, ['retention.allocations']],
    ['2 streams of 16 runs fill the disk', { logBytes: GIB / 32 }, []],
    ['a byte more', { logBytes: GIB / 32 + 1 }, ['retention.spool']],
  ])('%s', (_, figures, expected) => {
    expect(warned(figures)).toEqual(expected);
  });

  it('says nothing of a disk that can not be seen, and names what to set', () => {
    const checks = retention({ ...fits, dispatchesPerMinute: 600, freeBytes: null });
    expect(checks.map(({ fix }) => fix)).toEqual([
      'Lower dispatches_per_minute of [limits] to 20, or job_gc_threshold of the Nomad servers to 500s.',
      null,
    ]);
  });
});

it.each([
  ['1.11.3', true],
  ['1.11.2', false],
  ['1.11.3+ent', true],
  ['1.12.0', true],
  ['1.9.9', false],
  ['2.0.0-rc.1', true],
  ['v2.0.5', true],
  ['0.12.30', false],
  ['something', false],
])('Nomad %s is new enough: %s', (version, expected) => {
  expect(isNewEnough(version)).toBe(expected);
});

it.each([
  ['http://127.0.0.1:4646', false],
  ['http://127.9.9.9:4646', false],
  ['http://localhost:4646', false],
  ['http://[::1]:4646', false],
  ['https://nomad.example:4646', false],
  ['unix:///secrets/api.sock', false],
  ['http://nomad.example:4646', true],
  ['http://127.0.0.1.example.org:4646', true],
  ['http://10.0.0.1:4646', true],
])('%s is clear text on a network: %s', (address, expected) => {
  expect(isClearText(address)).toBe(expected);
});
