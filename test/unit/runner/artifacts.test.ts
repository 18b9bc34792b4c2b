import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sha256 } from '../../../src/domain/ids.ts';
import { type Collection, collectArtifacts, MAX_ARTIFACTS } from '../../../src/runner/artifacts.ts';

const SECRET = 'correct-horse-battery';
let root: string;
let work: string;
let target: string;

beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'artifacts-'));
  work = path.join(root, 'work');
  target = path.join(root, 'artifacts');
  mkdirSync(work);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

describe('artifacts', () => {
  it('are the files that the patterns name, copied beneath their own paths with size and hash', async () => {
    put('dist/a.tgz', 'aaa');
    put('dist/deep/b.tgz', 'b');
    put('other', 'o');
    expect(await collect(['dist/**'])).toEqual([
      { path: 'dist/a.tgz', bytes: 3, sha256: sha256('aaa') },
      { path: 'dist/deep/b.tgz', bytes: 1, sha256: sha256('b') },
    ]);
    expect(readFileSync(path.join(target, 'dist/deep/b.tgz'), 'utf8')).toBe('b');
    expect(existsSync(path.join(target, 'other'))).toBe(false);
  });

  it('are none where the formula names none', async () => {
    put('a', 'a');
    expect(await collect([])).toEqual([]);
  });

  it('never come from behind a symbolic link, neither of a file nor of a directory (E6)', async () => {
    mkdirSync(path.join(root, 'outside'));
    writeFileSync(path.join(root, 'outside/shadow'), 'not ours');
    symlinkSync(path.join(root, 'outside/shadow'), path.join(work, 'file'));
    symlinkSync(path.join(root, 'outside'), path.join(work, 'directory'));
    expect(await collect(['**', 'file', 'directory/shadow'])).toEqual([]);
    expect(existsSync(target)).toBe(false);
  });

  it('are withheld where a file has a name elsewhere as well (E6)', async () => {
    writeFileSync(path.join(root, 'shadow'), 'not ours');
    linkSync(path.join(root, 'shadow'), path.join(work, 'file'));
    expect(await collect(['file'])).toEqual([
      { path: 'file', bytes: 8, sha256: '', withheld: 'it has another name (hard link)' },
    ]);
    expect(existsSync(path.join(target, 'file'))).toBe(false);
  });

  it('are withheld and named where a secret is inside, in whatever encoding (R12)', async () => {
    put('clean', 'nothing to see');
    put('raw', `${'x'.repeat(100_000)}${SECRET}`);
    put('encoded', Buffer.from(`key=${SECRET}`).toString('base64'));
    const artifacts = await collect(['*']);
    expect(artifacts.map((each) => [each.path, each.sha256 !== '', each.withheld])).toEqual([
      ['clean', true, undefined],
      ['encoded', false, 'a secret is inside'],
      ['raw', false, 'a secret is inside'],
    ]);
    expect(readdirSync(target)).toEqual(['clean']);
  });

  it('are withheld where a secret is in the name, and the name is scrubbed (R12)', async () => {
    put(`log-${SECRET}.txt`, 'harmless');
    const [artifact] = await collect(['*']);
    expect(artifact?.withheld).toBe('a secret is in its name');
    expect(artifact?.path).toMatch(/^log-\[masked:TOKEN\]/);
  });

  it('are withheld where they are larger than the limit', async () => {
    put('fits', '12345');
    put('large', '123456');
    const artifacts = await collect(['*'], { maxBytes: 5 });
    expect(artifacts.map(({ path: name, withheld }) => [name, withheld])).toEqual([
      ['fits', undefined],
      ['large', 'it is larger than 5 bytes'],
    ]);
  });

  it('are listed only, with their hash, where nobody would take them', async () => {
    put('a', 'a');
    expect(await collect(['a'], { target: null })).toEqual([
      { path: 'a', bytes: 1, sha256: sha256('a'), withheld: 'this engine collects no artifacts' },
    ]);
  });

  it('are named and withheld once the time is over', async () => {
    put('a', 'a');
    const [artifact] = await collect(['a'], { stop: AbortSignal.abort() });
    expect(artifact?.withheld).toBe('there was no time left');
  });

  it('end with a note when there are too many, and fit into the trailer with the worst of names', async () => {
    const name = '\u0001'.repeat(200);
    for (let n = 0; n < MAX_ARTIFACTS + 5; n += 1) put(`${String(n).padStart(5, '0')}${name}`, '');
    const artifacts = await collect(['*']);
    expect(artifacts).toHaveLength(MAX_ARTIFACTS);
    expect(artifacts.at(-1)?.withheld).toMatch(/^more than 999 artifacts/);
    expect(artifacts[0]?.withheld).toBe('its path is too long');
    expect(Buffer.byteLength(JSON.stringify(artifacts))).toBeLessThan(400_000);
  });
});

function put(file: string, content: string): void {
  mkdirSync(path.dirname(path.join(work, file)), { recursive: true });
  writeFileSync(path.join(work, file), content);
}

function collect(patterns: readonly string[], more: Partial<Collection> = {}): ReturnType<typeof collectArtifacts> {
  const secrets = [{ name: 'TOKEN', value: SECRET }];
  const { signal: stop } = new AbortController();
  return collectArtifacts({ work, patterns, secrets, maxBytes: 1 << 20, target, stop, ...more });
}
