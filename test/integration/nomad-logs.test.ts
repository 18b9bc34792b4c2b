import { rmSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Spool } from '../../src/adapters/engines/nomad/spool.ts';
import type { AttemptToken } from '../../src/domain/ids.ts';
import type { Run } from '../../src/domain/run.ts';
import { TransientError } from '../../src/errors.ts';
import type { LogStream } from '../../src/ports/engine.ts';
import { type ChildPlan, type ScriptedDriver, scriptedDriver } from '../fakes/nomad/scripted-driver.ts';
import { type NomadParts, startNomadParts } from '../fakes/nomad-parts.ts';
import { textOf, until } from '../fakes/until.ts';

const TOKEN = '0123456789abcdef0123456789abcdef' as AttemptToken;
const META = { action_id: 'a', attempt: '1', formula: 'f', mounts: '', secrets_csv: '' };
const ALL_KEPT = { stdout: 'kept', stderr: 'kept' };

let driver: ScriptedDriver;
let parts: NomadParts;
let spool: Spool;
let run: Run;

/** Starts the only run; a held one runs until it is released. */
async function start(plan: ChildPlan): Promise<void> {
  driver.plan = () => plan;
  const payload = Buffer.from('payload');
  run = await parts.dispatcher.dispatch({ token: TOKEN, job: 'vault-runner', meta: META, payload, timeoutSeconds: 60 });
  const wanted = plan.held === true ? 'running' : 'complete';
  if (plan.outcome === undefined) {
    await until(`it is ${wanted}`, () => parts.nomad.allocation(run.id).ClientStatus === wanted);
  } else {
    await until('it has failed', () => parts.nomad.allocation(run.id).ClientStatus === 'failed');
  }
}

const drain = (from = spool) => from.drain(run, parts.nomad.allocation(run.id).ID);
const kept = (stream: LogStream, offset = 0, from = spool): Promise<string> => textOf(from.read(TOKEN, stream, offset));
const fileOf = (stream: LogStream): string => path.join(parts.tools.stateDir, 'cache', 'spool', TOKEN, stream);

beforeEach(async () => {
  driver = scriptedDriver();
  parts = await startNomadParts({ driver });
  spool = new Spool(parts.client, parts.tools);
});
afterEach(() => parts.close());

