import { isOid, type Oid } from '../../domain/ids.ts';
import type { CommitInfo, Person } from '../../ports/ops-repo.ts';

/** What a raw commit object says, and what the log needs of it. */
export interface ParsedCommit extends CommitInfo {
  /** It carries a signature of some kind. */
  readonly signature: 'ssh' | 'other' | null;
}

/**
 * Reads a commit object as git does: `tree`, `parent`s, `author` and `committer` in this order at its very top; what
 * comes later or in the message under such a name is no header. Whoever wrote the commit chose every byte, so nothing is
 * an error: what can't be read is empty. Bytes that are no UTF-8 become U+FFFD.
 */
export function parseCommit(oid: Oid, raw: Uint8Array): ParsedCommit {
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(raw);
  const end = text.indexOf('\n\n');
  const headers = (end === -1 ? text : text.slice(0, end)).split('\n');
  const message = end === -1 ? '' : text.slice(end + 2);
  const isParent = (line: string): boolean => line.startsWith('parent ');
  const firstOther = headers.findIndex((line, index) => index > 0 && !isParent(line));
  const parents = headers
    .slice(1, firstOther === -1 ? undefined : firstOther)
    .map((line) => line.slice('parent '.length));
  const [author = '', committer = ''] = firstOther === -1 ? [] : headers.slice(firstOther);
  return {
    oid,
    parents: parents.filter(isOid),
    author: parsePerson(valueOf(author, 'author ')),
    committer: parsePerson(valueOf(committer, 'committer ')),
    coAuthors: coAuthorsOf(message),
    committedAt: timeOf(valueOf(committer, 'committer ')),
    subject: subjectOf(message),
    signature: signatureOf(headers),
  };
}

function valueOf(line: string, name: string): string {
  return line.startsWith(name) ? line.slice(name.length) : '';
}

/** `Name <address> 1767225600 +0100`, as authors, committers and taggers are named: the address is in the first pair of angle brackets, as git has it. */
export function parsePerson(text: string): Person {
  const open = text.indexOf('<');
  const close = text.indexOf('>', open + 1);
  if (open === -1 || close === -1) return { name: text.trim(), email: '' };
  return { name: text.slice(0, open).trim(), email: text.slice(open + 1, close).trim() };
}

/** End of the year 9999: what lies beyond has no ISO 8601 form of four digits. */
export const LATEST_SECOND = 253_402_300_799;

/** Of a time that can't be read, the beginning of time: it makes nothing look fresh. */
export function timeOf(identity: string): string {
  const seconds = Number(/>\s*([0-9]{1,15})(?:\s|$)/.exec(identity.slice(identity.lastIndexOf('>')))?.[1] ?? 0);
  return new Date(Math.min(seconds, LATEST_SECOND) * 1000).toISOString();
}

function coAuthorsOf(message: string): Person[] {
  return [...message.matchAll(/^[ \t]*co-authored-by[ \t]*:[ \t]*(.*)$/gim)].map(([, person = '']) =>
    parsePerson(person),
  );
}

/** The first paragraph on one line, as `git log` shows it. */
function subjectOf(message: string): string {
  const [paragraph = ''] = message.replace(/^\s*\n/, '').split(/\n[ \t]*\n/);
  return paragraph.trim().replaceAll(/\s*\n\s*/g, ' ');
}

function signatureOf(headers: readonly string[]): 'ssh' | 'other' | null {
  const header = headers.find((line) => /^gpgsig(?:-sha256)? /.test(line));
  if (header === undefined) return null;
  return header.endsWith('-----BEGIN SSH SIGNATURE-----') ? 'ssh' : 'other';
}
