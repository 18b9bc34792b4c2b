import { isOid, type Oid } from '../../domain/ids.ts';
import { commandBody, readPackets, textOf } from './packets.ts';
import type { SmartHttp } from './smart-http.ts';

/**
 * The idle poll of an https remote: one POST of git's protocol v2 (`ls-refs`) that starts no process and gets about
 * 150 bytes back, whatever the size of the repo. Where this way does not work the answer is null, and git is asked.
 */
export class LsRefs {
  readonly #http: SmartHttp;
  /** A server of SHA-256 answers only those who say that they know it; learnt from what git was told. */
  #capabilities: readonly string[] = [];

  constructor(http: SmartHttp) {
    this.#http = http;
  }

  /** Ids of those of the refs that exist; null: this way does not work, ask git. Never rejects. */
  async read(refs: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, Oid> | null> {
    const body = await this.#ask(requestBody(refs, [], this.#capabilities), LONGEST_ANSWER, signal);
    return body === null ? null : parseRefs(body, refs);
  }

  /** The annotated tags beneath a folder of refs that ends in a slash; null as for `read`. Never rejects. */
  async annotatedTags(folder: string, signal: AbortSignal): Promise<ReadonlyMap<string, Oid> | null> {
    const body = await this.#ask(requestBody([folder], ['peel'], this.#capabilities), LONGEST_LIST_OF_TAGS, signal);
    return body === null ? null : parseTags(body, folder);
  }

  /** Any id of the remote, as git has it: its length tells the hash. */
  learn(id: Oid): void {
    this.#capabilities = hashCapability(id);
  }

  #ask(body: string, longest: number, signal: AbortSignal): Promise<Buffer | null> {
    return this.#http.ask({ place: 'git-upload-pack', body, longest }, signal);
  }
}

const LONGEST_ANSWER = 1 << 20;
/** Room for ten thousand of them with long names. */
const LONGEST_LIST_OF_TAGS = 4 << 20;

/** What a client has to say of its hash, where that is not the one that is taken for granted. */
export function hashCapability(id: Oid): readonly string[] {
  return id.length === 64 ? ['object-format=sha256'] : [];
}

export function requestBody(
  refs: readonly string[],
  options: readonly string[] = [],
  capabilities: readonly string[] = [],
): string {
  return commandBody('ls-refs', capabilities, [...options, ...refs.map((ref) => `ref-prefix ${ref}`)]);
}

/** null: not the answer of a server that speaks protocol v2. Prefixes match more than was asked for. */
export function parseRefs(body: Buffer, refs: readonly string[]): ReadonlyMap<string, Oid> | null {
  const lines = parseLines(body);
  return lines && new Map(lines.flatMap(({ id, ref }) => (refs.includes(ref) ? [[ref, id] as const] : [])));
}

/** Only what leads on to another object is an annotated tag. null as for `parseRefs`. */
export function parseTags(body: Buffer, folder: string): ReadonlyMap<string, Oid> | null {
  const tags = parseLines(body)?.filter(({ ref, peeled }) => peeled && ref.startsWith(folder));
  return tags === undefined ? null : new Map(tags.map(({ id, ref }) => [ref, id]));
}

interface RefLine {
  readonly id: Oid;
  readonly ref: string;
  readonly peeled: boolean;
}

function parseLines(body: Buffer): readonly RefLine[] | null {
  const packets = readPackets(body);
  if (packets?.at(-1)?.kind !== 'flush') return null;
  const lines: RefLine[] = [];
  for (const one of packets.slice(0, -1)) {
    if (one.kind !== 'data') return null;
    const [id = '', ref = '', ...attributes] = textOf(one.bytes).split(' ');
    if (!isOid(id)) return null;
    lines.push({ id, ref, peeled: attributes.some((attribute) => attribute.startsWith('peeled:')) });
  }
  return lines;
}
