import { inject } from 'vitest';
import type { AttemptToken } from '../../src/domain/ids.ts';
import { processDriver } from '../fakes/nomad/process-driver.ts';
import { FakeNomadBench, type NomadBench, RealNomadBench } from '../fakes/nomad-bench.ts';
import { until } from '../fakes/until.ts';
import { type EngineHarness, engineContract, type Job } from './engine.contract.ts';

engineContract('nomad, on the fake', async (): Promise<EngineHarness> => {
  const bench = await FakeNomadBench.open({ driver: processDriver() });
  return {
    ...harnessOf(bench),
    vanish: async (run) => {
      await started(bench, run.token);
      bench.nomad.loseNode(run.id, { replace: false });
    },
    vanishedIs: 'lost',
  };
});

const { NOMAD_ADDR, NOMAD_TOKEN } = inject('realServices');

if (NOMAD_ADDR !== undefined && NOMAD_TOKEN !== undefined) {
  engineContract('nomad, on the real one', async (): Promise<EngineHarness> => {
    const bench = await RealNomadBench.open({ NOMAD_ADDR, NOMAD_TOKEN });
    return {
      ...harnessOf(bench),
      vanish: async (run) => {
        await started(bench, run.token);
        await bench.purge(run.id);
      },
      vanishedIs: 'unknown',
    };
  });
}

function harnessOf(bench: NomadBench): Omit<EngineHarness, 'vanish' | 'vanishedIs'> {
  return {
    engine: bench.engine(),
    reopen: () => bench.engine(),
    missing: { job: 'vault-runner', mounts: ['ssh'] },
    request: (token, job) => bench.request(token, scriptOf(job, bench.aside(token))),
    release: (token) => bench.note(`${token}.released`),
    executions: async (token) => (await bench.read(`${token}.executions`)).length,
    close: () => bench.close(),
  };
}

const started = (bench: NomadBench, token: AttemptToken) =>
  until('the command runs', () => bench.read(`${token}.executions`));

function scriptOf({ stdout = '', stderr = '', held = false, end = 0 }: Job, aside: string): string {
  return [
    `printf x >> ${aside}.executions`,
    `printf %s '${stdout}'`,
    `printf %s '${stderr}' >&2`,
    held ? `until [ -e ${aside}.released ]; do sleep 0.02; done` : '',
    typeof end === 'number' ? `exit ${end}` : `kill -s ${end.slice('SIG'.length)} $$`,
  ].join('\n');
}
