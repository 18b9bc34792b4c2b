import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProgram } from '../../src/cli/program.ts';
import { type ActionId, attemptToken, blobOid, type Oid } from '../../src/domain/ids.ts';
import { encodeResult, type Result } from '../../src/domain/result.ts';
import { sampleResult } from '../fakes/cli-samples.ts';
import {
  type CommitOptions,
  createSigningKey,
  type FileContent,
  type SigningKey,
  seededRemote,
  temporaryFolder,
  type Writer,
  writeRawCommit,
} from '../fakes/git-repo.ts';

/* An auditor with a clone and a list of keys: nothing else of the operator's is there. */
let dir: string;
let remove: () => Promise<void>;
let writer: Writer;
let root: Oid;
let ours: SigningKey;
let theirs: SigningKey;

beforeAll(async () => {
  ({ dir, remove } = await temporaryFolder('edge-verify-test-'));
  const actions = IDS.map((id) => [`vault/actions/${id}.toml`, actionOf(id)] as const);
  ({ writer } = await seededRemote(dir, { ...Object.fromEntries(actions), 'README.md': 'an ops repo' }));
  root = (await writer.resolve('HEAD')) as Oid;
  [ours, theirs] = await Promise.all([createSigningKey(dir, 'ours'), createSigningKey(dir, 'theirs')]);
  await writeFile(path.join(dir, 'keys'), `# those of edge-1\n\nedge-1 namespaces="git" ${ours.publicKey}\n`);
});
afterAll(() => remove());

const IDS = ['one', 'two', 'unsigned', 'foreign', 'edited', 'garbage', 'renamed', 'token', 'twice', 'evidence'];
const actionOf = (id: string) => `id = "${id}"\n`;
const resultAt = (id: string) => `vault/actions/${id}.result.json`;

/** A result of the action as it lies there, as the dispatcher would write it. */
function resultOf(id: string, changes: Partial<Result> = {}): string {
  const blob = blobOid(Buffer.from(actionOf(id)));
  const token = attemptToken({ repo: root, id: id as ActionId, blob, attempt: 1 });
  const result = sampleResult(id, {
    action: { path: `vault/actions/${id}.toml`, blob, commit: null, sha256: null },
    attempt: { number: 1, token, dispatcher: 'edge-1', executions: 1 },
    attempts: [],
    ...changes,
  });
  return encodeResult(result).toString('utf8');
}

async function branch(name: string): Promise<void> {
  await writer.checkout(name, root);
}

async function commit(files: Readonly<Record<string, FileContent>>, options: CommitOptions = {}): Promise<Oid> {
  return writer.commit(files, { signingKey: ours.file, ...options });
}

function record(id: string, options: CommitOptions = {}): Promise<Oid> {
  return commit({ [resultAt(id)]: resultOf(id) }, options);
}

