import { existsSync, readFileSync } from 'node:fs';
import process from 'node:process';
import { SubprocessBench } from '../fakes/subprocess-bench.ts';
import { until } from '../fakes/until.ts';
import { type EngineHarness, engineContract, type Job } from './engine.contract.ts';

engineContract('subprocess', async (): Promise<EngineHarness> => {
  const bench = await SubprocessBench.open();
  return {
    engine: bench.engine(),
    reopen: () => bench.engine(),
    missing: { job: 'vault-runner', mounts: ['ssh'] },
    request: (token, job) => bench.request(token, { script: scriptOf(job, bench.aside(token)) }),
    release: (token) => bench.note(`${token}.released`),
    executions: async (token) => {
      const file = bench.aside(`${token}.executions`);
      return existsSync(file) ? readFileSync(file, 'utf8').length : 0;
    },
    vanish: async (run) => {
      await until('the command runs', () => existsSync(bench.aside(`${run.token}.executions`)));
      const pid = await bench.runnerPid(run.token);
      process.kill(pid, 'SIGKILL');
    },
    vanishedIs: 'unknown',
    close: () => bench.close(),
  };
});

function scriptOf({ stdout = '', stderr = '', held = false, end = 0 }: Job, aside: string): string {
  return [
    `printf x >> ${aside}.executions`,
    `printf %s '${stdout}'`,
    `printf %s '${stderr}' >&2`,
    held ? `until [ -e ${aside}.released ]; do sleep 0.02; done` : '',
    typeof end === 'number' ? `exit ${end}` : `kill -${end} $$`,
  ].join('\n');
}
