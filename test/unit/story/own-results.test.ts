import { beforeEach, describe, expect, it } from 'vitest';
import type { Oid } from '../../../src/domain/ids.ts';
import { InvalidError, TransientError } from '../../../src/errors.ts';
import { foreignReason } from '../../../src/story/foreign-reason.ts';
import { createOwnResults, type ForeignResult, type OwnResults } from '../../../src/story/own-results.ts';
import { type MemoryCommit, type MemoryContent, MemoryOpsRepo } from '../../fakes/memory-ops-repo.ts';

const ACTIONS = 'vault/actions';
const X = `${ACTIONS}/x.result.json`;
const Y = `${ACTIONS}/2026/y.result.json`;
const OURS = { signedBy: 'ours' };
const MALLORY = { name: 'Mal\u202Elory', email: 'mallory@example.org' };

let repo: MemoryOpsRepo;
let root: Oid;
let tip: Oid;
let results: OwnResults;
let heard: ForeignResult[];

beforeEach(() => {
  repo = new MemoryOpsRepo();
  root = repo.make([], { 'vault/actions/x.toml': 'x', 'vault/actions/2026/y.toml': 'y' });
  tip = root;
  results = open();
});

function open(trustedCommit: Oid | null = null): OwnResults {
  heard = [];
  const keys = ['ours', 'earlier'].map((key) => ({ principal: `key-${key}`, key }));
  const made = createOwnResults({ opsRepo: repo, keys, trustedCommit, folders: [ACTIONS] });
  made.onForeign((foreign) => heard.push(foreign));
  return made;
}

function commit(files: Readonly<Record<string, MemoryContent>>, options: MemoryCommit = {}): Oid {
  tip = repo.make([tip], files, options);
  return tip;
}

async function whose(...paths: readonly string[]) {
  const there = await Promise.all(paths.map((path) => repo.entryAt(tip, path)));
  const entries = there.filter((entry) => entry !== null);
  return Object.fromEntries(await results.judge(tip, entries));
}

const asked = (name: string): number => repo.calls.filter((call) => call === name).length;

describe('a result', () => {
  it('is ours where the commit that set it is signed by our key or by one that the operator named', async () => {
    commit({ [X]: '1' }, OURS);
    commit({ [Y]: '1' }, { signedBy: 'earlier' });
    expect(await whose(X, Y)).toEqual({
      [X]: { kind: 'own', fingerprint: 'SHA256:ours' },
      [Y]: { kind: 'own', fingerprint: 'SHA256:earlier' },
    });
    expect(heard).toEqual([]);
  });

  it.each([
    [{}, 'unsigned'],
    [{ signedBy: 'theirs' }, 'unknown-key'],
    [{ signedBy: 'broken' }, 'bad'],
  ] as const)('is foreign where its commit has the signature %o, and whoever made that is named', async (by, kind) => {
    const forged = commit({ [X]: '1' }, { ...by, author: MALLORY });
    const found = (await whose(X))[X];
    expect(found).toMatchObject({ kind: 'foreign', commit: forged, author: 'Mal\\u{202E}lory', signature: kind });
    expect(heard).toEqual([found]);
  });

  it('that somebody rewrote after us is foreign, also when our bytes come back later', async () => {
    commit({ [X]: 'ours' }, OURS);
    expect(await whose(X)).toMatchObject({ [X]: { kind: 'own' } });
    commit({ [X]: 'theirs' });
    expect(await whose(X)).toMatchObject({ [X]: { kind: 'foreign' } });
    const back = commit({ [X]: 'ours' });
    expect(await whose(X)).toMatchObject({ [X]: { kind: 'foreign', commit: back } });
  });

  it('whose bytes went and came back between two looks is foreign', async () => {
    commit({ [X]: 'ours' }, OURS);
    await whose(X);
    commit({ [X]: null });
    const back = commit({ [X]: 'ours' });
    expect(await whose(X)).toMatchObject({ [X]: { kind: 'foreign', commit: back } });
  });

  it('that was merged in the wrong way round is still ours where we signed it', async () => {
    const signed = commit({ [X]: 'ours' }, OURS);
    tip = repo.merge(repo.make([root], { 'notes.md': 'a note' }), signed);
    expect(await whose(X)).toMatchObject({ [X]: { kind: 'own' } });
  });

  it('that a merge brought from another repo is foreign, although we signed it there', async () => {
    const elsewhere = repo.make([repo.make([], { 'other.md': 'x' })], { [X]: 'ours' }, OURS);
    tip = repo.merge(repo.make([root], { 'notes.md': 'a note' }), elsewhere);
    expect(await whose(X)).toMatchObject({ [X]: { kind: 'foreign' } });
  });

  it('that a merge made or brought unsigned is foreign, and the reason says what to do', async () => {
    const unsigned = commit({ [X]: 'theirs' });
    const side = repo.make([root], { 'notes.md': 'a note' });
    tip = repo.merge(side, unsigned, {}, { author: { name: 'Mia', email: 'mia@example.org' } });
    const found = (await whose(X))[X];
    expect(found).toMatchObject({ kind: 'foreign', commit: tip, isMerge: true });
    const { code, message, hint } = foreignReason(found as ForeignResult);
    expect([code, message]).toEqual([
      'ERR_FOREIGN_RESULT',
      `${X} came with the merge ${tip.slice(0, 12)}, which is not signed; it names Mia as its author`,
    ]);
    expect(hint).toContain('trusted_commit');
  });

  it.each([
    ['unsigned', /move trusted_commit.*`init --trust`.*Do not rerun what may have run\.$/],
    ['unknown-key', /Find out who/],
  ] as const)('that is %s has a hint of its own kind', (signature, hint) => {
    const foreign: ForeignResult = {
      kind: 'foreign',
      path: X,
      blob: root,
      commit: root,
      author: 'Mia',
      committedAt: null,
      isMerge: false,
      signature,
      fingerprint: null,
    };
    expect(foreignReason(foreign).hint).toMatch(hint);
  });

  it('from before signing counts where the very same bytes lie at its path in the trusted commit', async () => {
    const trusted = commit({ [X]: 'old', [Y]: 'old' });
    results = open(trusted);
    commit({ [Y]: 'edited' });
    expect(await whose(X, Y)).toMatchObject({
      [X]: { kind: 'own', fingerprint: null },
      [Y]: { kind: 'foreign' },
    });
    const moved = `${ACTIONS}/moved.result.json`;
    commit({ [moved]: 'old' });
    expect(await whose(moved)).toMatchObject({ [moved]: { kind: 'foreign' } });
  });

  it('of a commit too large to be read is foreign, and nobody can say whose', async () => {
    const huge = commit({ [X]: '1' }, { author: MALLORY });
    repo.verifySignature = () => Promise.reject(new InvalidError('ERR_FILE_SIZE', 'a commit of 2000000 bytes'));
    expect(await whose(X)).toMatchObject({ [X]: { kind: 'foreign', commit: huge, author: null, signature: 'bad' } });
  });

  it('is never judged by an outage, and asked about again after it', async () => {
    commit({ [X]: '1' }, OURS);
    const entry = await repo.entryAt(tip, X);
    repo.failure = new TransientError('ERR_GIT_UNAVAILABLE', 'it is away');
    await expect(results.judge(tip, entry === null ? [] : [entry])).rejects.toThrow('it is away');
    expect(heard).toEqual([]);
    repo.failure = null;
    expect(await whose(X)).toMatchObject({ [X]: { kind: 'own' } });
  });

  it('counts whoever wrote it where no key is configured', async () => {
    results = createOwnResults({ opsRepo: repo, keys: [], trustedCommit: null, folders: [ACTIONS] });
    commit({ [X]: '1' });
    expect([results.areSigned, await whose(X)]).toEqual([false, { [X]: { kind: 'own', fingerprint: null } }]);
    expect(asked('verifySignature')).toBe(0);
  });
});

