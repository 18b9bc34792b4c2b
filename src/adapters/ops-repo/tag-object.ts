import { isOid, type Oid } from '../../domain/ids.ts';
import type { Person } from '../../ports/ops-repo.ts';
import { parsePerson, timeOf } from './commit-object.ts';

/** What a raw tag object says of the commit that it names. */
export interface ParsedTag {
  readonly commit: Oid;
  /** What lies before the signature. */
  readonly message: string;
  readonly tagger: Person;
  readonly taggedAt: string;
}

const LONGEST_MESSAGE = 64 * 1024;

/**
 * Reads a tag object as git does: `object`, `type`, `tag` and `tagger` in this order at its very top. null: it names no
 * commit. Bytes that are no UTF-8 become U+FFFD.
 */
export function parseTag(raw: Uint8Array): ParsedTag | null {
  const text = decode(raw);
  const [object = '', type = '', name = '', tagger = ''] = text.split('\n', 4);
  const commit = object.replace(/^object /, '');
  if (!isOid(commit) || type !== 'type commit' || !name.startsWith('tag ')) return null;
  const who = tagger.startsWith('tagger ') ? tagger.slice('tagger '.length) : '';
  const headEnd = text.indexOf('\n\n');
  const message = headEnd === -1 ? '' : text.slice(headEnd + 2, Math.max(headEnd + 2, signatureAt(text)));
  return { commit, message: message.slice(0, LONGEST_MESSAGE), tagger: parsePerson(who), taggedAt: timeOf(who) };
}

/** Kind of the signature at the end, as git finds it. */
export function tagSignature(raw: Uint8Array): 'ssh' | 'other' | null {
  const text = decode(raw);
  const at = signatureAt(text);
  if (at === text.length) return null;
  return text.startsWith(SSH, at) ? 'ssh' : 'other';
}

const SSH = '-----BEGIN SSH SIGNATURE-----';

/** Git takes the last line that begins like one: all before it is signed. The length of the text: there is none. */
function signatureAt(text: string): number {
  return [...text.matchAll(BEGINNINGS)].at(-1)?.index ?? text.length;
}

const BEGINNINGS = /(?<=^|\n)-----BEGIN (?:SSH SIGNATURE|PGP SIGNATURE|PGP MESSAGE|SIGNED MESSAGE)-----/g;

function decode(raw: Uint8Array): string {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(raw);
}
