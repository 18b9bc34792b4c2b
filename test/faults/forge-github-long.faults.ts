import { afterEach, beforeEach, expect, it } from 'vitest';
import { commitSchema } from '../../src/adapters/forges/github/schemas.ts';
import type { Forge } from '../../src/ports/forge.ts';
import { GitHubBench } from '../fakes/github-api-bench.ts';

/** Anybody can write much: it keeps nobody from being read. */

let bench: GitHubBench;
let github: Forge;

beforeEach(async () => {
  bench = await GitHubBench.start();
  github = bench.adapter();
});
afterEach(() => bench.remove());

/** The longest text that GitHub takes, in the way that is the longest as JSON. */
const LONG = '"'.repeat(65_536);
const MARKER = '<!-- m -->';

it('70 long reviews and comments hide no review and no event (R2)', async () => {
  const { number } = bench.propose('a');
  for (let count = 0; count < 70; count += 1) {
    bench.forge.review('reader1', number, { state: 'comment', body: LONG });
    bench.forge.comment('reader1', number, LONG);
  }
  bench.forge.review('approver1', number, { state: 'changes-requested', body: LONG });
  bench.forge.retarget('dev1', number, 'main');
  const change = await github.change(number);

  expect((await github.reviews(number)).at(-1)).toMatchObject({ verdict: 'changes-requested' });
  expect(change === null ? null : (await github.history(change)).retargetedAt).not.toBeNull();
});

it('our comment is found among 150 long ones, made once and edited', async () => {
  const { number } = bench.propose('a');
  for (let count = 0; count < 75; count += 1) bench.forge.comment('reader1', number, LONG);
  await github.comment(number, MARKER, `${MARKER} one`);
  for (let count = 0; count < 75; count += 1) bench.forge.comment('reader1', number, LONG);
  await github.comment(number, MARKER, `${MARKER} two`);

  const ours = bench.forge.state.comments.filter(({ by }) => by.login === 'edge-bot').map(({ body }) => body);
  expect(ours).toEqual([`${MARKER} two`]);
});

it('commits whose messages are too long together are read in pieces (R2)', async () => {
  const message = 'm'.repeat(400 * 1024);
  for (let count = 0; count < 25; count += 1) bench.forge.push('dev1', 'a', { message });
  const { number } = bench.forge.openPull('dev1', { head: 'a' });

  const commits = await github.commits(number);

  expect(new Set(commits.map(({ oid }) => oid)).size).toBe(25);
  expect(commits.at(-1)).toMatchObject({ oid: bench.forge.tip('a'), coAuthors: [] });
});

it('a commit whose message is left out may be by anybody, and hides no other (R2)', async () => {
  const first = bench.forge.push('dev1', 'a', { files: { 'a.md': 'a\n' } });
  bench.forge.push('dev1', 'a', { files: { 'b.md': 'b\n' }, message: 'm'.repeat(600 * 1024) });
  const { number } = bench.forge.openPull('dev1', { head: 'a' });

  const commits = await github.commits(number);

  expect(commits.map(({ coAuthors }) => coAuthors)).toEqual([[], [{ name: '', email: '' }]]);
  expect(commits[0]?.oid).toBe(first);
});

it('of a commit what comes before an endless message is enough', () => {
  const beginning = {
    sha: 'a'.repeat(40),
    commit: { author: null, committer: { name: 'x', email: 'x@y' }, message: null },
  };

  expect(commitSchema.parse(beginning)).toMatchObject({ sha: beginning.sha, author: null, committer: null });
});
