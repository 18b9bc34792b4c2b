import { rm } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type JournalEntry, tombstonePath } from '../../src/domain/journal.ts';
import type { ClaimTerms } from '../../src/ports/journal.ts';
import { GitHttpServer } from '../fakes/git-http-server.ts';
import { git, installHook } from '../fakes/git-repo.ts';
import { journalEntry, OpsRepoFixture } from '../fakes/ops-repo.ts';

let fixture: OpsRepoFixture;
afterEach(() => fixture.close());

const REF = 'refs/dispatcher/journal';
const terms: ClaimTerms = { groupLimit: Infinity, replaces: null, now: new Date('2026-01-01T00:00:00Z') };
const now = (): string => new Date().toISOString();

function entryOf(dispatcher: string, id: string, changes: Partial<JournalEntry> = {}): JournalEntry {
  return journalEntry(id, { dispatcher, instance: `instance of ${dispatcher}`, ...changes });
}

const onRemote = (...args: string[]): Promise<string> => git(args, { GIT_DIR: fixture.remote });
const commitCount = async (ref = REF): Promise<number> => Number(await onRemote('rev-list', '--count', ref));

/** Puts so many commits that change nothing on top of the ref. */
async function grow(ref: string, count: number): Promise<void> {
  const tree = (await onRemote('rev-parse', `${ref}^{tree}`)).trim();
  const tip = (await onRemote('rev-parse', ref)).trim();
  const commits = Array.from({ length: count }, (_, n) => {
    const from = n === 0 ? `from ${tip}\n` : '';
    return `commit ${ref}\ncommitter a <a> ${n} +0000\ndata 0\n${from}M 040000 ${tree} \n`;
  });
  await git(['fast-import', '--quiet'], { GIT_DIR: fixture.remote }, commits.join(''));
}

