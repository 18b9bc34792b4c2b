import { spawnSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isRegularBeneath, readRegular } from '../../../src/adapters/regular-file.ts';
import { makeTools, type TestTools } from '../../fakes/tools.ts';
import { textOf } from '../../fakes/until.ts';

describe('a file that others may have changed', () => {
  let tools: TestTools;
  const inside = (name: string): string => path.join(tools.stateDir, name);

  beforeEach(() => {
    tools = makeTools();
    mkdirSync(inside('root/sub'), { recursive: true });
    writeFileSync(inside('root/sub/file'), 'abc'.repeat(50_000));
    writeFileSync(inside('outside'), 'not yours');
    symlinkSync(inside('outside'), inside('root/link'));
    symlinkSync(inside('root/sub'), inside('root/folder'));
    spawnSync('sh', ['-c', `mkfifo ${inside('root/pipe')}`]);
  });

  afterEach(() => tools.remove());

  it('is read from an offset to its end', async () => {
    expect(await textOf(readRegular(inside('root/sub/file'), 149_997))).toBe('abc');
    expect((await textOf(readRegular(inside('root/sub/file'), 0))).length).toBe(150_000);
    expect(await textOf(readRegular(inside('root/sub/file'), 200_000))).toBe('');
  });

  it('is read no further once the signal is aborted', async () => {
    expect(await textOf(readRegular(inside('root/sub/file'), 0, AbortSignal.abort()))).toBe('');
  });

  it.each(['root/link', 'root/pipe', 'root/sub', 'root/none', 'outside/x'])('is nothing at %s', async (name) => {
    expect(await textOf(readRegular(inside(name), 0))).toBe('');
    expect(await isRegularBeneath(inside(name), inside('root'))).toBe(false);
  });

  it('is beneath a directory by its real place', async () => {
    expect(await isRegularBeneath(inside('root/sub/file'), inside('root'))).toBe(true);
    expect(await isRegularBeneath(inside('root/folder/file'), inside('root'))).toBe(true);
    expect(await isRegularBeneath(inside('root/folder/file'), inside('root/folder'))).toBe(true);
    expect(await isRegularBeneath(inside('outside'), inside('root'))).toBe(false);
    expect(await isRegularBeneath(inside('root/sub/file'), inside('ro'))).toBe(false);
  });
});
