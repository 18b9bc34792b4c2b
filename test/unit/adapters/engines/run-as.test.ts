import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { engines } from '../../../../src/adapters/engines/index.ts';
import { resolveRunAs } from '../../../../src/adapters/engines/subprocess/run-as.ts';
import { makeTools, type TestTools } from '../../../fakes/tools.ts';

describe('run_as', () => {
  let tools: TestTools;
  let passwd: string;

  beforeEach(() => {
    tools = makeTools();
    passwd = path.join(tools.stateDir, 'passwd');
    writeFileSync(
      passwd,
      'root:x:0:0:root:/root:/bin/sh\n# comment\nrunner:x:1200:1300::/home/runner:/bin/sh\nodd:x:a:b\n',
    );
  });

  afterEach(() => tools.remove());

  it('is nobody else when it is empty', () => {
    expect(resolveRunAs('', passwd, 0)).toEqual({ kind: 'none' });
  });

  it.each([
    ['runner', { uid: 1200, gid: 1300 }],
    ['1000:2000', { uid: 1000, gid: 2000 }],
  ])('is the user %s', (setting, ids) => {
    expect(resolveRunAs(setting, passwd, 0)).toEqual({ kind: 'user', ids });
  });

  it.each(['nobody-here', 'root', '0:0', '0:1000', 'odd', '# comment', '1000', '1000:'])('refuses %j', (setting) => {
    expect(resolveRunAs(setting, passwd, 0)).toMatchObject({ kind: 'refused' });
  });

  it('is refused to anybody but root', () => {
    expect(resolveRunAs('runner', passwd, 1200)).toMatchObject({ kind: 'refused' });
  });

  it('is refused when the users can not be read', () => {
    expect(resolveRunAs('runner', path.join(tools.stateDir, 'none'), 0)).toMatchObject({ kind: 'refused' });
  });

  it.each(['a b', '1:2:3', '-u', 'a:b', '$x'])('can not be set to %j', (run_as) => {
    expect(engines.subprocess.options.safeParse({ run_as }).success).toBe(false);
  });

  it('is empty by default, and the only option', () => {
    expect(engines.subprocess.options.parse({})).toEqual({ run_as: '' });
    expect(engines.subprocess.options.safeParse({ run_ass: '' }).success).toBe(false);
  });

  it('says at the start that without it only accidents are protected against', async () => {
    const engine = engines.subprocess.create({ run_as: '' }, { ...tools, runner: [], runnerEnvironment: {} });
    const checks = await engine.check();
    expect(checks.find(({ name }) => name === 'engine.subprocess.isolation')?.message).toMatch(
      /^WARNING: .*accidents only/,
    );
    expect(engine.isolated).toBe(false);
  });
});