describe('what was found out', () => {
  it('of a newer tip is not lost by a question about an older one, which is answered as of then', async () => {
    const older = commit({ [X]: '1' }, OURS);
    const then = await repo.entryAt(older, X);
    await results.judgeNews(older);
    commit({ [X]: 'forged' });
    await results.judgeNews(tip);
    expect((await results.judge(older, then === null ? [] : [then])).get(X)).toMatchObject({ kind: 'own' });
    expect(await whose(X)).toMatchObject({ [X]: { kind: 'foreign' } });
    expect(await results.judgeNews(tip)).toEqual(new Map());
  });

  it('is kept: asked again nothing is read, and a commit of many results is checked once', async () => {
    commit({ [X]: '1', [Y]: '1' }, OURS);
    await whose(X, Y);
    expect([asked('verifySignature'), asked('lastChanged')]).toEqual([1, 1]);
    commit({ 'notes.md': '1' });
    await whose(X, Y);
    expect([asked('verifySignature'), asked('lastChanged')]).toEqual([1, 1]);
  });

  it('is told once for each commit', async () => {
    commit({ [X]: '1' });
    await whose(X);
    await whose(X);
    commit({ [X]: '2' });
    await whose(X);
    expect(heard.map(({ blob }) => blob)).toHaveLength(2);
  });
});

describe('news', () => {
  it('are all results at first, then those that were touched since, whoever asked meanwhile', async () => {
    commit({ [X]: '1', [Y]: '1', [`${ACTIONS}/z.toml`]: 'z' }, OURS);
    expect([...(await results.judgeNews(tip)).keys()].toSorted()).toEqual([Y, X]);
    expect(await results.judgeNews(tip)).toEqual(new Map());
    commit({ [Y]: 'forged' });
    await whose(X);
    expect(await results.judgeNews(tip)).toMatchObject(new Map([[Y, expect.objectContaining({ kind: 'foreign' })]]));
    commit({ [X]: null });
    expect(await results.judgeNews(tip)).toEqual(new Map());
  });

  it('that are newer than the tip of the question are judged as they lie now', async () => {
    const older = commit({ [X]: '1' }, OURS);
    await results.judgeNews(older);
    commit({ [X]: 'forged' });
    await whose(X);
    expect((await results.judgeNews(older)).get(X)).toMatchObject({ kind: 'foreign' });
  });

  it('are all results again after the branch was rewritten', async () => {
    commit({ [X]: '1' }, OURS);
    await results.judgeNews(tip);
    tip = repo.make([root], { [X]: '1' });
    expect((await results.judgeNews(tip)).get(X)).toMatchObject({ kind: 'foreign' });
  });

  it('that could not be judged are judged by the next call', async () => {
    commit({ [X]: '1' }, OURS);
    await results.judgeNews(tip);
    commit({ [Y]: 'forged' });
    const answer = repo.commit.bind(repo);
    repo.commit = () => Promise.reject(new TransientError('ERR_GIT_UNAVAILABLE', 'it is away'));
    await expect(results.judgeNews(tip)).rejects.toThrow('it is away');
    repo.commit = answer;
    commit({ [X]: null });
    expect([...(await results.judgeNews(tip)).keys()]).toEqual([Y]);
    expect(heard.map(({ path }) => path)).toEqual([Y]);
  });

  it('that are being judged are left when the signal is aborted', async () => {
    commit({ [X]: '1' });
    await expect(results.judgeNews(tip, AbortSignal.abort(new Error('stop')))).rejects.toThrow('stop');
    expect((await results.judgeNews(tip)).size).toBe(1);
  });
});