describe('the journal', () => {
  it('is empty where there is no ref yet, and the first claim makes it', async () => {
    fixture = await OpsRepoFixture.create();
    const journal = await fixture.openJournal();
    expect((await journal.refresh()).entries.size).toBe(0);
    const entry = journalEntry('release-v1', { group: 'release', run_id: 'x/1' });
    expect(await journal.claim(entry, terms)).toBe('won');
    expect([...journal.view().entries.values()]).toEqual([entry]);
    const other = await fixture.openJournal({ dispatcher: 'edge-2' });
    expect([...(await other.refresh()).entries.values()]).toEqual([entry]);
    expect(await onRemote('rev-parse', 'refs/heads/main')).toBe(await onRemote('rev-parse', 'HEAD'));
  });

  it('answers the very same view while nothing has changed', async () => {
    fixture = await OpsRepoFixture.create();
    const journal = await fixture.openJournal();
    const before = await journal.refresh();
    expect(await journal.refresh()).toBe(before);
    await journal.claim(journalEntry('a'), terms);
    const after = await journal.refresh();
    expect(after).not.toBe(before);
    expect(await journal.refresh()).toBe(after);
  });

  it('that is deleted by hand, or put back from a backup, gets back what a dispatcher knows of it (R4)', async () => {
    fixture = await OpsRepoFixture.create();
    const journal = await fixture.openJournal();
    await journal.claim(journalEntry('a'), terms);
    const backup = (await onRemote('rev-parse', 'refs/dispatcher/journal')).trim();
    await journal.claim(journalEntry('b', { token: 'b'.repeat(32) }), terms);
    await onRemote('update-ref', '-d', 'refs/dispatcher/journal');
    expect([...(await journal.refresh()).entries.keys()].toSorted()).toEqual(['a', 'b']);
    await journal.end({ id: 'a', token: journalEntry('a').token, ended_at: new Date().toISOString() });
    await onRemote('update-ref', 'refs/dispatcher/journal', backup);
    const view = await journal.refresh();
    expect([[...view.entries.keys()], [...view.ended.keys()]]).toEqual([['b'], ['a']]);
    expect(await journal.claim(journalEntry('a'), terms)).toBe('taken');
  });

  it('takes an entry through claim, update and end, and keeps a tombstone', async () => {
    fixture = await OpsRepoFixture.create();
    const journal = await fixture.openJournal();
    const entry = journalEntry('sidecar/triage-12-1');
    await journal.claim(entry, terms);
    const running = { ...entry, state: 'running', run_id: 'r1' } as const;
    expect(await journal.update(running)).toBe(true);
    expect(await journal.update({ ...running, token: '2'.repeat(32) })).toBe(false);
    const tombstone = { id: entry.id, token: entry.token, ended_at: now() };
    await journal.end(tombstone);
    const before = await commitCount();
    await journal.end(tombstone);
    expect(await journal.update(running)).toBe(false);
    expect(await journal.claim(entry, terms)).toBe('taken');
    expect(await commitCount()).toBe(before);
    const view = await journal.refresh();
    expect([...view.entries]).toEqual([]);
    expect([...view.ended.values()]).toEqual([tombstone]);
  });

  it('R4: keeps an id from being claimed again even where the whole ref was deleted before its end', async () => {
    fixture = await OpsRepoFixture.create();
    const journal = await fixture.openJournal();
    const entry = journalEntry('a');
    await journal.claim(entry, terms);
    await onRemote('update-ref', '-d', REF);
    await journal.end({ id: 'a', token: entry.token, ended_at: now() });
    expect((await journal.refresh()).ended.has('a')).toBe(true);
    expect(await journal.claim(entry, terms)).toBe('taken');
  });

  it('puts a burst of 1,000 claims into a few pushes', async () => {
    fixture = await OpsRepoFixture.create();
    const journal = await fixture.openJournal();
    const answers = await Promise.all(
      Array.from({ length: 1_000 }, (_, n) =>
        journal.claim(journalEntry(`action-${n}`, { token: n.toString(16).padStart(32, '0') }), terms),
      ),
    );
    expect(new Set(answers)).toEqual(new Set(['won']));
    expect(await commitCount()).toBeLessThanOrEqual(3);
    expect((await journal.refresh()).entries.size).toBe(1_000);
  });

  it('reports files that it can not read, leaves them alone, and takes their ids for taken', async () => {
    fixture = await OpsRepoFixture.create();
    const journal = await fixture.openJournal();
    await journal.claim(journalEntry('a'), terms);
    const { writer } = fixture;
    await writer.git(['fetch', fixture.remote, `+${REF}:refs/heads/journal`]);
    await writer.checkout('journal');
    await writer.commit({
      'ca/a.json': '{"id":"a"}',
      [tombstonePath('b')]: 'no json',
      'zz/c.json': JSON.stringify(journalEntry('c')),
      README: 'who put this here',
    });
    await writer.push({ to: REF });
    const view = await journal.refresh();
    expect(view.damaged.map(({ path: file }) => file).sort()).toEqual(
      ['README', 'ca/a.json', tombstonePath('b'), 'zz/c.json'].sort(),
    );
    expect([...view.entries]).toEqual([]);
    expect(await journal.claim(journalEntry('a'), terms)).toBe('taken');
    expect(await journal.claim(journalEntry('b'), terms)).toBe('taken');
    expect(await journal.claim(journalEntry('d'), terms)).toBe('won');
    expect((await journal.refresh()).damaged).toHaveLength(4);
  });

  it('drops tombstones after their days when something else is written, but none that still holds a slot', async () => {
    fixture = await OpsRepoFixture.create();
    const journal = await fixture.openJournal({ tombstoneDays: 8 });
    const old = new Date(Date.now() - 9 * 86_400_000).toISOString();
    await journal.end({ id: 'old', token: '1'.repeat(32), ended_at: old });
    const held = {
      id: 'held',
      token: '2'.repeat(32),
      ended_at: old,
      held_until: new Date(Date.now() + 60_000).toISOString(),
    };
    await journal.end(held);
    await journal.claim(journalEntry('a'), terms);
    expect([...(await journal.refresh()).ended.keys()]).toEqual(['held']);
  });

  it('goes on after its clone was deleted', async () => {
    fixture = await OpsRepoFixture.create();
    const journal = await fixture.openJournal();
    await journal.claim(journalEntry('a'), terms);
    await rm(path.join(fixture.dir, 'cache'), { recursive: true });
    expect(await journal.claim(journalEntry('b'), terms)).toBe('won');
    expect([...(await journal.refresh()).entries.keys()].sort()).toEqual(['a', 'b']);
  });

  it('is squashed to one commit without parents when it has 500, and others follow', async () => {
    fixture = await OpsRepoFixture.create();
    const journal = await fixture.openJournal();
    await journal.claim(journalEntry('a'), terms);
    await grow(REF, 498);
    expect(await commitCount()).toBe(499);
    const other = await fixture.openJournal({ dispatcher: 'edge-2' });
    await other.refresh();
    await journal.claim(journalEntry('b'), terms);
    expect(await commitCount()).toBe(500);
    await journal.claim(journalEntry('c'), terms);
    expect(await commitCount()).toBe(1);
    const tip = (await onRemote('rev-parse', REF)).trim();
    expect([...(await other.refresh()).entries.keys()].sort()).toEqual(['a', 'b', 'c']);
    expect(await other.claim(entryOf('edge-2', 'd'), terms)).toBe('won');
    expect((await onRemote('rev-parse', `${REF}^`)).trim()).toBe(tip);
  });

  it('goes on without squashing where the server takes fast-forward pushes only', async () => {
    fixture = await OpsRepoFixture.create();
    const journal = await fixture.openJournal({ journalRef: 'refs/heads/journal' });
    await journal.claim(journalEntry('a'), terms);
    await grow('refs/heads/journal', 499);
    await onRemote('config', 'receive.denyNonFastForwards', 'true');
    expect(await journal.claim(journalEntry('b'), terms)).toBe('won');
    expect(await commitCount('refs/heads/journal')).toBe(501);
  });
});

