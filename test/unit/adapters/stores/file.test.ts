import { readdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { stores } from '../../../../src/adapters/stores/index.ts';
import { TransientError } from '../../../../src/errors.ts';
import type { Store } from '../../../../src/ports/store.ts';
import { makeTools, type TestTools } from '../../../fakes/tools.ts';
import { bytesOf, textOf } from '../../../fakes/until.ts';

const { file } = stores;

describe('the file store', () => {
  let tools: TestTools;
  let root: string;
  let store: Store;

  beforeEach(() => {
    tools = makeTools();
    root = path.join(tools.stateDir, 'store with space');
    store = file.create(file.options.parse({ url: pathToFileURL(root).href }), tools);
  });

  afterEach(() => tools.remove());

  it('keeps each key as a file for us only, and nothing half written', async () => {
    const { uri } = await store.put('a/b c', bytesOf('x'));
    const where = path.join(root, 'a/b c');
    expect(uri).toBe(pathToFileURL(where).href);
    expect([statSync(where).mode & 0o777, statSync(path.dirname(where)).mode & 0o777]).toEqual([0o600, 0o700]);
    expect(readdirSync(path.join(root, '.tmp'))).toEqual([]);
  });

  it('keeps the output of a sidecar beside that of an action named like its folder', async () => {
    for (const key of ['sidecar/1/stdout.log', 'sidecar/reproduce-12-1/1/stdout.log']) {
      const { uri } = await store.put(key, bytesOf(key));
      const kept = await store.get(uri);
      expect(kept === null ? null : await textOf(kept)).toBe(key);
    }
  });

  it('leaves nothing half written when the content breaks off', async () => {
    const broken = (async function* () {
      yield* bytesOf('x');
      throw new Error('broke off');
    })();
    await expect(store.put('a', broken)).rejects.toThrow('broke off');
    expect(readdirSync(path.join(root, '.tmp'))).toEqual([]);
  });

  it('keeps nobody from its own folder for what is being written', async () => {
    await expect(store.put('.tmp/x', bytesOf('x'))).rejects.toThrow('not a key');
  });

  it('refuses a name that no file system takes, before it reads the content', async () => {
    await expect(store.put(`a/${'ü'.repeat(128)}`, bytesOf('x'))).rejects.toThrow('not a key');
    expect((await store.put(`a/${'u'.repeat(255)}`, bytesOf('x'))).bytes).toBe(1);
  });

  it('is away when the disk does not take the content', async () => {
    writeFileSync(root, 'a file in its place');
    await expect(store.put('a', bytesOf('x'))).rejects.toThrow(TransientError);
    await expect(store.put('a', bytesOf('x'))).rejects.toMatchObject({ code: 'ERR_STORE_UNAVAILABLE' });
  });

  it('is away when something else lies in the place of a key', async () => {
    await store.put('a/b', bytesOf('x'));
    await expect(store.put('a', bytesOf('y'))).rejects.toThrow(TransientError);
    await expect(store.put('a/b/c', bytesOf('y'))).rejects.toThrow(TransientError);
    expect(readdirSync(path.join(root, '.tmp'))).toEqual([]);
  });

  it.each(['', 'file:', 'file:///', 'file:relative', 'file://host/dir', '/dir', 's3://bucket', 'file:///a%2Fb'])(
    'can not be at %j',
    (url) => {
      expect(file.options.safeParse({ url }).success).toBe(false);
    },
  );
});
