import { execFile } from 'node:child_process';
import path from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const execute = promisify(execFile);

it('R1: demo --forge: other bytes pushed before the merge wait, an edit after the merge is refused, reviewed bytes run', async () => {
  // Another exit code than 0 throws, with what the program said.
  const program = path.resolve('dist/main.js');
  const { stdout, stderr } = await execute(process.execPath, [program, 'demo', '--forge', '--json']);
  expect(stderr).toBe('');
  const told = JSON.parse(stdout) as Told;
  expect(told.problems).toEqual([]);
  expect(told.waiting).toMatchObject([{ id: 'publish-docs', reason: { code: 'ERR_APPROVED_OTHER_BYTES' } }]);
  const results = Object.values(told.results).map((text) => JSON.parse(text) as object);
  const approval = { evidence: [{ rule: 'forge-review', by: 'Grace' }] };
  expect(results).toMatchObject([
    { id: 'publish-docs', outcome: 'succeeded', approval },
    { id: 'publish-news', outcome: 'refused', reason: { code: 'ERR_NO_CHANGE' } },
    { id: 'publish-site', outcome: 'succeeded', approval },
  ]);
  const authors = told.forge.comments.map(({ number, by }) => `#${number} ${by}`);
  expect(authors.toSorted()).toEqual(['#1 edge-bot', '#2 edge-bot', '#3 edge-bot']);
  expect(told.forge.statuses).toContainEqual(expect.objectContaining({ on: '#1', state: 'success' }));
  expect(told.forge.statuses).toContainEqual(expect.objectContaining({ on: '#3', state: 'failure' }));
  expect(told.forge.statuses).not.toContainEqual(expect.objectContaining({ state: 'pending' }));
});

interface Told {
  readonly problems: readonly string[];
  readonly waiting: readonly object[];
  readonly results: Readonly<Record<string, string>>;
  readonly forge: {
    readonly comments: readonly { readonly number: number; readonly by: string }[];
    readonly statuses: readonly object[];
  };
}
