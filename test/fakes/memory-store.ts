import { sha256 } from '../../src/domain/ids.ts';
import type { Store, StoredObject } from '../../src/ports/store.ts';

/** Output and artifacts in memory. */
export class MemoryStore implements Store {
  readonly objects = new Map<string, Buffer>();

  async put(key: string, content: AsyncIterable<Uint8Array>): Promise<StoredObject> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of content) chunks.push(chunk);
    const bytes = Buffer.concat(chunks);
    this.objects.set(key, bytes);
    return { uri: `memory:${key}`, bytes: bytes.length, sha256: sha256(bytes) };
  }

  get(uri: string): Promise<AsyncIterable<Uint8Array> | null> {
    const bytes = this.objects.get(uri.slice('memory:'.length));
    return Promise.resolve(bytes === undefined ? null : one(bytes));
  }
}

async function* one(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}
