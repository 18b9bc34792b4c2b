import { beforeEach, describe, expect, it } from 'vitest';
import type { Account } from '../../../src/domain/change.ts';
import type { Oid } from '../../../src/domain/ids.ts';
import type { ChangeFinder } from '../../../src/ports/changes.ts';
import { authorByFeed, authorByKey, type SetAction } from '../../../src/story/cancel-author.ts';
import type { CancelFile } from '../../../src/story/world.ts';
import { type MemoryCommit, MemoryOpsRepo } from '../../fakes/memory-ops-repo.ts';
import { StoryBench } from '../../fakes/story-bench.ts';
import { account, mergedChange, stubForge } from '../../fakes/stub-forge.ts';

const ACTION = 'vault/actions/a.toml';
const CANCEL = 'vault/actions/a.cancel.toml';
const jane = { name: 'Jane', email: 'jane@example.org' };
const forge = { name: 'Forge', email: 'noreply@forge.example' };
const theirs: MemoryCommit = { author: jane, signedBy: 'key-of-jane' };
const others: MemoryCommit = { author: { name: 'Max', email: 'max@example.org' }, signedBy: 'key-of-max' };

let repo: MemoryOpsRepo;
let root: Oid;

beforeEach(() => {
  repo = new MemoryOpsRepo();
  root = repo.make([], { README: 'hello' });
});

const setAction = (commit: Oid): SetAction => ({ path: ACTION, blob: repo.blobAt(commit, ACTION), commit });
function cancelFile(commit: Oid): CancelFile {
  const entry = { path: CANCEL, kind: 'file' as const, oid: repo.blobAt(commit, CANCEL) };
  return { id: 'a' as CancelFile['id'], path: CANCEL, entry, commit, committedAt: '2026-03-31T12:00:00Z' };
}

async function byKey(action: MemoryCommit, cancel: MemoryCommit) {
  const set = repo.make([root], { [ACTION]: 'an action' }, action);
  const asked = repo.make([set], { [CANCEL]: 'reason = "x"' }, cancel);
  return authorByKey(setAction(set), cancelFile(asked), repo);
}

describe('the author of an action by signing key', () => {
  it('is who signed both with the same key, listed as approver or not', async () => {
    expect(await byKey(theirs, theirs)).toEqual({ by: 'author (SHA256:key-of-jane)' });
  });

  it.each<[string, MemoryCommit, MemoryCommit]>([
    ['another key', theirs, others],
    ['another key under the same name', theirs, { ...theirs, signedBy: 'key-of-max' }],
    ['no signature', theirs, { author: jane }],
    ['a broken one', theirs, { author: jane, signedBy: 'broken' }],
    ['no signature under the action', { author: jane }, theirs],
    ['neither signed', { author: jane }, { author: jane }],
  ])('is not who comes with %s', async (_what, action, cancel) => {
    expect(await byKey(action, cancel)).toHaveProperty('not');
  });

  it('is not whoever uses the editor of the same forge, whose key signs what everybody writes there', async () => {
    const max = { name: 'Max', email: 'max@example.org' };
    expect(await byKey({ author: jane, signedBy: 'key-of-the-forge' }, { author: max, signedBy: 'key-of-the-forge' })) //
      .toEqual({ not: 'it is not signed by the key of the author' });
  });

  it('is who writes the own address in another way, and nobody without one', async () => {
    const shouting = { name: 'J.', email: ' JANE@Example.ORG' };
    const nameless = { author: { name: 'Jane', email: '' }, signedBy: 'key-of-jane' };
    expect(await byKey(theirs, { author: shouting, signedBy: 'key-of-jane' })).toHaveProperty('by');
    expect(await byKey(nameless, nameless)).toHaveProperty('not');
  });

  it('is not whoever has the key that a forge signs all squashes and rebases with', async () => {
    const squashed = { committer: forge, signedBy: 'key-of-the-forge' };
    const answer = await byKey({ author: jane, ...squashed }, { ...others, ...squashed });
    expect(answer).toEqual({ not: 'its author signed no commit that set the action' });
  });

  it('is who introduced it on the side that a merge brought in, and not who merged', async () => {
    const proposed = repo.make([root], { [ACTION]: 'an action' }, theirs);
    const main = repo.make([root], { README: 'more' });
    const merged = repo.merge(main, proposed, {}, others);
    const byAuthor = repo.make([merged], { [CANCEL]: 'reason = "x"' }, theirs);
    const byMerger = repo.make([merged], { [CANCEL]: 'reason = "y"' }, others);
    expect(await authorByKey(setAction(merged), cancelFile(byAuthor), repo)).toHaveProperty('by');
    expect(await authorByKey(setAction(merged), cancelFile(byMerger), repo)).toHaveProperty('not');
  });

  it('is found behind a merge of the request too', async () => {
    const set = repo.make([root], { [ACTION]: 'an action' }, theirs);
    const asked = repo.make([set], { [CANCEL]: 'reason = "x"' }, theirs);
    const main = repo.make([set], { README: 'more' });
    const merged = repo.merge(main, asked, {}, others);
    expect(await authorByKey(setAction(set), cancelFile(merged), repo)).toHaveProperty('by');
  });
});

describe('the author of an action by the feed of the forge', () => {
  interface Case {
    /** Who opened the change that brought the action; null: none did. */
    readonly opener: Account | null;
    readonly pusher: Account | null;
  }

  async function byFeed({ opener, pusher }: Case) {
    const set = repo.make([root], { [ACTION]: 'an action' });
    const asked = repo.make([set], { [CANCEL]: 'reason = "x"' });
    const given = await new StoryBench().process().context();
    const { tip } = given.world().tips;
    const changes: ChangeFinder = {
      of: async (commit, at) => {
        expect([commit, at]).toEqual([set, { path: ACTION, tip }]);
        return opener === null ? null : mergedChange(opener, set);
      },
    };
    const forgeOf = stubForge({
      pusherOf: async (commit, branch) => (commit === asked && branch === 'main' ? pusher : null),
    });
    const context = { ...given, forge: forgeOf, changes };
    return authorByFeed(setAction(set), cancelFile(asked), context, undefined);
  }

  it('is who opened its change and pushed the request, by the same id whatever the login', async () => {
    const answer = await byFeed({ opener: account(7, 'jane'), pusher: account(7, 'jane-new') });
    expect(answer).toEqual({ by: 'jane-new' });
  });

  it.each<[string, Account | null, Account | null]>([
    ['somebody else', account(7, 'jane'), account(8, 'max')],
    ['somebody else of the same name', account(7, 'jane'), account(8, 'jane')],
    ['somebody unknown', account(7, 'jane'), null],
    ['a deleted account, as the author is', account(null, 'ghost'), account(null, 'ghost')],
    ['who pushed, where no change brought the action', null, account(7, 'jane')],
  ])('is not %s', async (_who, opener, pusher) => {
    expect(await byFeed({ opener, pusher })).toHaveProperty('not');
  });

  it('is nobody where there is no forge', async () => {
    const context = await new StoryBench().process().context();
    const set = repo.make([root], { [ACTION]: 'an action', [CANCEL]: 'reason = "x"' });
    expect(await authorByFeed(setAction(set), cancelFile(set), context, undefined)).toHaveProperty('not');
  });
});
