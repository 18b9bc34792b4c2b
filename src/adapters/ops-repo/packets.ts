/** The framing of git's wire protocol: packets with four hex digits of length before each, and markers between them. */

export type Packet =
  | { readonly kind: 'data'; readonly bytes: Buffer }
  /** The end of a message, and what parts its sections. */
  | { readonly kind: 'flush' | 'delimiter' };

/** A line as it is sent. */
function packet(text: string): string {
  return `${(Buffer.byteLength(text) + 4).toString(16).padStart(4, '0')}${text}`;
}

/** A command of protocol v2 with its capabilities (before the delimiter) and its arguments. */
export function commandBody(name: string, capabilities: readonly string[], args: readonly string[]): string {
  const lines = (some: readonly string[]) => some.map((line) => packet(`${line}\n`)).join('');
  return `${lines([`command=${name}`, ...capabilities])}0001${lines(args)}0000`;
}

/** All packets of a body; null: it is torn, or no body of this kind. */
export function readPackets(body: Buffer): readonly Packet[] | null {
  const packets: Packet[] = [];
  for (let at = 0; at < body.length; ) {
    const head = body.toString('latin1', at, at + 4);
    const length = /^[0-9a-f]{4}$/.test(head) ? Number.parseInt(head, 16) : 3;
    const marker = MARKERS.get(length);
    if (marker !== undefined) packets.push({ kind: marker });
    else if (length <= 4 || at + length > body.length) return null;
    else packets.push({ kind: 'data', bytes: body.subarray(at + 4, at + length) });
    at += Math.max(length, 4);
  }
  return packets;
}

const MARKERS: ReadonlyMap<number, 'flush' | 'delimiter'> = new Map([
  [0, 'flush'],
  [1, 'delimiter'],
]);

/** The text of a packet without its line feed. */
export function textOf(bytes: Buffer): string {
  return bytes.toString('utf8').trimEnd();
}
