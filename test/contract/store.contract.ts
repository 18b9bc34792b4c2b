import { createHash, randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Store } from '../../src/ports/store.ts';
import { bytesOf, textOf } from '../fakes/until.ts';

/** One store, and what a test has to be able to do behind its back. */
export interface StoreHarness {
  readonly store: Store;
  /** Another instance over the same content. */
  reopen(): Store;
  /** URIs that must not lead to anything that was not put there. */
  readonly hostileUris: readonly string[];
  close(): Promise<void>;
}

const HOSTILE_KEYS = ['', '/', '/etc/passwd', '..', '../x', 'a/../../x', 'a//b', './a', 'a/.', 'a/', 'a\0b'];

/** The cases that every implementation of ports/store.ts passes. */
export function storeContract(name: string, makeHarness: () => Promise<StoreHarness>): void {
  describe(`the store ${name}`, () => {
    let harness: StoreHarness;
    let store: Store;

    beforeEach(async () => {
      harness = await makeHarness();
      store = harness.store;
    });

    afterEach(() => harness.close());

    it('gives back what was put, also to another process', async () => {
      const { uri } = await store.put('id/1/stdout', bytesOf('one ', 'two'));
      expect(await textOf(await store.get(uri))).toBe('one two');
      expect(await textOf(await harness.reopen().get(uri))).toBe('one two');
    });

    it('answers size and digest of what was written', async () => {
      const content = randomBytes(300_000);
      const put = await store.put('big', chunksOf(content));
      expect(put.bytes).toBe(content.length);
      expect(put.sha256).toBe(createHash('sha256').update(content).digest('hex'));
    });

    it('keeps empty content', async () => {
      const put = await store.put('empty', bytesOf());
      expect(put).toMatchObject({ bytes: 0, sha256: createHash('sha256').digest('hex') });
      expect(await store.get(put.uri)).not.toBeNull();
    });

    it('replaces as a whole when a key is put again', async () => {
      const first = await store.put('key', bytesOf('a longer first content'));
      const second = await store.put('key', bytesOf('short'));
      expect(second.uri).toBe(first.uri);
      expect(await textOf(await store.get(first.uri))).toBe('short');
    });

    it('shows one of the contents, never a mixture, when a key is put many times at once', async () => {
      const contents = Array.from({ length: 8 }, (_, i) => String(i).repeat(100_000));
      const puts = await Promise.all(contents.map((content) => store.put('key', bytesOf(content))));
      expect(contents).toContain(await textOf(await store.get(puts[0]?.uri ?? '')));
    });

    it('keeps the old content when the new one breaks off, and tells why it did', async () => {
      const { uri } = await store.put('key', bytesOf('old'));
      await expect(store.put('key', brokenOff())).rejects.toThrow('the source broke off');
      expect(await textOf(await store.get(uri))).toBe('old');
    });

    it.each(['a b%20?#.txt', 'ümläut/ß', 'dist/x.tgz', '.hidden', 'a..b', 'line\nfeed'])(
      'takes the key %j',
      async (key) => {
        const { uri } = await store.put(key, bytesOf(key));
        expect(await textOf(await store.get(uri))).toBe(key);
      },
    );

    it.each(HOSTILE_KEYS)('refuses the key %j and writes nothing', async (key) => {
      await expect(store.put(key, bytesOf('x'))).rejects.toThrow('not a key');
    });

    it('knows nothing of what was never put', async () => {
      const { uri } = await store.put('known', bytesOf('x'));
      expect(await store.get(uri.replace('known', 'unknown'))).toBeNull();
    });

    it('gives nothing for a URI that leads elsewhere', async () => {
      await store.put('known', bytesOf('x'));
      const answers = await Promise.all(harness.hostileUris.map((uri) => store.get(uri)));
      expect(answers).toEqual(harness.hostileUris.map(() => null));
    });
  });
}

async function* chunksOf(content: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < content.length; at += 50_000) yield content.subarray(at, at + 50_000);
}

async function* brokenOff(): AsyncGenerator<Uint8Array> {
  yield Buffer.from('new');
  throw new Error('the source broke off');
}
