import { readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openStateDir } from '../../src/adapters/state-dir.ts';
import { plainGit } from '../../src/cli/plain-git.ts';
import { CliBench } from '../fakes/cli-bench.ts';
import { sampleEntry, sampleResult } from '../fakes/cli-samples.ts';
import { until } from '../fakes/until.ts';

let bench: CliBench;

beforeEach(async () => {
  bench = await CliBench.open();
});
afterEach(() => bench.remove());

async function tipOf(): Promise<string> {
  return plainGit(bench.repo.url, ['rev-parse', 'main']);
}

describe('cancel', () => {
  test('without a daemon carries it out itself, and only that, and again is no error (R9)', async () => {
    const before = await tipOf();
    const { code, value } = await bench.json('cancel', 'publish-docs', '--reason', 'not wanted');
    expect({ code, value }).toMatchObject({
      code: 0,
      value: { id: 'publish-docs', state: 'cancelled', reason: { code: 'ERR_CANCELLED', message: 'not wanted' } },
    });
    const changed = await plainGit(bench.repo.url, ['diff', '--name-only', before, 'main']);
    expect(changed).toBe('vault/actions/publish-docs.result.json');
    expect(await bench.wishes()).toEqual([]);
    const after = await tipOf();
    const again = await bench.run(['cancel', 'publish-docs']);
    expect(again.code).toBe(0);
    expect(again.stdout).toContain('publish-docs is cancelled');
    expect(await tipOf()).toBe(after);
  });

  test('of what has ended says how, and leaves no wish behind', async () => {
    await bench.pushResult(sampleResult('done'));
    const { code, value } = await bench.json('cancel', 'done');
    expect({ code, value }).toMatchObject({ code: 0, value: { state: 'succeeded' } });
    expect(await bench.wishes()).toEqual([]);
  });

  test('beside a daemon asks it, and waits for the result', async () => {
    const state = await openStateDir(bench.repo.stateDir);
    try {
      const asked = bench.json('cancel', 'publish-docs', '--reason', 'stop');
      const wish = path.join(bench.repo.stateDir, 'control', 'cancel-publish-docs.json');
      const text = await until('the wish is there', () => readFile(wish, 'utf8').catch(() => null));
      expect(JSON.parse(text)).toMatchObject({ kind: 'cancel', message: 'stop', by: expect.stringMatching(/./) });
      const reason = { code: 'ERR_CANCELLED', message: 'stop', hint: null, by: 'me' };
      const end = { outcome: 'cancelled', exit_code: 130, reason, attempt: null, output: null } as const;
      await bench.pushResult(sampleResult('publish-docs', end));
      expect(await asked).toMatchObject({ code: 0, value: { state: 'cancelled' } });
      expect(await bench.wishes()).toEqual([]);
    } finally {
      await state.release();
    }
  });

  test('that is not confirmed in time says so, and the wish stays', async () => {
    const state = await openStateDir(bench.repo.stateDir);
    try {
      const { code, stdout } = await bench.run(['cancel', 'publish-docs', '--wait', '0']);
      expect(code).toBe(1);
      expect(stdout).toContain('the wish stays');
      expect(await bench.wishes()).toEqual(['cancel-publish-docs.json']);
    } finally {
      await state.release();
    }
  });

  test('takes over when the daemon it waits for is gone', async () => {
    const state = await openStateDir(bench.repo.stateDir);
    const asked = bench.run(['cancel', 'publish-docs']);
    await until('it was asked for', async () => (await bench.wishes()).length > 0);
    await state.release();
    expect((await asked).stdout).toContain('publish-docs is cancelled');
  });

  test('leaves an attempt of another dispatcher to that one (R21)', async () => {
    const blob = await bench.blob('vault/actions/publish-docs.toml');
    await bench.claim(sampleEntry('publish-docs', blob, { dispatcher: 'elsewhere' }));
    const { code, stdout } = await bench.run(['cancel', 'publish-docs']);
    expect(code).toBe(1);
    expect(stdout).toContain('cancel it there');
    expect(await bench.wishes()).toEqual([]);
  });

  test('of an id that there is not is wrong usage', async () => {
    expect((await bench.run(['cancel', 'nix'])).code).toBe(2);
    expect((await bench.run(['cancel', '../nix'])).code).toBe(2);
    expect(await bench.wishes()).toEqual([]);
  });
});

