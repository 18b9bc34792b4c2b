import { expect, test } from 'vitest';
import { filePage } from '../../../src/domain/forge-pages.ts';

test.each([
  ['forgejo', 'https://forge.example/ops/ops/pulls/3', 'https://forge.example/ops/ops/src/branch/main/a%20b/c%23.json'],
  [
    'gitea',
    'http://forge.example/git/ops/ops/pulls/3',
    'http://forge.example/git/ops/ops/src/branch/main/a%20b/c%23.json',
  ],
  ['github', 'https://github.com/ops/ops/pull/3', 'https://github.com/ops/ops/blob/main/a%20b/c%23.json'],
  ['another', 'https://forge.example/ops/ops/pulls/3', null],
  ['forgejo', 'https://forge.example/somewhere/else', null],
])('the page of a file of %s beside %s', (kind, change, page) => {
  expect(filePage(kind, change, 'main', 'a b/c#.json')).toBe(page);
});