describe('a claim', () => {
  it('that landed is won again, the same id with other bytes is taken', async () => {
    fixture = await OpsRepoFixture.create();
    const journal = await fixture.openJournal();
    const entry = journalEntry('a');
    expect(await journal.claim(entry, terms)).toBe('won');
    expect(await journal.claim(entry, terms)).toBe('won');
    expect(await journal.claim({ ...entry, payload_sha256: 'd'.repeat(64) }, terms)).toBe('taken');
    expect(await commitCount()).toBe(1);
  });

  it('of the next attempt takes the place of our own entry that it names, and of no other', async () => {
    fixture = await OpsRepoFixture.create();
    const journal = await fixture.openJournal();
    const first = journalEntry('a');
    const second = journalEntry('a', { attempt: 2, token: '2'.repeat(32) });
    await journal.claim(first, terms);
    expect(await journal.claim(second, terms)).toBe('taken');
    expect(await journal.claim(second, { ...terms, replaces: '3'.repeat(32) })).toBe('taken');
    expect(await journal.claim(second, { ...terms, groupLimit: 1, replaces: first.token })).toBe('won');
    expect([...journal.view().entries.values()]).toEqual([second]);
    const other = await fixture.openJournal({ dispatcher: 'edge-2' });
    const theirs = entryOf('edge-2', 'a', { attempt: 3, token: '3'.repeat(32) });
    expect(await other.claim(theirs, { ...terms, replaces: second.token })).toBe('taken');
  });

  it('R4: is won by exactly one of two dispatchers in each of six races', async () => {
    fixture = await OpsRepoFixture.create();
    const journals = await Promise.all(['edge-1', 'edge-2'].map((dispatcher) => fixture.openJournal({ dispatcher })));
    const winners: string[] = [];
    for (let round = 0; round < 6; round += 1) {
      const answers = await Promise.all(
        journals.map((journal, n) => journal.claim(entryOf(`edge-${n + 1}`, `race-${round}`), terms)),
      );
      expect([...answers].sort()).toEqual(['taken', 'won']);
      winners.push(`edge-${answers.indexOf('won') + 1}`);
    }
    const view = await journals[0]?.refresh();
    const holders = Array.from({ length: 6 }, (_, round) => view?.entries.get(`race-${round}`)?.dispatcher);
    expect(holders).toEqual(winners);
  }, 60_000);

  it('R19: keeps to the limit of its group when many race for it, held tombstones counted', async () => {
    fixture = await OpsRepoFixture.create();
    const journals = await Promise.all(
      ['edge-1', 'edge-2', 'edge-3'].map((dispatcher) => fixture.openJournal({ dispatcher })),
    );
    const until = new Date(Date.now() + 60_000).toISOString();
    const held = { id: 'lost', token: '9'.repeat(32), ended_at: now(), group: 'release', held_until: until };
    const limited = { groupLimit: 3, replaces: null, now: new Date() };
    await journals[0]?.end(held);
    const answers = await Promise.all(
      journals.flatMap((journal, n) =>
        [0, 1].map((k) => journal.claim(entryOf(`edge-${n + 1}`, `x-${n}-${k}`, { group: 'release' }), limited)),
      ),
    );
    expect([...answers].sort()).toEqual(['group-full', 'group-full', 'group-full', 'group-full', 'won', 'won']);
    const free = entryOf('edge-1', 'free', { group: 'other' });
    expect(await journals[0]?.claim(free, { ...limited, groupLimit: 1 })).toBe('won');
    const after = { ...limited, now: new Date(Date.now() + 120_000) };
    expect(await journals[0]?.claim(entryOf('edge-1', 'later', { group: 'release' }), after)).toBe('won');
  });

  it('is fenced when another process of the same name has adopted our entries', async () => {
    fixture = await OpsRepoFixture.create();
    const old = await fixture.openJournal({ instance: 'old' });
    const entry = journalEntry('a', { instance: 'old' });
    expect(await old.claim(entry, terms)).toBe('won');
    const young = await fixture.openJournal({ instance: 'young' });
    expect(await young.claim(journalEntry('b', { instance: 'young' }), terms)).toBe('fenced');
    expect(await young.adopt({ dispatcher: 'edge-1', instance: 'young' })).toEqual([{ ...entry, instance: 'young' }]);
    expect(await young.claim(journalEntry('b', { instance: 'young' }), terms)).toBe('won');
    expect(await old.claim(journalEntry('c', { instance: 'old' }), terms)).toBe('fenced');
    await expect(old.update({ ...entry, state: 'running' })).rejects.toMatchObject({ code: 'ERR_FENCED' });
    expect((await young.refresh()).entries.get('a')).toEqual({ ...entry, instance: 'young' });
  });

  it('beside one that is refused is won all the same', async () => {
    fixture = await OpsRepoFixture.create();
    const journal = await fixture.openJournal();
    await journal.claim(journalEntry('a'), terms);
    const answers = await Promise.all([
      journal.claim(journalEntry('a', { token: '5'.repeat(32) }), terms),
      journal.claim(journalEntry('b'), terms),
      journal.update(journalEntry('gone')),
    ]);
    expect(answers).toEqual(['taken', 'won', false]);
  });
});

