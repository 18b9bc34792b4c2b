import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { openStateDir } from '../../src/adapters/state-dir.ts';
import { plainGit } from '../../src/cli/plain-git.ts';
import { AWAITS_ADOPTION, entryPath } from '../../src/domain/journal.ts';
import { CliBench } from '../fakes/cli-bench.ts';
import { say } from '../fakes/command-line.ts';
import { GitHttpServer } from '../fakes/git-http-server.ts';
import { journalEntry } from '../fakes/ops-repo.ts';

let bench: CliBench;
let sound: string;
const closers: (() => Promise<void>)[] = [];

beforeAll(async () => {
  bench = await CliBench.open();
  sound = await plainGit(bench.repo.clone, ['rev-parse', 'HEAD']);
});
afterAll(() => bench.remove());

/** Each test begins with the ops repo and the configuration of the demo, and no state_dir but for its secrets. */
beforeEach(async () => {
  await plainGit(bench.repo.clone, ['reset', '--quiet', '--hard', sound]);
  await plainGit(bench.repo.clone, ['push', '--quiet', '--force', 'origin', 'main']);
  await configure(bench.config());
});
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly code: string | null;
  readonly message: string;
  readonly fix: string | null;
}

/** What it says; the runner is compiled and not there when the sources run as they are. */
async function doctor(env: Readonly<Record<string, string>> = {}) {
  const { code, stdout } = await say(bench.root, ['doctor', '--json'], env);
  const { checks } = JSON.parse(stdout) as { readonly checks: readonly Check[] };
  const asked = checks.filter(({ name }) => name !== 'engine.subprocess.runner');
  const bad = asked.filter(({ ok }) => !ok).map((check) => [check.name, check.code]);
  const of = (name: string) => asked.filter((check) => check.name === name);
  return { code, checks: asked, bad, of };
}

/** Refs of the ops repo, to see that nothing was left. */
const refs = () => plainGit(bench.repo.url, ['for-each-ref', '--format=%(refname) %(objectname)']);
const configure = (text: string) => writeFile(path.join(bench.root, 'dispatcher.toml'), text);

test('a sound dispatcher has a good line for everything it needs, and nothing is left in the ops repo (S1.6)', async () => {
  const before = await refs();
  const { bad, checks } = await doctor();
  expect(bad).toEqual([]);
  expect(checks.map(({ name }) => name)).toEqual([
    'configuration',
    'state_dir',
    'state_dir.space',
    'approval',
    'git.read',
    'git.push',
    'engine.subprocess.proc',
    'engine.subprocess.state',
    'engine.subprocess.isolation',
    'access.file.secrets',
    'access.file.tickets',
    'policy',
    'formulas',
    'secrets',
  ]);
  expect(checks.every(({ code, fix }) => code === null && fix === null)).toBe(true);
  expect(await refs()).toBe(before);
});

test('what is missing is told with its fix: a tier without a rule, a secret, a file that is not approved', async () => {
  const stateDir = path.join(bench.root, 'without-secrets');
  await configure(bench.config({ stateDir }).replace('medium = ["signed-commit"]\n', ''));
  await bench.push({ 'vault/formulas/more.toml': 'name = "more"\ndescription = "d"\ncommand = ["true"]\n' });
  const { code, bad, of } = await doctor();
  expect(code).toBe(1);
  expect(bad).toEqual(
    expect.arrayContaining([
      ['approval', 'ERR_NO_RULE'],
      ['formulas', 'ERR_FORMULA_UNAPPROVED'],
      ['secrets', 'ERR_SECRET_UNKNOWN'],
    ]),
  );
  expect(of('approval')).toMatchObject([
    { message: expect.stringContaining('medium'), fix: 'Set medium in [approval].' },
  ]);
  expect(of('secrets').at(-1)?.message).toMatch(/^[A-Z_]+ of [a-z-]+ is missing$/);
});

test('without a policy everything waits, which is a problem', async () => {
  await bench.push({ 'vault/policy.toml': null });
  const { code, bad } = await doctor();
  expect([code, bad]).toEqual([1, expect.arrayContaining([['policy', 'ERR_POLICY_MISSING']])]);
});

test('a git server that is away is told, with 3, and all that needs no git is still looked at', async () => {
  const server = await GitHttpServer.start({ root: bench.root });
  await server.close();
  await configure(bench.config({ url: `${server.origin}/ops.git` }));
  const { bad, of } = await doctor();
  expect(bad).toEqual([['git.read', 'ERR_GIT_UNAVAILABLE']]);
  expect(of('access.file.secrets')).toMatchObject([{ ok: true }]);
  expect(of('git.push')).toEqual([]);
});

test('a forge that is away is told, with 3, and its token is in no word of it (R14)', async () => {
  const server = await GitHttpServer.start({ root: bench.root });
  await server.close();
  const forge = `[forge]\nkind = "forgejo"\nurl = "${server.origin}"\nrepo = "ops/ops"\n`;
  await configure(bench.config().replace('[approval]', `${forge}[approval]`));
  const { code, bad, checks } = await doctor({ EDGE_FORGE_TOKEN: 'a-token-that-nobody-may-see' });
  expect([code, bad.map(([, told]) => told)]).toEqual([3, ['ERR_FORGE_UNAVAILABLE']]);
  expect(JSON.stringify(checks)).not.toContain('a-token-that');
});