interface Said {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function verify(...argv: readonly string[]): Promise<Said> {
  const said = { stdout: '', stderr: '' };
  const into = (stream: 'stdout' | 'stderr') => ({
    write: (text: string | Uint8Array) => {
      said[stream] += Buffer.from(text).toString('utf8');
    },
    columns: 120,
  });
  const io = {
    cwd: dir,
    env: {},
    stdout: into('stdout'),
    stderr: into('stderr'),
    signal: new AbortController().signal,
  };
  const code = await runProgram(['verify', ...argv], io);
  return { code, ...said };
}

async function verified(...more: readonly string[]) {
  const { code, stdout } = await verify(writer.dir, '--keys', 'keys', '--json', ...more);
  const { checks, results } = JSON.parse(stdout) as {
    checks: { name: string; ok: boolean; code: string | null; message: string }[];
    results: { id: string; path: string; commit: string; signed_by: string | null; state: string }[];
  };
  const problems = checks.filter(({ ok }) => !ok).map((check) => [check.name, check.code, check.message] as const);
  return { code, problems, results, states: Object.fromEntries(results.map(({ id, state }) => [id, state])) };
}

describe('verify', () => {
  it('finds no problem where every result is signed and holds together, and tells by which key', async () => {
    await branch('sound');
    const both = await commit({ [resultAt('one')]: resultOf('one'), [resultAt('two')]: resultOf('two') });
    // What happens to the action afterwards does not matter.
    await writer.commit({ 'vault/actions/one.toml': 'edited', 'vault/actions/two.toml': null });
    const { code, problems, results } = await verified();
    expect([code, problems]).toEqual([0, []]);
    expect(results).toHaveLength(2);
    expect(results).toContainEqual({
      id: 'two',
      path: resultAt('two'),
      commit: both,
      signed_by: expect.stringMatching(/^SHA256:/),
      state: 'own',
    });
    const { stdout } = await verify(writer.dir, '--keys', 'keys');
    expect(stdout).toBe('keys: 1 may sign results\nresults: 2 own\nNo problem was found.\n');
  });

  it('names each result that nobody of the list signed, and who committed it (R1)', async () => {
    await branch('foreign');
    await writer.commit({ [resultAt('unsigned')]: resultOf('unsigned') });
    await record('foreign', {
      signingKey: theirs.file,
      author: { name: 'Mal\u001b[2Jlory', email: 'mallory@example.org' },
    });
    await record('edited');
    await writer.commit({ [resultAt('edited')]: resultOf('edited', { exit_code: 1, outcome: 'failed' }) });
    const { code, problems, states } = await verified();
    expect([code, states]).toEqual([1, { unsigned: 'unsigned', foreign: 'foreign', edited: 'unsigned' }]);
    expect(problems.map(([name, code_]) => [name, code_])).toEqual(Array(3).fill(['signature', 'ERR_FOREIGN_RESULT']));
    const told = await verify(writer.dir, '--keys', 'keys');
    expect(told.stdout).toContain('Mal\\u{001B}[2Jlory');
    expect(told.stdout).not.toContain('\u001b');
  });

  it('names a commit that was changed after it was signed', async () => {
    await branch('broken');
    const signed = await record('one', { message: 'one: succeeded\n' });
    const raw = await writer.git(['cat-file', 'commit', signed]);
    await writer.reset(await writeRawCommit(writer, raw.replace('one: succeeded', 'two: succeeded')));
    const { code, states, problems } = await verified();
    expect([code, states, problems.length]).toEqual([1, { one: 'broken' }, 1]);
  });

  it('names what a signed result should not say', async () => {
    await branch('odd');
    const never = { path: 'vault/actions/never.toml', blob: 'a'.repeat(40), commit: root, sha256: null };
    const attempt = { number: 1, token: 'f'.repeat(32), dispatcher: 'edge-1', executions: 1 };
    const more = await commit({
      [resultAt('garbage')]: '{ "no": "result" }\n',
      [resultAt('renamed')]: resultOf('renamed', { id: 'other', attempt: null }),
      [resultAt('token')]: resultOf('token', { attempt }),
      [resultAt('twice')]: resultOf('twice').replace('"executions": 1', '"executions": 2'),
      [resultAt('evidence')]: resultOf('evidence', { approval: { required: ['signed-commit'], evidence: [] } }),
      [resultAt('never')]: resultOf('never', { action: never, attempt: null }),
      [resultAt('beside')]: resultOf('beside', {
        action: { ...never, path: 'vault/actions/2026/x.toml' },
        attempt: null,
      }),
      'README.md': 'edited',
    });
    const { code, problems, states } = await verified();
    expect([code, states['garbage'], states['token']]).toEqual([1, 'broken', 'own']);
    expect(problems.map(([name, , message]) => `${name}: ${message}`).toSorted()).toEqual([
      `action: ${resultAt('beside')} is of vault/actions/2026/x.toml, which does not lie beside it`,
      `action: ${resultAt('never')} is of vault/actions/never.toml, which never had the bytes ${'a'.repeat(40)}`,
      `approval: ${resultAt('evidence')} ran without evidence of signed-commit`,
      `attempt: ${resultAt('token')} has a token that is not of this repo, id, blob and attempt`,
      `attempt: ${resultAt('twice')} says that its attempt was executed 2 times`,
      `commit: commit ${more.slice(0, 12)} brings results, and changes README.md too`,
      `format: ${resultAt('garbage')} is no result of schema 1`,
      `id: ${resultAt('renamed')} is of the id other`,
    ]);
  });

  it('names each result that is gone from the branch, and which commit took it away', async () => {
    await branch('gone');
    await commit({ [resultAt('one')]: resultOf('one'), [resultAt('two')]: resultOf('two') });
    await writer.commit({ [resultAt('two')]: null });
    await record('two');
    const mallory = { author: { name: 'Mallory', email: 'mallory@example.org' } };
    const taken = await writer.commit({ [resultAt('one')]: null, 'elsewhere/x.result.json': 'x' }, mallory);
    await writer.commit({ 'elsewhere/x.result.json': null });
    const { code, problems, states } = await verified();
    expect([code, states]).toEqual([1, { two: 'own' }]);
    const message = `${resultAt('one')} is gone: commit ${taken.slice(0, 12)} took it away`;
    expect(problems).toEqual([['removed', 'ERR_RESULT_INVALID', message]]);
  });

  it('names results that do not say who approved what ran, and second ones of an id', async () => {
    await branch('unapproved');
    const again = 'vault/actions/again/one';
    const action = { path: `${again}.toml`, blob: blobOid(Buffer.from(actionOf('one'))), commit: null, sha256: null };
    await writer.commit({ [action.path]: actionOf('one') });
    const token = { path: 'vault/actions/token.toml', blob: null, commit: null, sha256: 'd'.repeat(64) };
    await commit({
      [resultAt('one')]: resultOf('one', { approval: null }),
      [`${again}.result.json`]: resultOf('one', { action }),
      [resultAt('two')]: resultOf('two', { approval: null, formula: null }),
      [resultAt('token')]: resultOf('token', { approval: null, formula: null, action: token }),
      [resultAt('twice')]: resultOf('twice', { approval: null, attempt: null }),
    });
    const { code, problems } = await verified();
    expect(code).toBe(1);
    expect(problems.map(([name, , message]) => `${name}: ${message}`)).toEqual([
      `approval: ${resultAt('one')} ran, and does not say who approved it`,
      `approval: ${resultAt('token')} ran, and does not say who approved it`,
      `id: ${resultAt('one')} is a second result of the id of ${again}.result.json`,
    ]);
  });

  it('does not take a folder that is not there for one without results', async () => {
    await branch('folder');
    await record('one');
    const { code, problems } = await verified('--actions', 'vault/action');
    expect(code).toBe(1);
    expect(problems).toEqual([
      ['folder', 'ERR_USAGE', 'the branch has no folder vault/action, so no result was looked at'],
    ]);
    expect((await verified('--actions', 'README.md')).code).toBe(1);
    expect((await verified('--actions', 'vault/actions/')).code).toBe(0);
  });

  it('takes what lies in a commit that the operator vouches for', async () => {
    await branch('vouched');
    const trusted = await record('one', { signingKey: theirs.file });
    expect((await verified('--trusted', trusted)).results).toMatchObject([{ state: 'own', signed_by: null }]);
    expect((await verified()).code).toBe(1);
  });

  it('asks for the keys, and says what is wrong with them', async () => {
    await writeFile(path.join(dir, 'bad-keys'), `edge-1 ${ours.publicKey}\n* ${ours.publicKey}\n`);
    await writeFile(path.join(dir, 'no-keys'), '# nobody\n');
    const said = await Promise.all([
      verify(writer.dir),
      verify(writer.dir, '--keys', 'bad-keys'),
      verify(writer.dir, '--keys', 'no-keys'),
      verify(writer.dir, '--keys', 'missing'),
      verify(dir, '--keys', 'keys'),
      verify(writer.dir, '--keys', 'keys', '--trusted', 'HEAD'),
    ]);
    expect(said.map(({ code, stderr }) => [code, stderr.split(':')[0]])).toEqual([
      [2, 'ERR_USAGE'],
      [2, 'ERR_CONFIG_FIELD'],
      [2, 'ERR_CONFIG_FILE'],
      [2, 'ERR_CONFIG_FILE'],
      [2, 'ERR_USAGE'],
      [2, 'ERR_USAGE'],
    ]);
    expect(said[1]?.stderr).toContain('bad-keys:2: the line must not name its principal by a pattern');
  });
});
