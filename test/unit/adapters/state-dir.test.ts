import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ownIdentity, readPidNamespace } from '../../../src/adapters/process-identity.ts';
import { openStateDir, type StateDir, stateLayout } from '../../../src/adapters/state-dir.ts';
import { UsageError } from '../../../src/errors.ts';
import { makeTools, type TestTools } from '../../fakes/tools.ts';

describe('the state directory', () => {
  let tools: TestTools;
  const held: StateDir[] = [];
  const open = async (): Promise<StateDir> => {
    const opened = await openStateDir(tools.stateDir);
    held.push(opened);
    return opened;
  };
  const locks = (): string[] => readdirSync(tools.stateDir).filter((name) => name.startsWith('lock'));

  beforeEach(() => {
    tools = makeTools();
  });

  afterEach(async () => {
    await Promise.all(held.splice(0).map((opened) => opened.release()));
    tools.remove();
  });

  it('is made with a place for everything, closed to other users', async () => {
    const root = path.join(tools.stateDir, 'new');
    const opened = await openStateDir(root);
    const { layout } = opened;
    await opened.release();
    const modes = [root, layout.cache, layout.runs].map((directory) => statSync(directory).mode & 0o777);
    expect(modes).toEqual([0o711, 0o700, 0o711]);
    expect(layout).toEqual(stateLayout(root));
    expect(layout.tickets).toBe(path.join(root, 'runs/tickets'));
  });

  it('is swept of what a crash left half written, by who holds it', async () => {
    const { runs } = stateLayout(tools.stateDir);
    mkdirSync(runs);
    const names = ['a.json', `a.json.${randomUUID()}.tmp`, 'b.tmp'];
    for (const name of names) writeFileSync(path.join(runs, name), '');
    await open();
    expect(readdirSync(runs)).toEqual(['a.json', 'b.tmp']);
  });

  it('is used by one process at a time', async () => {
    await open();
    await expect(open()).rejects.toMatchObject({ code: 'ERR_LOCKED' });
    await expect(open()).rejects.toThrow(UsageError);
  });

  it('says who holds it', async () => {
    await open();
    await expect(open()).rejects.toThrow(`${tools.stateDir} is in use by process ${ownIdentity().pid}`);
  });

  it('is free again after it was released, also twice', async () => {
    const first = await open();
    await first.release();
    await first.release();
    await open();
    expect(locks()).toEqual(['lock.2']);
  });

  it('is taken over from a process that is dead', async () => {
    leaveLock('lock.7', { start_time: '1' });
    await open();
    expect(locks()).toEqual(['lock.8']);
    expect(JSON.parse(readFileSync(path.join(tools.stateDir, 'lock.8'), 'utf8'))).toMatchObject(ownIdentity());
  });

  it.each([
    ['another container', { pid_namespace: 'pid:[1]' }],
    ['another machine, or this one before it was started anew', { boot_id: 'another one' }],
  ])('is not taken from a process of %s that gave a sign lately', async (_, change) => {
    leaveLock('lock.1', change);
    await expect(open()).rejects.toThrow(UsageError);
    const longAgo = new Date(Date.now() - 21_000);
    utimesSync(path.join(tools.stateDir, 'lock.1'), longAgo, longAgo);
    await open();
    expect(locks()).toEqual(['lock.2']);
  });

  it('goes by the highest lock, whatever older ones say', async () => {
    leaveLock('lock.9', { start_time: '1' });
    leaveLock('lock.10', {});
    await expect(open()).rejects.toThrow(UsageError);
    expect(locks().sort()).toEqual(['lock.10', 'lock.9']);
  });

  it('is not held by a file that is no lock', async () => {
    writeFileSync(path.join(tools.stateDir, 'lock.1'), 'torn');
    await open();
    expect(locks()).toEqual(['lock.2']);
  });

  it('is got by exactly one of many who find a dead lock at the same time', async () => {
    leaveLock('lock.1', { start_time: '1' });
    const answers = await Promise.allSettled(Array.from({ length: 12 }, open));
    expect(answers.filter((answer) => answer.status === 'fulfilled')).toHaveLength(1);
  });

  it('is not got by a process that was so slow that others took and tidied away the number it wants', async () => {
    leaveLock('lock.1', { start_time: '1' });
    const slow = openStateDir(tools.stateDir);
    slow.catch(() => undefined);
    while (!locks().some((name) => name.endsWith('.tmp'))) await new Promise((resolve) => setImmediate(resolve));
    leaveLock('lock.3', {});
    await expect(slow).rejects.toMatchObject({ code: 'ERR_LOCKED' });
    expect(locks().sort()).toEqual(['lock.1', 'lock.3']);
  });

  it('never has two holders, however many take and release it', async () => {
    let holders = 0;
    let most = 0;
    let taken = 0;
    const work = async (): Promise<void> => {
      for (let round = 0; round < 12; round += 1) {
        const opened = await openStateDir(tools.stateDir).catch(() => null);
        if (opened === null) continue;
        holders += 1;
        taken += 1;
        most = Math.max(most, holders);
        await new Promise((resolve) => setImmediate(resolve));
        holders -= 1;
        await opened.release();
      }
    };
    await Promise.all(Array.from({ length: 6 }, work));
    expect(most).toBe(1);
    expect(taken).toBeGreaterThan(1);
  });

  function leaveLock(name: string, change: object): void {
    const lock = { ...ownIdentity(), pid_namespace: readPidNamespace(), host: 'h', released: false, ...change };
    writeFileSync(path.join(tools.stateDir, name), JSON.stringify(lock));
  }
});
