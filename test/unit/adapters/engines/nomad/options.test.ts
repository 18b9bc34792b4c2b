import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { nomadOptions } from '../../../../../src/adapters/engines/nomad/options.ts';
import { readArguments } from '../../../../../src/runner/arguments.ts';

const HCL = new URL('../../../../../jobs/vault-runner.nomad.hcl', import.meta.url);

/** The pattern of the variable's validation. */
function patternOfJob(): RegExp {
  const [, pattern = 'none'] = /regex_replace\(var\.run_as, "([^"]+)", ""\)/.exec(readFileSync(HCL, 'utf8')) ?? [];
  return new RegExp(pattern);
}

describe('run_as of [engine.nomad]', () => {
  it.each([
    ['0:0', null],
    ['0:65534', null],
    ['65534:0', null],
    ['065534:1', null],
    ['1:065534', null],
    ['1000000000:1', null],
    ['1:1000000000', null],
    ['nobody', null],
    ['', null],
    ['65534:65534', { uid: 65_534, gid: 65_534 }],
    ['999999999:1', { uid: 999_999_999, gid: 1 }],
  ])('%j is the same to the configuration, the runner and the job that is registered by hand', (text, runAs) => {
    expect(nomadOptions.safeParse({ run_as: text }).success).toBe(runAs !== null);
    expect(readArguments(['--run-as', text])?.runAs ?? null).toEqual(runAs);
    expect(patternOfJob().test(text)).toBe(runAs !== null);
  });

  it('is nobody by default', () => {
    expect(readArguments(['--run-as', nomadOptions.parse({}).run_as])?.runAs).toEqual({ uid: 65_534, gid: 65_534 });
  });
});
