import { rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/adapters/clock.ts';
import { openOpsRepo } from '../../src/adapters/ops-repo/branch.ts';
import { signingFindings } from '../../src/cli/doctor-signing.ts';
import { encodeResult } from '../../src/domain/result.ts';
import { CliBench } from '../fakes/cli-bench.ts';
import { sampleResult } from '../fakes/cli-samples.ts';
import { createSigningKey, type SigningKey } from '../fakes/git-repo.ts';

/*
 * The ops repo of the demo with results that are signed: of publish-site by the dispatcher, of publish-docs by nobody.
 */
let bench: CliBench;
let key: SigningKey;

beforeAll(async () => {
  bench = await CliBench.open();
  key = await createSigningKey(path.join(bench.root, 'keys'), 'edge');
  const config = bench.config().replace('[approval]', `signing_key_file = "${key.file}"\n[approval]`);
  await writeFile(path.join(bench.root, 'dispatcher.toml'), config);
  await publishOwn('publish-site');
  await bench.pushResult(sampleResult('publish-docs'));
  const after = 'id = "after"\nformula = "publish"\ncontext = "x"\nsecrets = []\ndepends_on = ["publish-docs"]\n';
  await bench.push({ 'vault/actions/after.toml': `${after}inputs = { page = "a.html" }\n` });
});
afterAll(() => bench.remove());

/** As the daemon does it. */
async function publishOwn(id: string): Promise<void> {
  const opsRepo = await openOpsRepo(
    {
      url: bench.repo.url,
      branch: 'main',
      dir: path.join(bench.root, 'publisher'),
      acceptedTipFile: path.join(bench.root, 'publisher-tip'),
      username: '',
      tokenFile: null,
      sshKeyFile: null,
      knownHostsFile: null,
      author: 'edge-dispatcher <edge-dispatcher@localhost>',
      signingKeyFile: key.file,
      timeoutMs: 20_000,
      pushSpacingMs: 0,
    },
    systemClock,
  );
  try {
    const file = { path: `vault/actions/${id}.result.json`, content: encodeResult(sampleResult(id)) };
    await opsRepo.publish(file, `${id}: succeeded`);
  } finally {
    await opsRepo.close();
  }
}

const FOREIGN = expect.objectContaining({
  code: 'ERR_FOREIGN_RESULT',
  message: expect.stringMatching(
    /^vault\/actions\/publish-docs\.result\.json was set by commit [0-9a-f]{12}, which is not signed; it names edge-dispatcher as its author$/,
  ),
});

describe('a result that the dispatcher did not sign (R1)', () => {
  it('holds its action, and counts for nothing in status', async () => {
    const { code, value } = await bench.json('status');
    expect(code).toBe(0);
    expect(value).toMatchObject({
      recent: [{ id: 'publish-site', state: 'succeeded' }],
      waiting: expect.arrayContaining([
        expect.objectContaining({ id: 'publish-docs', state: 'pending', formula: 'publish', reason: FOREIGN }),
      ]),
    });
  });

  it('is explained with who committed it and what it claims, and no step is done because of it', async () => {
    const { code, value } = await bench.json('why', 'publish-docs');
    expect(code).toBe(0);
    expect(value).toMatchObject({ id: 'publish-docs', state: 'pending', reason: FOREIGN, run: null });
    const { steps } = value as { steps: { step: string; state: string; evidence: object }[] };
    expect(steps.filter(({ state }) => state !== 'open').map(({ step, state }) => [step, state])).toEqual([
      ['read-action', 'done'],
      ['record-result', 'waiting'],
    ]);
    expect(steps.at(-1)?.evidence).toMatchObject({ author: 'edge-dispatcher', claims: 'succeeded' });
    expect(await bench.json('why', 'publish-site')).toMatchObject({ value: { state: 'succeeded' } });
  });

  it('satisfies no dependency', async () => {
    const { value } = await bench.json('why', 'after');
    expect(value).toMatchObject({
      steps: expect.arrayContaining([
        expect.objectContaining({ step: 'grant-access', state: 'waiting', code: 'ERR_FOREIGN_RESULT' }),
      ]),
    });
  });

  it('is named by verify, by the configuration alone', async () => {
    const { code, value } = await bench.json('verify');
    expect([code, value]).toMatchObject([
      1,
      {
        results: [
          { id: 'publish-docs', signed_by: null, state: 'unsigned' },
          { id: 'publish-site', signed_by: expect.stringMatching(/^SHA256:/), state: 'own' },
        ],
        checks: expect.arrayContaining([expect.objectContaining({ name: 'signature', code: 'ERR_FOREIGN_RESULT' })]),
      },
    ]);
  });

  it('is counted by doctor, with the way to take it over', async () => {
    const { stdout } = await bench.run(['doctor', '--json']);
    const { checks } = JSON.parse(stdout) as { checks: { name: string; ok: boolean }[] };
    expect(checks.filter(({ name, ok }) => name === 'signing' && !ok)).toEqual([
      {
        name: 'signing',
        ok: false,
        code: 'ERR_FOREIGN_RESULT',
        message: '1 older result is not signed',
        fix: 'Look at them, then `init --trust <commit>` with a commit that holds them.',
      },
    ]);
  });

  it('is found also by somebody who may not read the private key', async () => {
    const hidden = `${key.file}.hidden`;
    await rename(key.file, hidden);
    expect(await bench.json('why', 'publish-site')).toMatchObject({ code: 0, value: { state: 'succeeded' } });
    await rename(`${key.file}.pub`, `${key.file}.gone`);
    expect(await bench.json('why', 'publish-site')).toMatchObject({
      code: 3,
      value: { error: { code: 'ERR_SIGNING_KEY' } },
    });
    await rename(hidden, key.file);
  });

  it('is looked for with a key that doctor shows, or says why it can not be used', async () => {
    const findings = async (file: string | null, result_keys: readonly string[] = []) => {
      const found = await signingFindings({ signing_key_file: file, result_keys });
      return found.map(({ check, verdict }) => [verdict, check.code, check.message]);
    };
    const shown = expect.stringMatching(/^results are signed with SHA256:[A-Za-z0-9+/]{43}; 1 other key counts$/);
    expect(await findings(key.file, ['other'])).toEqual([['good', null, shown]]);
    expect(await findings(`${key.file}.none`)).toMatchObject([['problem', 'ERR_SIGNING_KEY', expect.any(String)]]);
    expect(await findings(null, ['other'])).toMatchObject([['warning', null, expect.stringContaining('none to sign')]]);
    expect(await findings(null)).toEqual([]);
  });
});
