/** As much of HCL as policies are written in: labelled blocks of attributes, comments, lists and maps. */

export type HclValue = string | number | boolean | readonly HclValue[] | { readonly [key: string]: HclValue };

export interface HclBlock {
  readonly kind: string;
  readonly label: string;
  readonly attributes: ReadonlyMap<string, HclValue>;
}

export class HclError extends Error {
  override readonly name = 'HclError';
}

const TOKEN = /"(?:[^"\\\n]|\\.)*"|[A-Za-z_][\w-]*|-?\d+(?:\.\d+)?|[{}[\]=,:]/y;
const SPACE = /(?:\s|#[^\n]*|\/\/[^\n]*|\/\*[\s\S]*?\*\/)*/y;

export function parseHcl(source: string): readonly HclBlock[] {
  const reader = new Reader(tokensOf(source));
  const blocks: HclBlock[] = [];
  while (!reader.atEnd()) {
    const kind = reader.word();
    if (reader.eat('=')) reader.value();
    else blocks.push({ kind, label: reader.word(), attributes: reader.attributes() });
  }
  return blocks;
}

function tokensOf(source: string): string[] {
  const tokens: string[] = [];
  for (let at = 0; ; ) {
    SPACE.lastIndex = at;
    SPACE.exec(source);
    at = SPACE.lastIndex;
    if (at === source.length) return tokens;
    TOKEN.lastIndex = at;
    const token = TOKEN.exec(source)?.[0];
    if (token === undefined) throw new HclError(`illegal character at offset ${at}`);
    tokens.push(token);
    at += token.length;
  }
}

class Reader {
  readonly #tokens: readonly string[];
  #at = 0;

  constructor(tokens: readonly string[]) {
    this.#tokens = tokens;
  }

  atEnd(): boolean {
    return this.#at === this.#tokens.length;
  }

  eat(token: string): boolean {
    if (this.#tokens[this.#at] !== token) return false;
    this.#at += 1;
    return true;
  }

  word(): string {
    const token = this.#next();
    if (!/^["A-Za-z_]/.test(token)) throw new HclError(`expected a name got: ${token}`);
    return token.startsWith('"') ? unquoted(token) : token;
  }

  attributes(): ReadonlyMap<string, HclValue> {
    this.#expect('{');
    const attributes = new Map<string, HclValue>();
    while (!this.eat('}')) {
      const key = this.word();
      if (!this.eat('=')) this.eat(':');
      attributes.set(key, this.value());
      this.eat(',');
    }
    return attributes;
  }

  value(): HclValue {
    if (this.#tokens[this.#at] === '{') return Object.fromEntries(this.attributes());
    if (this.eat('[')) return this.#list();
    const token = this.#next();
    if (token.startsWith('"')) return unquoted(token);
    if (token === 'true' || token === 'false') return token === 'true';
    if (/^-?\d/.test(token)) return Number(token);
    throw new HclError(`expected a value got: ${token}`);
  }

  #list(): HclValue[] {
    const items: HclValue[] = [];
    while (!this.eat(']')) {
      items.push(this.value());
      this.eat(',');
    }
    return items;
  }

  #expect(token: string): void {
    const next = this.#next();
    if (next !== token) throw new HclError(`expected ${token} got: ${next}`);
  }

  #next(): string {
    const token = this.#tokens[this.#at];
    if (token === undefined) throw new HclError('object expected closing RBRACE got: EOF');
    this.#at += 1;
    return token;
  }
}

function unquoted(token: string): string {
  return token.slice(1, -1).replaceAll(/\\(.)/g, (_, char: string) => (char === 'n' ? '\n' : char));
}