describe('the output of a run', () => {
  it('is kept of both streams, byte by byte (R10, E1)', async () => {
    const large = Buffer.from(Array.from({ length: 300_000 }, (_, at) => (at * 7919) % 256));
    await start({ stdout: large, stderr: 'err 1\nerr 2\n' });
    expect(await drain()).toEqual(ALL_KEPT);
    const chunks: Uint8Array[] = [];
    for await (const chunk of spool.read(TOKEN, 'stdout', 0)) chunks.push(chunk);
    expect(Buffer.concat(chunks).equals(large)).toBe(true);
    expect(await kept('stderr')).toBe('err 1\nerr 2\n');
  });

  it('is read from an offset, and nothing beyond the end', async () => {
    await start({ stdout: 'out 1\nout 2\n' });
    await drain();
    expect(await kept('stdout', 6)).toBe('out 2\n');
    expect(await kept('stdout', 12)).toBe('');
    expect(await kept('stdout', 99)).toBe('');
  });

  it('lies in files that only we may read', async () => {
    await start({ stdout: 'x' });
    await drain();
    expect(statSync(fileOf('stdout')).mode & 0o777).toBe(0o600);
    expect(statSync(path.dirname(fileOf('stdout'))).mode & 0o777).toBe(0o700);
  });

  it('is added to while the run goes on', async () => {
    await start({ held: true });
    expect(await drain()).toEqual(ALL_KEPT);
    for (const line of ['one\n', 'one\n', 'two\n']) {
      driver.print(TOKEN, 'stdout', line);
      expect(await drain()).toEqual(ALL_KEPT);
    }
    expect(await kept('stdout')).toBe('one\none\ntwo\n');
  });

  it('is taken up by another process where the first one stopped (R8)', async () => {
    await start({ held: true });
    driver.print(TOKEN, 'stderr', `${'x'.repeat(9_999)}\n`);
    await drain();
    driver.print(TOKEN, 'stderr', 'later\n');
    const next = new Spool(parts.client, parts.tools);
    expect(await drain(next)).toEqual(ALL_KEPT);
    expect(await kept('stderr', 0, next)).toBe(`${'x'.repeat(9_999)}\nlater\n`);
  });

  it.each<readonly [string, () => void]>([
    ['the client has collected it', () => parts.nomad.collectFromClient(run.id)],
    ['Nomad has collected all of it', () => parts.nomad.collectFromServer(run.id)],
  ])('outlives that %s (R10, E5)', async (_, collect) => {
    await start({ stdout: 'out\n', stderr: 'err\n' });
    const { ID } = parts.nomad.allocation(run.id);
    await drain();
    collect();
    expect(await spool.drain(run, ID)).toEqual({ stdout: 'gone', stderr: 'gone' });
    expect(await kept('stdout')).toBe('out\n');
    expect(await kept('stderr')).toBe('err\n');
  });

  it('is empty where the task never started', async () => {
    await start({ outcome: 'bad-command' });
    expect(await drain()).toEqual({ stdout: 'not-started', stderr: 'not-started' });
    expect(await kept('stdout')).toBe('');
  });

  it('is what is left where it was rotated before we saw it (R10)', async () => {
    await start({ stdout: `${'a'.repeat(2_500)}end` });
    parts.nomad.truncateLog(run.id, 'stdout', 1_000);
    expect(await drain()).toEqual(ALL_KEPT);
    expect(await kept('stdout')).toBe(`${'a'.repeat(1_500)}end`);
  });

  it('gets nothing added that does not join on: a gap would not be seen (R10)', async () => {
    await start({ held: true });
    driver.print(TOKEN, 'stdout', Array.from({ length: 2_000 }, (_, at) => `${at}\n`).join(''));
    await drain();
    const before = await kept('stdout');
    parts.nomad.truncateLog(TOKEN, 'stdout', 3_000);
    driver.print(TOKEN, 'stdout', 'z'.repeat(9_000));
    expect(await drain()).toEqual({ stdout: 'apart', stderr: 'kept' });
    expect(await kept('stdout')).toBe(before);
    driver.print(TOKEN, 'stdout', before.slice(-4_096));
    expect(await drain()).toEqual({ stdout: 'apart', stderr: 'kept' });
    expect(await kept('stdout')).toBe(before);
  });

  it('is not cut back when Nomad has less of it than we', async () => {
    await start({ stdout: 'line 1\nline 2\n' });
    await drain();
    parts.nomad.truncateLog(TOKEN, 'stdout', 14);
    expect(await drain()).toEqual({ stdout: 'apart', stderr: 'kept' });
    expect(await kept('stdout')).toBe('line 1\nline 2\n');
  });

  it('never holds the error that Nomad found after its 200 (R10)', async () => {
    await start({ stdout: 'out\n', stderr: 'err\n' });
    parts.nomad.textAfterLogs = 'rpc error: EOF';
    await expect(drain()).rejects.toThrow(TransientError);
    parts.nomad.textAfterLogs = '';
    expect(await drain()).toEqual(ALL_KEPT);
    expect(await kept('stdout')).toBe('out\n');
    expect(await kept('stderr')).toBe('err\n');
  });

  it('is complete after outages on the way, nothing twice (E2)', async () => {
    await start({ stdout: 'x'.repeat(200_000) });
    parts.nomad.faults.cut({ pattern: /type=stdout/ });
    await expect(drain()).rejects.toThrow(TransientError);
    parts.nomad.faults.noLeader({ pattern: /type=stdout/ });
    await expect(drain()).rejects.toThrow(TransientError);
    expect(await drain()).toEqual(ALL_KEPT);
    expect(statSync(fileOf('stdout')).size).toBe(200_000);
  });

  describe('from a server that answers with these bytes', () => {
    let body = '';
    let cut = false;
    const server = createServer((_, response) => {
      response.write(body, () => (cut ? response.destroy() : response.end()));
    });
    const frame = (text: string, file: number): string =>
      JSON.stringify({ Data: Buffer.from(text).toString('base64'), File: `alloc/logs/runner.stdout.${file}` });

    beforeEach(async () => {
      cut = false;
      await start({ stdout: 'one two' });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const { port } = server.address() as AddressInfo;
      spool = new Spool(parts.newClient({ address: `http://127.0.0.1:${port}` }), parts.tools);
    });
    afterEach(() => new Promise((resolve) => server.close(resolve)));

    it('is kept as far as it came when the connection is cut, and completed later (E2)', async () => {
      body = `${frame('one ', 0)}${frame('two', 0).slice(0, 9)}`;
      cut = true;
      await expect(drain()).rejects.toThrow(TransientError);
      expect(await kept('stdout')).toBe('one ');
      rmSync(fileOf('stderr'));
      expect(await drain(new Spool(parts.client, parts.tools))).toEqual(ALL_KEPT);
      expect(await kept('stdout')).toBe('one two');
    });

    it('has no hole where a file was deleted while it was read (R10)', async () => {
      body = frame('one ', 0) + frame('two ', 1) + frame('four', 3);
      expect(await drain()).toMatchObject({ stdout: 'apart' });
      expect(await kept('stdout')).toBe('one two ');
      body = frame('one two four', 0);
      expect(await drain()).toMatchObject({ stdout: 'apart' });
      expect(await kept('stdout')).toBe('one two ');
    });
  });

  it('is drained once, however many ask at the same time; who asks later gets what came later', async () => {
    await start({ held: true });
    driver.print(TOKEN, 'stdout', 'first\n');
    const release = parts.nomad.faults.hang({ pattern: /type=stderr/ });
    const early = drain();
    await until('stdout was read', async () => (await kept('stdout')) === 'first\n');
    driver.print(TOKEN, 'stdout', 'second\n');
    const late = [drain(), drain(), drain()];
    release();
    await early;
    await Promise.all(late);
    expect(await kept('stdout')).toBe('first\nsecond\n');
    expect(parts.nomad.requests.filter(({ url }) => url.includes('type=stderr')).length).toBe(2);
  });

  it('may be deleted at any time and is read anew', async () => {
    await start({ stdout: 'out\n' });
    await drain();
    rmSync(path.join(parts.tools.stateDir, 'cache'), { recursive: true });
    expect(await kept('stdout')).toBe('');
    expect(await drain()).toEqual(ALL_KEPT);
    expect(await kept('stdout')).toBe('out\n');
  });

  it('is removed when it is not needed any more; again is no error', async () => {
    await start({ stdout: 'out\n' });
    const early = drain();
    await spool.forget(TOKEN);
    await early;
    await spool.forget(TOKEN);
    expect(statSync(path.dirname(fileOf('stdout')), { throwIfNoEntry: false })).toBeUndefined();
  });

  it('can not fill the disk: what is more than the runner would forward is left out', async () => {
    const wanted = { ...parts.tools.wanted, logBytes: 1_000 };
    const small = new Spool(parts.client, { ...parts.tools, wanted });
    await start({ stdout: 'x'.repeat(800_000) });
    expect(await drain(small)).toEqual({ stdout: 'apart', stderr: 'kept' });
    expect(statSync(fileOf('stdout')).size).toBeLessThan(1_000 + 512 * 1024 + 1);
  });

  it('is an outage where the spool can not be written', async () => {
    await start({ stdout: 'out\n' });
    const nowhere = new Spool(parts.client, { ...parts.tools, stateDir: '/dev/null' });
    await expect(drain(nowhere)).rejects.toMatchObject({
      code: 'ERR_ENGINE_UNAVAILABLE',
      message: 'the log spool can not be written: ENOTDIR',
    });
  });
});
