import type { Headers } from 'node-fetch';

interface Kept {
  readonly etag: string;
  readonly text: string;
  readonly headers: Headers;
}

const MOST_ANSWERS = 256;
const MOST_CHARACTERS = 16 * 1024 * 1024;

/** Answers that came with an ETag, by their address: what has not changed need not be sent again. The oldest go first. */
export class RememberedAnswers {
  readonly #kept = new Map<string, Kept>();
  #characters = 0;

  of(url: string): Kept | undefined {
    return this.#kept.get(url);
  }

  /** Replaces what was known of this address; an answer without ETag removes it. */
  keep(url: string, { text, headers }: Omit<Kept, 'etag'>): void {
    this.#drop(url);
    const etag = headers.get('etag');
    if (etag === null || text.length > MOST_CHARACTERS) return;
    this.#kept.set(url, { etag, text, headers });
    this.#characters += text.length;
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= MOST_ANSWERS && this.#characters <= MOST_CHARACTERS) return;
      this.#drop(oldest);
    }
  }

  #drop(url: string): void {
    this.#characters -= this.#kept.get(url)?.text.length ?? 0;
    this.#kept.delete(url);
  }
}
