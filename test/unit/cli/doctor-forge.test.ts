import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { finding } from '../../../src/cli/doctor-finding.ts';
import { forgeFindings, repoFindings } from '../../../src/cli/doctor-forge.ts';
import type { Oid } from '../../../src/domain/ids.ts';
import { TransientError } from '../../../src/errors.ts';
import { stubForge } from '../../fakes/stub-forge.ts';

const TIP = 'a'.repeat(40) as Oid;
const { signal } = new AbortController();

function answer(ok: boolean, account?: string) {
  const said = { name: 'forge.stub.account', ok, code: ok ? null : ('ERR_FORGE_DENIED' as const), message: 'm' };
  return finding({ ...said, fix: ok ? null : 'f', ...(account === undefined ? {} : { account }) });
}

const config = (more: Partial<Parameters<typeof forgeFindings>[0]> = {}) => ({
  approval: { bots: ['Other-Bot'] },
  ops_repo: { username: 'edge-dispatcher' },
  forge: null,
  secrets: {},
  ...more,
});

test('an account of ours that counts as a person is told, whatever case its bots are written in', async () => {
  const told = async (account: string) =>
    (await forgeFindings(config(), [answer(true, account)])).map(({ check, verdict }) => [verdict, check.message]);
  expect(await told('dev1')).toEqual([['warning', 'our token belongs to dev1, which counts as a person']]);
  expect([await told('other-bot'), await told('Edge-Dispatcher')]).toEqual([[], []]);
});

test('a token file that others may read is told with the command that mends it', async () => {
  const dir = await mkdtemp(path.join(tmpdir(), 'edge-doctor-forge-'));
  try {
    const file = path.join(dir, 'token');
    await writeFile(file, 'x', { mode: 0o600 });
    const forge = { token_file: file, admin_token_file: path.join(dir, 'none') };
    expect(await forgeFindings(config({ forge }), [])).toEqual([]);
    await chmod(file, 0o640);
    expect(await forgeFindings(config({ forge }), [])).toMatchObject([
      { verdict: 'warning', check: { message: expect.stringContaining('token_file'), fix: `chmod 600 ${file}` } },
    ]);
  } finally {
    await rm(dir, { recursive: true });
  }
});

test('a forge that does not know the tip of the branch is no forge of the ops repo', async () => {
  const ask = async (hasCommit: () => Promise<boolean>, ok = true) => {
    const found = await repoFindings(stubForge({ hasCommit }), { tip: TIP, answers: [answer(ok)] }, signal);
    return found.map(({ check, verdict }) => [verdict, check.code, check.message]);
  };
  const missing = () => Promise.resolve(false);
  expect(await ask(() => Promise.resolve(true))).toEqual([
    ['good', null, 'it has the tip of the branch, aaaaaaaaaaaa'],
  ]);
  expect(await ask(missing)).toEqual([
    ['problem', 'ERR_FORGE_DENIED', '[forge] repo is not the ops repo (it does not know commit aaaaaaaaaaaa)'],
  ]);
  const away = await ask(() => Promise.reject(new TransientError('ERR_FORGE_UNAVAILABLE', 'away')));
  expect(away).toEqual([['away', 'ERR_FORGE_UNAVAILABLE', 'away']]);
  expect(await ask(missing, false)).toEqual([]);
});
