import process from 'node:process';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

const everyTest = 'test/**/*.test.ts';
const faults = 'test/**/*.faults.ts';
const smoke = 'test/**/*.smoke.ts';
const ambient = Object.entries(process.env).map(([name, value = '']) => [name, value] as const);
const realServices = ambient.filter(([name]) => /^(NOMAD|VAULT|BAO|FORGE|EDGE_SMOKE|EDGE_FAULTS)_/.test(name));
const inCi = Boolean(process.env['CI']);

/**
 * What starts processes comes first: to fork costs more the more memory a worker has come to hold, what waits long is
 * not left over for the end, and many short files last keep all workers busy to the end.
 */
class ForkingFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isForking = ({ moduleId }: TestSpecification) => /\/test\/(integration|contract|unit\/cli)\//.test(moduleId);
    return [...sorted.filter(isForking), ...sorted.filter((file) => !isForking(file))];
  }
}

export default defineConfig({
  test: {
    pool: 'forks',
    // Twice the cores of the smallest machine: a good part of the time goes in waiting for other processes.
    maxWorkers: 4,
    // A new process for each file costs as much as most files; test/setup.ts sees to it that none leaves anything open.
    isolate: false,
    sequence: { sequencer: ForkingFirst },
    testTimeout: 30_000,
    hookTimeout: 30_000,
    setupFiles: ['test/setup.ts'],
    provide: { realServices: Object.fromEntries(realServices) },
    reporters: inCi ? ['default', 'json'] : ['default'],
    outputFile: { json: 'test-results/vitest.json' },
    coverage: { provider: 'v8', include: ['src/**/*.ts'], reporter: ['text-summary', 'html'] },
    projects: [
      { extends: true, test: { name: 'tests', include: [everyTest] } },
      // Fault injection takes minutes: kept out of `npm test`, run by `npm run test:faults`.
      {
        extends: true,
        test: { name: 'faults', isolate: true, include: [faults], testTimeout: 600_000, hookTimeout: 120_000 },
      },
      // Needs a real Nomad and a real Vault: `npm run test:smoke`.
      { extends: true, test: { name: 'smoke', include: [smoke], testTimeout: 300_000, hookTimeout: 120_000 } },
    ],
  },
});
