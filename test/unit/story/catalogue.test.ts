import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { blobOid } from '../../../src/domain/ids.ts';
import type { EntryKind, TreeEntry } from '../../../src/ports/ops-repo.ts';
import { type Catalogue, createCatalogue, resultId, resultPath } from '../../../src/story/catalogue.ts';
import { difference } from '../../fakes/memory-ops-repo-simple.ts';

type Tree = ReadonlyMap<string, TreeEntry>;
const entry = (path: string, content = path, kind: EntryKind = 'file'): TreeEntry => {
  return { path, kind, oid: blobOid(Buffer.from(content)) };
};
const treeOf = (...entries: readonly TreeEntry[]): Tree => new Map(entries.map((each) => [each.path, each]));
const inPathOrder = (tree: Tree) => [...tree.values()].toSorted((a, b) => (a.path < b.path ? -1 : 1));

function loaded(tree: Tree): Catalogue {
  const catalogue = createCatalogue('vault/sidecars');
  catalogue.load(inPathOrder(tree));
  return catalogue;
}

const shown = (catalogue: Catalogue) => ({
  pending: catalogue.pending(),
  results: [...catalogue.results()].toSorted(([a], [b]) => (a < b ? -1 : 1)),
  misnamed: catalogue
    .misnamed()
    .map(({ path }) => path)
    .toSorted(),
  files: ['a', 'b', 'x'].map((id) => catalogue.files(id)),
  cancels: ['a', 'b', 'x'].map((id) => catalogue.cancels(id)),
});

describe('a catalogue', () => {
  it('knows what is pending: action files without a result, in any folder', () => {
    const catalogue = loaded(
      treeOf(entry('d/a.toml'), entry('d/2026/b.toml'), entry('d/c.toml'), entry('d/c.result.json')),
    );
    expect(catalogue.pending().map(({ id, path }) => [id, path])).toEqual([
      ['a', 'd/a.toml'],
      ['b', 'd/2026/b.toml'],
    ]);
    expect([catalogue.result('c')?.path, catalogue.result('a')]).toEqual(['d/c.result.json', null]);
  });

  it('tells a cancel request from an action, and what is neither', () => {
    const catalogue = loaded(
      treeOf(entry('d/a.cancel.toml'), entry('d/README.md'), entry('d/a.json'), entry('d/toml')),
    );
    expect([catalogue.pending(), catalogue.misnamed(), [...catalogue.results()]]).toEqual([[], [], []]);
    expect(catalogue.cancels('a').map(({ path }) => path)).toEqual(['d/a.cancel.toml']);
  });

  it('reports names that are no id', () => {
    const names = ['d/Bad.toml', 'd/.toml', 'd/a.result.toml', 'd/a b.toml'];
    const catalogue = loaded(treeOf(...names.map((name) => entry(name))));
    expect(catalogue.misnamed().map(({ path }) => path)).toEqual(names.toSorted());
    expect(catalogue.pending()).toEqual([]);
  });

  it('holds links and folders that are named like actions, to be judged as such', () => {
    const catalogue = loaded(
      treeOf(entry('d/a.toml', 'a', 'symlink'), entry('d/b.toml', 'b', 'tree'), entry('d/b.toml/x.toml')),
    );
    expect(catalogue.pending().map(({ id, entry: { kind } }) => `${id} ${kind}`)).toEqual([
      'a symlink',
      'b tree',
      'x file',
    ]);
  });

  it('knows all files of an id, in the order of their paths', () => {
    const catalogue = loaded(treeOf(entry('d/b/a.toml')));
    catalogue.apply([{ path: 'd/a.toml', before: null, after: entry('d/a.toml') }]);
    expect(catalogue.files('a').map(({ path }) => path)).toEqual(['d/a.toml', 'd/b/a.toml']);
    expect(catalogue.pending().map(({ path }) => path)).toEqual(['d/a.toml', 'd/b/a.toml']);
  });

  it('goes on knowing a result when another one of the same id is deleted', () => {
    const both = treeOf(entry('d/a.toml'), entry('d/a.result.json'), entry('d/old/a.result.json', 'old'));
    const catalogue = loaded(both);
    const left = treeOf(entry('d/a.toml'), entry('d/a.result.json'));
    catalogue.apply(difference(both, left, ['d']));
    expect([catalogue.result('a')?.path, catalogue.pending()]).toEqual(['d/a.result.json', []]);
  });

  it('sees a deleted result as none, and a replaced action with its new bytes', () => {
    const before = treeOf(entry('d/a.toml'), entry('d/a.result.json'), entry('d/b.toml', 'old'));
    const after = treeOf(entry('d/a.toml'), entry('d/b.toml', 'new'));
    const catalogue = loaded(before);
    catalogue.apply(difference(before, after, ['d']));
    expect(catalogue.pending().map(({ id, entry: { oid } }) => [id, oid])).toEqual([
      ['a', blobOid(Buffer.from('d/a.toml'))],
      ['b', blobOid(Buffer.from('new'))],
    ]);
  });

  it('is the same by changes as by a full listing, whatever the trees are', () => {
    const name = fc.constantFrom(
      'a.toml',
      'b.toml',
      'x.toml',
      'a.result.json',
      'b.result.json',
      'a.cancel.toml',
      'A.toml',
      '.toml',
      'README',
    );
    const folder = fc.constantFrom('d', 'd/2026', 'd/2026/03', 'd/x.toml', 'd/Z');
    const kind = fc.constantFrom<EntryKind>('file', 'executable', 'symlink', 'tree', 'submodule');
    const file = fc.tuple(folder, name, fc.constantFrom('1', '2', '3'), kind).map(([under, base, content, how]) => {
      return entry(`${under}/${base}`, content, how);
    });
    const tree = fc.array(file, { maxLength: 14 }).map((entries) => treeOf(...entries));
    fc.assert(
      fc.property(fc.array(tree, { minLength: 1, maxLength: 5 }), (trees) => {
        const catalogue = createCatalogue('vault/sidecars');
        trees.forEach((each, index) => {
          const last = trees[index - 1];
          if (last === undefined) catalogue.load(inPathOrder(each));
          else catalogue.apply(difference(last, each, ['d']));
          expect(shown(catalogue)).toEqual(shown(loaded(each)));
        });
      }),
      { numRuns: 500 },
    );
  });
});

describe('paths of results', () => {
  it('lie beside their action', () => {
    expect(resultPath('vault/actions/2026/a.b.toml')).toBe('vault/actions/2026/a.b.result.json');
    expect(resultId('vault/actions/2026/a.b.result.json')).toBe('a.b');
  });
});