describe('a journal push without an answer', () => {
  async function overHttp() {
    fixture = await OpsRepoFixture.create();
    const server = await GitHttpServer.start({ root: fixture.dir });
    fixture.onClose(() => server.close());
    return { server, journal: await fixture.openJournal({ url: `${server.origin}/remote.git` }) };
  }

  it('R4: that landed is won by reading back our own bytes, whatever it was', async () => {
    const { server, journal } = await overHttp();
    const entry = journalEntry('a');
    server.dropPushAnswers = 1;
    expect(await journal.claim(entry, terms)).toBe('won');
    server.dropPushAnswers = 1;
    expect(await journal.update({ ...entry, state: 'running' })).toBe(true);
    server.dropPushAnswers = 1;
    await journal.end({ id: 'a', token: entry.token, ended_at: now() });
    expect(await commitCount()).toBe(3);
    expect([...(await journal.refresh()).ended.keys()]).toEqual(['a']);
  });

  it('R4: that did not land is made again', async () => {
    const { server, journal } = await overHttp();
    server.dropPushes = 1;
    expect(await journal.claim(journalEntry('a'), terms)).toBe('won');
    server.failPushes = { count: 1, status: 502 };
    expect(await journal.claim(journalEntry('b'), terms)).toBe('won');
    expect((await journal.refresh()).entries.size).toBe(2);
  });

  it('R4: that did not land while another dispatcher claimed is taken', async () => {
    const { server, journal } = await overHttp();
    const other = await fixture.openJournal({ dispatcher: 'edge-2' });
    await journal.refresh();
    server.delayMs = 50;
    server.failPushes = { count: 1, status: 500 };
    const ours = journal.claim(journalEntry('a'), terms);
    expect(await other.claim(entryOf('edge-2', 'a'), terms)).toBe('won');
    expect(await ours).toBe('taken');
  });

  it('R20: is an outage when the server stays away, and the claim is won when it is repeated', async () => {
    const { server, journal } = await overHttp();
    server.unavailable = 1_000;
    await expect(journal.claim(journalEntry('a'), terms)).rejects.toMatchObject({ code: 'ERR_GIT_UNAVAILABLE' });
    await expect(journal.refresh()).rejects.toMatchObject({ code: 'ERR_GIT_UNAVAILABLE' });
    server.unavailable = 0;
    server.failPushes = { count: 1_000, status: 500 };
    await expect(journal.claim(journalEntry('a'), terms)).rejects.toMatchObject({ code: 'ERR_GIT_UNAVAILABLE' });
    server.failPushes = { count: 0, status: 500 };
    expect(await journal.claim(journalEntry('a'), terms)).toBe('won');
  });
});

describe('a journal push that the server refuses', () => {
  it('stalls until a person gives the right to push', async () => {
    fixture = await OpsRepoFixture.create();
    const journal = await fixture.openJournal();
    await installHook(fixture.remote, 'pre-receive', 'exit 1');
    const claim = journal.claim(journalEntry('a'), terms);
    await expect(claim).rejects.toMatchObject({ name: 'StalledError', code: 'ERR_PUSH_FORBIDDEN' });
    expect((await journal.refresh()).entries.size).toBe(0);
    await installHook(fixture.remote, 'pre-receive', 'exit 0');
    expect(await journal.claim(journalEntry('a'), terms)).toBe('won');
  });
});
