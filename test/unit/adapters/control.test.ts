import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createFileControl } from '../../../src/adapters/control.ts';
import { isActionId } from '../../../src/domain/ids.ts';
import type { StopRequest } from '../../../src/domain/run.ts';
import type { Control } from '../../../src/ports/control.ts';
import { until } from '../../fakes/until.ts';

const wish: StopRequest = { kind: 'cancel', by: 'Jo', message: 'no longer needed' };

const NOW = new Date('2026-03-31T12:00:00Z');

describe('wishes of the operator', () => {
  let stateDir: string;
  let control: Control;
  const file = (name: string): string => path.join(stateDir, 'control', name);

  beforeEach(() => {
    stateDir = mkdtempSync(path.join(tmpdir(), 'control-'));
    control = createFileControl(stateDir, () => NOW);
  });

  afterEach(() => rmSync(stateDir, { recursive: true, force: true }));

  it('are none to begin with, and taking one back twice is no error', async () => {
    expect([await control.paused(), await control.stopRequest('a')]).toEqual([null, null]);
    await control.resume();
    await control.clearStop('a');
  });

  it('to pause say by whom and since when, and outlive both sides', async () => {
    await control.pause('Jo');
    const other = createFileControl(stateDir, () => new Date());
    expect(await other.paused()).toEqual({ by: 'Jo', at: '2026-03-31T12:00:00.000Z' });
    await other.resume();
    expect(await control.paused()).toBeNull();
  });

  it('to cancel are of one action, and end with it', async () => {
    await control.requestStop('a', wish);
    await control.requestStop('a', wish);
    const asked = { ...wish, at: NOW.toISOString() };
    expect([await control.stopRequest('a'), await control.stopRequest('b')]).toEqual([asked, null]);
    await control.clearStop('a');
    expect(await control.stopRequest('a')).toBeNull();
  });

  it('to cancel may be of a sidecar, in a file that no action can have', async () => {
    await control.requestStop('sidecar/reproduce-12-1', wish);
    expect(readdirSync(file(''))).toEqual(['cancel-sidecar~reproduce-12-1.json']);
    expect(isActionId('sidecar~reproduce-12-1')).toBe(false);
    expect(await control.stopRequest('sidecar/reproduce-12-1')).toMatchObject(wish);
    expect(await control.stopRequest('sidecar~reproduce-12-1')).toBeNull();
    await control.clearStop('sidecar/reproduce-12-1');
    expect(readdirSync(file(''))).toEqual([]);
  });

  it('to cancel are told all at once, and what is none of ours is none', async () => {
    expect(await control.stopRequests()).toEqual(new Map());
    for (const id of ['a', 'sidecar/reproduce-12-1']) await control.requestStop(id, wish);
    await control.pause('Jo');
    writeFileSync(file('cancel-b.json'), '{');
    writeFileSync(file('cancel-..~victim.json'), JSON.stringify(wish));
    const asked = { ...wish, at: NOW.toISOString() };
    expect(await control.stopRequests()).toEqual(
      new Map([
        ['a', asked],
        ['sidecar/reproduce-12-1', asked],
      ]),
    );
    await control.clearStop('a');
    expect([...(await control.stopRequests()).keys()]).toEqual(['sidecar/reproduce-12-1']);
  });

  it('that can not be read are no answer', async () => {
    writeFileSync(file(''), 'a file in the place of the directory');
    await expect(control.stopRequests()).rejects.toThrow('ENOTDIR');
  });

  it('are files of the operator alone', async () => {
    await control.pause('Jo');
    expect([statSync(file('')).mode & 0o777, statSync(file('pause.json')).mode & 0o777]).toEqual([0o700, 0o600]);
  });

  it.each(['', '{', '{}', '{"kind":"deadline","by":"x","message":"y"}', 'null'])(
    'are none where the file says %j',
    async (content) => {
      mkdirSync(file(''), { recursive: true });
      for (const name of ['pause.json', 'cancel-a.json']) writeFileSync(file(name), content);
      expect([await control.paused(), await control.stopRequest('a')]).toEqual([null, null]);
    },
  );

  it.each(['../a', 'a/../../victim', '', 'A', 'a.result', 'x'.repeat(300), 'sidecar/a', 'sidecar/../victim-1-1'])(
    'touch no file for %j, which is no id',
    async (id) => {
      writeFileSync(path.join(stateDir, 'victim.json'), JSON.stringify(wish));
      mkdirSync(file('cancel-a'), { recursive: true });
      await expect(control.requestStop(id, wish)).rejects.toThrow('not the id of an action or sidecar');
      expect(await control.stopRequest(id)).toBeNull();
      await control.clearStop(id);
      expect(readdirSync(stateDir)).toEqual(['control', 'victim.json']);
      expect(readdirSync(file(''))).toEqual(['cancel-a']);
    },
  );

  it('wake whoever listens, until that ends', async () => {
    const stop = new AbortController();
    let woken = 0;
    control.onChange(() => (woken += 1), stop.signal);
    await until('the wish was heard', async () => {
      await control.requestStop('a', wish);
      return woken > 0;
    });
    stop.abort();
    expect(woken).toBeGreaterThan(0);
  });

  it('that were there before are told as well', async () => {
    await control.pause('Jo');
    const stop = new AbortController();
    let woken = 0;
    control.onChange(() => (woken += 1), stop.signal);
    await until('the wish was heard', () => woken > 0);
    stop.abort();
    expect(woken).toBeGreaterThan(0);
  });

  it('are no error where nobody can listen', async () => {
    writeFileSync(file('').replace(/\/$/, ''), 'a file in the place of the directory');
    const stop = new AbortController();
    control.onChange(() => undefined, stop.signal);
    await expect(control.pause('Jo')).rejects.toThrow('EEXIST');
    stop.abort();
  });
});
