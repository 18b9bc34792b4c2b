import { isOid, type Oid } from '../../domain/ids.ts';
import { hashCapability } from './ls-refs.ts';
import { commandBody, type Packet, readPackets, textOf } from './packets.ts';
import type { SmartHttp } from './smart-http.ts';

export interface WantedTip {
  readonly ref: string;
  /** Where the ref was a moment ago. */
  readonly tip: Oid;
  /** What our clone has in full. */
  readonly have: Oid;
}

export interface Fetched {
  /** Where the ref was at the time of this answer. */
  readonly tip: Oid;
  /** Of all that lacks to go from `have` to `tip`; its deltas may build on what `have` leads to. Nothing of it is checked yet. */
  readonly pack: Buffer;
}

/**
 * A fetch in one POST of git's protocol v2, for what is new on one ref: git itself needs three requests and a negotiation
 * for it. Where the server allows `want-ref` the answer tells anew where the ref stands, so that a ref that moved since
 * the poll costs nothing more; elsewhere the commit of the poll is asked for. What the server can do is asked once and,
 * after a fetch that came to nothing, again.
 */
export class QuickFetch {
  readonly #http: SmartHttp;
  #offer: Offer | undefined;
  #failures = 0;

  constructor(http: SmartHttp) {
    this.#http = http;
  }

  /** null: this way does not work, let git fetch. Never rejects. */
  async fetch(wanted: WantedTip, signal: AbortSignal): Promise<Fetched | null> {
    if (this.#failures >= MOST_FAILURES) return null;
    const offer = await this.#ask(signal);
    if (offer === null || offer.format !== (wanted.tip.length === 64 ? 'sha256' : 'sha1')) return this.failed();
    const body = fetchBody(wanted, offer.wantRef);
    const answer = await this.#http.ask({ place: 'git-upload-pack', body, longest: LONGEST_PACK }, signal);
    const fetched = answer && parseFetch(answer, wanted, offer.wantRef);
    if (fetched === null) return this.failed();
    this.#failures = 0;
    return fetched;
  }

  /** What came could not be used, or nothing did. */
  failed(): null {
    this.#offer = undefined;
    this.#failures += 1;
    return null;
  }

  async #ask(signal: AbortSignal): Promise<Offer | null> {
    if (this.#offer !== undefined) return this.#offer;
    const place = 'info/refs?service=git-upload-pack';
    const body = await this.#http.ask({ place, longest: LONGEST_OFFER }, signal);
    const offer = body && parseOffer(body);
    this.#offer = offer ?? undefined;
    return offer;
  }
}

/** In a row: a server, or what stands before it, that takes this for none of its business is not bothered with it. */
const MOST_FAILURES = 3;
const LONGEST_OFFER = 64 << 10;
/** Held in memory as a whole. What is larger comes by git, which streams it. */
const LONGEST_PACK = 4 << 20;

export interface Offer {
  readonly format: string;
  readonly wantRef: boolean;
}

/** What a server says that it can do; null: it speaks no protocol v2, or fetches nothing. */
export function parseOffer(body: Buffer): Offer | null {
  const packets = readPackets(body);
  const lines = packets?.flatMap((one) => (one.kind === 'data' ? [textOf(one.bytes)] : [])) ?? [];
  if (lines[0] === '# service=git-upload-pack') lines.shift();
  if (lines[0] !== 'version 2' || packets?.at(-1)?.kind !== 'flush') return null;
  const valueOf = (name: string) => lines.find((line) => line === name || line.startsWith(`${name}=`));
  const fetch = valueOf('fetch');
  if (fetch === undefined) return null;
  const features = fetch.slice('fetch='.length).split(' ');
  const format = valueOf('object-format')?.slice('object-format='.length) ?? 'sha1';
  return { format, wantRef: features.includes('ref-in-want') };
}

export function fetchBody({ ref, tip, have }: WantedTip, wantRef: boolean): string {
  const want = wantRef ? `want-ref ${ref}` : `want ${tip}`;
  return commandBody('fetch', hashCapability(tip), [
    'thin-pack',
    'no-progress',
    'ofs-delta',
    want,
    `have ${have}`,
    'done',
  ]);
}

/** null: not a whole answer to `fetchBody`, an error among it, or a section that was not asked for. */
export function parseFetch(body: Buffer, wanted: WantedTip, wantRef: boolean): Fetched | null {
  const packets = readPackets(body);
  if (packets?.at(-1)?.kind !== 'flush') return null;
  const sections = sectionsOf(packets.slice(0, -1));
  const names = sections.map(({ name }) => name).join(' ');
  if (names !== (wantRef ? 'wanted-refs packfile' : 'packfile')) return null;
  const [first = [], last = first] = sections.map((section) => section.packets);
  const tip = wantRef ? wantedTip(first, wanted) : wanted.tip;
  const pack = packOf(last);
  return tip === null || pack === null ? null : { tip, pack };
}

interface Section {
  readonly name: string;
  readonly packets: readonly Packet[];
}

function sectionsOf(packets: readonly Packet[]): readonly Section[] {
  const sections: { name: string; packets: Packet[] }[] = [];
  let isBegin = true;
  for (const one of packets) {
    if (isBegin) sections.push({ name: one.kind === 'data' ? textOf(one.bytes) : '', packets: [] });
    else if (one.kind !== 'delimiter') sections.at(-1)?.packets.push(one);
    isBegin = one.kind === 'delimiter';
  }
  return sections;
}

function wantedTip(packets: readonly Packet[], { ref, tip }: WantedTip): Oid | null {
  const [one, ...others] = packets;
  if (one?.kind !== 'data' || others.length > 0) return null;
  const [id = '', name] = textOf(one.bytes).split(' ');
  return isOid(id) && id.length === tip.length && name === ref ? id : null;
}

/** Of the side bands: the first is the pack, the second progress, the third an error. */
function packOf(packets: readonly Packet[]): Buffer | null {
  const parts: Buffer[] = [];
  for (const one of packets) {
    if (one.kind !== 'data') return null;
    const [band] = one.bytes;
    if (band === 1) parts.push(one.bytes.subarray(1));
    else if (band !== 2) return null;
  }
  const pack = Buffer.concat(parts);
  return pack.length >= PACK_HEADER && pack.toString('latin1', 0, 4) === 'PACK' ? pack : null;
}

const PACK_HEADER = 12;

/** What the header of a pack says that it holds. */
export function objectsIn(pack: Buffer): number {
  return pack.readUInt32BE(8);
}
