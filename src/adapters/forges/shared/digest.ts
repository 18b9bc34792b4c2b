export interface DigestLimits {
  /** Bytes of one text; a longer one reads as null. */
  readonly text: number;
  /** Bytes of the whole answer as it is sent. */
  readonly read: number;
  /** Bytes of it that are kept. */
  readonly kept: number;
}

const [QUOTE, ESCAPE, COMMA] = [0x22, 0x5c, 0x2c];
const NULL = Buffer.from('null');
/** What opens a list or an object, and what closes it. */
const CLOSING: ReadonlyMap<number, number> = new Map([
  [0x5b, 0x5d],
  [0x7b, 0x7d],
]);
const CLOSINGS: ReadonlySet<number> = new Set(CLOSING.values());
const FIRST_SIZE = 65_536;

/** JSON as it arrives, without its long texts: memory is taken by what is kept, whatever is sent. */
export class Digest {
  readonly #limits: DigestLimits;
  #out: Buffer = Buffer.alloc(FIRST_SIZE);
  #length = 0;
  #read = 0;
  /** Where the text begins that we are in; -1: in none. */
  #text = -1;
  #isEscaped = false;
  /** In a text that is left out. */
  #isLeftOut = false;
  /** What closes the lists and objects that are open. */
  readonly #open: number[] = [];
  #isFirstItem = true;

  constructor(limits: DigestLimits) {
    this.#limits = limits;
  }

  /** false: too long; nothing more is taken. */
  add(chunk: Uint8Array): boolean {
    this.#read += chunk.length;
    if (this.#read > this.#limits.read) return false;
    for (let at = 0; at < chunk.length; at += 1) {
      if (this.#isLeftOut) at = this.#leaveOut(chunk, at);
      else this.#take(chunk[at] ?? 0);
      if (this.#length > this.#limits.kept) return false;
    }
    return true;
  }

  text(): string {
    return new TextDecoder().decode(this.#out.subarray(0, this.#length));
  }

  /**
   * What came before the long text in which reading ended, every list and object closed; null: it ended elsewhere, or
   * in another than the first item of a list.
   */
  beginning(): string | null {
    if (!this.#isLeftOut || !this.#isFirstItem) return null;
    return this.text() + String.fromCharCode(...this.#open.toReversed());
  }

  /** Answers where the text ends, or the chunk. */
  #leaveOut(chunk: Uint8Array, from: number): number {
    let isEscaped = this.#isEscaped;
    let at = from;
    for (; at < chunk.length && (isEscaped || chunk[at] !== QUOTE); at += 1)
      isEscaped = !isEscaped && chunk[at] === ESCAPE;
    this.#isEscaped = isEscaped;
    this.#isLeftOut = at === chunk.length;
    return at;
  }

  #take(byte: number): void {
    this.#keep(byte);
    if (this.#text === -1) this.#outsideText(byte);
    else if (this.#isEscaped) this.#isEscaped = false;
    else if (byte === ESCAPE) this.#isEscaped = true;
    else if (byte === QUOTE) this.#text = -1;
    if (this.#text !== -1 && this.#length - this.#text > this.#limits.text) {
      this.#length = this.#text;
      for (const each of NULL) this.#keep(each);
      this.#text = -1;
      this.#isLeftOut = true;
    }
  }

  #outsideText(byte: number): void {
    const closing = CLOSING.get(byte);
    if (byte === QUOTE) this.#text = this.#length - 1;
    else if (byte === COMMA && this.#open.length === 1) this.#isFirstItem = false;
    else if (closing !== undefined) this.#open.push(closing);
    else if (CLOSINGS.has(byte)) this.#open.pop();
  }

  #keep(byte: number): void {
    if (this.#length === this.#out.length) this.#out = Buffer.concat([this.#out], this.#length * 2);
    this.#out[this.#length] = byte;
    this.#length += 1;
  }
}
