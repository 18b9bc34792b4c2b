import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { afterEach, describe, expect, it } from 'vitest';
import type { Result } from '../../src/domain/result.ts';
import { actionText, type DaemonBench, makeDaemonBench, POLICY } from '../fakes/daemon-bench.ts';
import { type FakeServices, fakeServices } from '../fakes/fake-services.ts';
import { openStage } from '../fakes/stage.ts';

/* S1.7: what is left when Nomad has to be done without, and what this product never goes back to. */

const FORMULA = { script: 'echo "it is ${#SECRET_ONE} characters long"; exit 3' };

let services: FakeServices;
let bench: DaemonBench;

describe('going back to one machine', () => {
  afterEach(async () => {
    await bench.remove();
    await services.close();
  });

  it('is a change of the configuration: the same action has the same result but for where it ran (S1.7)', async () => {
    services = await fakeServices();
    const onNomad = await resultOnNomad();
    bench = await makeDaemonBench();
    const { daemonToken } = services.fakeVault.install({ secrets: { SECRET_ONE: 'a-value-of-some-length' } });
    await writeFile(bench.configFile, configOf(services.fakeVault.address));
    await bench.push({
      'vault/policy.toml': POLICY,
      'vault/formulas/tell.toml': `name = "tell"\ndescription = "x"\nscript = '''\n${FORMULA.script}\n'''\nsecrets = ["SECRET_ONE"]\ntier = "low"\n`,
      'vault/actions/tell.toml': actionText('tell', 'tell', 'secrets = ["SECRET_ONE"]\n'),
    });
    const program = bench.start(['run', '--once'], { VAULT_TOKEN: daemonToken });
    expect({ ...(await program.ended), stderr: program.stderr() }).toMatchObject({ code: 0 });
    const alone = (await bench.results()).get('tell');
    expect(alone?.run).toMatchObject({ engine: 'subprocess', isolated: false, digest_verified: true });
    expect(alone?.logs).toBe('it is 22 characters long\n');
    expect(comparable(alone)).toEqual(comparable(onNomad));
    expect(services.fakeVault.runTokens).toEqual([]);
  });
});

/** The same formula and the same secret through the fake Nomad. */
async function resultOnNomad(): Promise<Result | undefined> {
  const stage = await openStage(services, {
    driver: 'raw_exec',
    secretCount: 0,
    secretValues: { SECRET_ONE: 'a-value-of-some-length' },
    formulas: () => ({ tell: FORMULA }),
  });
  try {
    await stage.act({ id: 'tell', formula: 'tell', secrets: ['SECRET_ONE'] });
    const program = stage.start();
    const result = (await stage.results(['tell'])).get('tell');
    program.child.kill('SIGTERM');
    await program.ended;
    return result;
  } finally {
    await stage.remove();
  }
}

/** All that does not name a moment, a place or a commit of one of the two repos. */
function comparable(result: Result | undefined) {
  const { id, exit_code, logs, outcome, reason, access, output, artifacts } = result ?? {};
  const { policies } = access ?? {};
  const { stdout, stderr, masked } = output ?? {};
  const kept = [stdout, stderr].map((stream) => ({ ...stream, uri: null }));
  return { id, exit_code, logs, outcome, reason, policies, kept, masked, artifacts };
}

function configOf(vault: string): string {
  return `[dispatcher]
name = "alone"
state_dir = ${JSON.stringify(bench.stateDir)}
[ops_repo]
url = ${JSON.stringify(bench.remote)}
[approval]
low = ["trust-branch"]
medium = ["trust-branch"]
high = ["trust-branch"]
[engine]
kind = "subprocess"
[access]
kind = "vault"
[access.vault]
address = ${JSON.stringify(vault)}
`;
}

describe('a container socket', () => {
  it('is named by no file of the product, and no client of it is installed (S1.7)', () => {
    const files = execFileSync('git', ['ls-files', 'src', 'jobs', 'vault', 'deploy', 'Dockerfile', 'package.json'], {
      encoding: 'utf8',
    });
    const naming = files
      .split('\n')
      .filter((file) => file !== '' && /docker\.sock|DOCKER_HOST|dockerode/.test(readFileSync(file, 'utf8')));
    expect(naming).toEqual([]);
  });
});