test('the right to push is asked for over http and nothing is sent; the token is in no word of it (R14)', async () => {
  const token = 'a-token-that-nobody-may-see';
  const name = path.basename(bench.repo.url);
  const server = await GitHttpServer.start({ root: path.dirname(bench.repo.url), username: 'edge-bot', token });
  closers.push(() => server.close());
  await configure(bench.config({ url: `${server.origin}/${name}` }));
  const env = (given: string) => ({ EDGE_OPS_REPO_USERNAME: 'edge-bot', EDGE_OPS_REPO_TOKEN: given });
  const before = await refs();
  const right = await doctor(env(token));
  expect(right.of('git.push')).toMatchObject([{ ok: true, message: `${server.origin}/${name} lets us push` }]);
  expect([server.receivedPushes, await refs()]).toEqual([0, before]);
  const wrong = await doctor(env('a-wrong-token'));
  expect(wrong.of('git.read')).toMatchObject([{ code: 'ERR_GIT_DENIED' }]);
  expect(JSON.stringify([right.checks, wrong.checks])).not.toMatch(/a-token-that|a-wrong-token/);
});

test('a repo of its own for the journal is asked for its own push rights', async () => {
  const journal = path.join(bench.root, 'journal.git');
  await plainGit(bench.root, ['init', '--quiet', '--bare', journal]);
  const url = `journal_url = ${JSON.stringify(journal)}\n[approval]`;
  await configure(bench.config().replace('[approval]', url));
  expect((await doctor()).of('git.push-journal')).toMatchObject([{ ok: true }]);
});

test('says who runs on the state_dir, and makes nothing where there is none', async () => {
  const held = await openStateDir(bench.repo.stateDir);
  try {
    expect((await doctor()).of('state_dir')[0]?.message).toContain(`process ${process.pid} on`);
  } finally {
    await held.release();
  }
  const elsewhere = path.join(bench.root, 'elsewhere');
  await configure(bench.config({ stateDir: elsewhere }));
  const { checks } = await doctor();
  expect(checks.find(({ name }) => name === 'state_dir')?.message).toContain('is made at the first start');
  expect(await readdir(bench.root)).not.toContain('elsewhere');
});

test('secrets that others may read are told with the command that mends it', async () => {
  const secrets = path.join(bench.repo.stateDir, 'secrets');
  await mkdir(secrets, { recursive: true });
  await chmod(secrets, 0o755);
  closers.push(() => chmod(secrets, 0o700));
  const { code, of } = await doctor();
  expect(code).toBe(1);
  expect(of('access.file.secrets')).toMatchObject([{ code: 'ERR_ACCESS_DENIED', fix: `chmod 700 ${secrets}` }]);
});

test('on a terminal each line begins with its verdict, its fix beneath it', async () => {
  await configure(bench.config().replace('medium = ["signed-commit"]\n', ''));
  const { stdout } = await bench.run(['doctor'], { isTTY: true });
  expect(stdout).toContain('\u001b[31mno   \u001b[39mapproval');
  expect(stdout).toContain('Set medium in [approval].');
  const plain = await bench.run(['doctor']);
  expect(plain.stdout).not.toContain('\u001b');
  expect(plain.stdout).toMatch(/^warn engine\.subprocess\.isolation +commands run as the dispatcher/m);
});

test('--accept-history takes a rewritten branch for seen, prints both tips, and does nothing where there is nothing to accept', async () => {
  const { clone, stateDir } = bench.repo;
  const accepted = path.join(stateDir, 'accepted-tip');
  const tip = () => plainGit(clone, ['rev-parse', 'HEAD']);
  await bench.push({ 'README.md': 'one' });
  const seen = await tip();
  await mkdir(stateDir, { recursive: true });
  await writeFile(accepted, `${seen}\n`);
  expect((await bench.run(['doctor', '--accept-history'])).stdout).toContain('nothing to accept');

  await plainGit(clone, ['commit', '--quiet', '--amend', '-m', 'rewritten']);
  await plainGit(clone, ['push', '--quiet', '--force', 'origin', 'main']);
  const { code, of } = await doctor();
  expect(code).toBe(1);
  expect(of('git.read')).toMatchObject([
    { code: 'ERR_HISTORY_DIVERGED', fix: expect.stringContaining('--accept-history') },
  ]);
  const held = await openStateDir(stateDir);
  try {
    const { stdout, code: done } = await bench.run(['doctor', '--accept-history']);
    expect([done, stdout]).toEqual([
      0,
      `accepted the rewritten branch\n  seen last  ${seen}\n  from now   ${await tip()}\nthe daemon that runs goes on at its next look\n`,
    ]);
  } finally {
    await held.release();
  }
  expect(await readFile(accepted, 'utf8')).toBe(`${await tip()}\n`);
  const { value } = await bench.json('doctor', '--accept-history');
  expect(value).toEqual({ before: await tip(), after: await tip(), accepted: false });
});

test('what a dead dispatcher held is given to this one, in git; and never what it holds itself (E7)', async () => {
  const run = (...args: readonly string[]) => say(bench.root, ['doctor', '--json', ...args]);
  const held = journalEntry('left-behind', { dispatcher: 'edge-gone', instance: 'gone' });
  await bench.claim(held);
  const { code, stdout } = await run('--take-over', 'edge-gone');
  const told = { id: 'left-behind', attempt: 1, engine: 'subprocess', claimed_at: held.claimed_at, last_sign: null };
  expect([code, JSON.parse(stdout)]).toMatchObject([0, { from: 'edge-gone', taken: true, entries: [told], left: [] }]);
  const { to } = JSON.parse(stdout) as { readonly to: string };
  const file = await plainGit(bench.repo.url, ['show', `refs/dispatcher/journal:${entryPath('left-behind')}`]);
  expect(JSON.parse(file)).toMatchObject({ dispatcher: to, instance: AWAITS_ADOPTION, taken_from: 'edge-gone' });
  expect((await run('--take-over', 'edge-gone')).stdout).toContain('"taken": false');
  expect((await run('--take-over', to)).code).toBe(2);
});