describe('pause and resume', () => {
  test('hold new starts back visibly, keep who asked first, and are no error twice', async () => {
    const first = await bench.json('pause');
    expect(first).toMatchObject({ code: 0, value: { paused: { by: expect.stringMatching(/./) } } });
    expect(await bench.json('pause')).toEqual(first);
    const { value } = await bench.json('status');
    expect(value).toMatchObject({
      ...(first.value as object),
      waiting: expect.arrayContaining([
        expect.objectContaining({ id: 'publish-site', reason: expect.objectContaining({ code: 'ERR_PAUSED' }) }),
      ]),
    });
    const planned = await bench.run(['plan', 'ada/vault/actions/publish-site.toml']);
    expect(planned).toMatchObject({ code: 0, stdout: expect.stringContaining('ERR_PAUSED') });
    expect(await bench.json('resume')).toMatchObject({ code: 0, value: { paused: null, paused_by_branch: false } });
    expect(await bench.json('resume')).toMatchObject({ code: 0 });
    expect((await bench.json('status')).value).toMatchObject({ paused: null });
  });

  test('tell when the branch itself still asks for a pause', async () => {
    await bench.push({ 'vault/PAUSE': '' });
    const { code, stdout } = await bench.run(['resume']);
    expect(code).toBe(1);
    expect(stdout).toContain('vault/PAUSE');
    expect((await bench.json('status')).value).toMatchObject({ paused: null, paused_by_branch: true });
  });
});

describe('what is away', () => {
  test('makes each command end with 3 and its code, and its error as JSON (R20)', async () => {
    await rename(bench.repo.url, `${bench.repo.url}.away`);
    for (const argv of [['status'], ['why', 'publish-docs'], ['logs', 'publish-docs'], ['cancel', 'publish-docs']]) {
      const { code, stdout, stderr } = await bench.run([...argv, '--json']);
      expect({ argv, code }).toEqual({ argv, code: 3 });
      expect(JSON.parse(stdout)).toEqual({
        ...(argv[0] === 'status' && { daemon_says: null }),
        error: expect.objectContaining({ code: expect.stringMatching(/^ERR_GIT_/) }),
      });
      expect(stderr).toMatch(/^ERR_GIT_/);
    }
  });

  test('does not keep anybody from pausing, and not from taking it back', async () => {
    await rename(bench.repo.url, `${bench.repo.url}.away`);
    expect((await bench.run(['pause'])).code).toBe(0);
    expect((await bench.run(['resume'])).code).toBe(3);
    expect(await bench.wishes()).toEqual([]);
  });

  test('a rewritten branch shows as it does to the daemon, however often somebody looks (design.md, History)', async () => {
    await writeFile(path.join(bench.repo.stateDir, 'accepted-tip'), `${await tipOf()}\n`);
    const { clone } = bench.repo;
    await plainGit(clone, ['commit', '--quiet', '--amend', '-m', 'rewritten']);
    await plainGit(clone, ['push', '--quiet', '--force', 'origin', 'main']);
    for (let look = 0; look < 2; look += 1) {
      const { value } = await bench.json('why', 'publish-site');
      expect(value).toMatchObject({ reason: { code: 'ERR_HISTORY_DIVERGED' } });
    }
  });

  test('no configuration and no embedded repo is wrong usage, and makes nothing', async () => {
    await rename(path.join(bench.root, 'dispatcher.toml'), path.join(bench.root, 'other.toml'));
    const { code, stderr } = await bench.run(['status']);
    expect(code).toBe(2);
    expect(stderr).toContain('--config');
  });
});
