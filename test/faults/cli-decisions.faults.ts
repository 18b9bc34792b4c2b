import { appendFile, readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { plainGit } from '../../src/cli/plain-git.ts';
import { decisionLine } from '../../src/domain/decision.ts';
import { oid } from '../../src/domain/ids.ts';
import { CliBench } from '../fakes/cli-bench.ts';

let bench: CliBench;

beforeEach(async () => {
  bench = await CliBench.open();
});
afterEach(() => bench.remove());

const SIGNED = 'vault/formulas/signed.toml';
const PUSHED = 'vault/formulas/pushed.toml';
const formula = (name: string) => `name = "${name}"\ndescription = "x"\ncommand = ["true"]\n`;

async function signedByGrace(): Promise<void> {
  await bench.push({ [SIGNED]: formula('signed') }, { signed: true });
  expect(await plainGit(bench.repo.url, ['cat-file', 'commit', 'main'])).toContain('SSH SIGNATURE');
}

async function revision(name: string) {
  return oid(await plainGit(bench.repo.clone, ['rev-parse', name]));
}

test('what was decided is kept in state_dir by who holds it, and looked at by who only looks (R22)', async () => {
  const file = path.join(bench.repo.stateDir, 'decisions');
  await signedByGrace();
  const signed = await revision('HEAD');
  await bench.push({ [PUSHED]: formula('pushed') });
  const { trustedCommit } = bench.repo;
  const judge = { commit: oid(trustedCommit), blob: await revision(`${trustedCommit}:vault/policy.toml`) };
  const lineOf = async (commit: string, name: string) =>
    decisionLine({ edit: { commit: oid(commit), path: name, blob: await revision(`${commit}:${name}`) }, judge });

  expect((await bench.run(['status', '--json'])).stdout).toContain(PUSHED);
  await expect(readFile(file)).rejects.toMatchObject({ code: 'ENOENT' });

  expect((await bench.run(['cancel', 'publish-docs', '--reason', 'not wanted'])).code).toBe(0);
  const kept = await readFile(file, 'utf8');
  expect(kept.trim()).toBe(await lineOf(signed, SIGNED));

  const edit = (await plainGit(bench.repo.clone, ['log', '-1', '--format=%H', 'HEAD', '--', PUSHED])).trim();
  await appendFile(file, `${await lineOf(edit, PUSHED)}\n`);
  expect((await bench.run(['status', '--json'])).stdout).not.toContain(PUSHED);
});
