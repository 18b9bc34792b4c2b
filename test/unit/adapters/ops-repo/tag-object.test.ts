import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseTag, tagSignature } from '../../../../src/adapters/ops-repo/tag-object.ts';

const COMMIT = '90f3f669ff7cbd6f0b4e10a9a5f5f79d63e96f2c';
const head = (type = 'commit') =>
  `object ${COMMIT}\ntype ${type}\ntag approve/x\ntagger Jane <jane@example.org> 1767225600 +0100\n`;
const SSH = '-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n';
const PGP = '-----BEGIN PGP SIGNATURE-----\n\niQEz\n-----END PGP SIGNATURE-----\n';
const bytes = (text: string) => Buffer.from(text);

describe('a tag object', () => {
  it('says which commit it names, who made it, when, and what it says before its signature', () => {
    expect(parseTag(bytes(`${head()}\nyes\n\nblob: 1\n${SSH}`))).toEqual({
      commit: COMMIT,
      message: 'yes\n\nblob: 1\n',
      tagger: { name: 'Jane', email: 'jane@example.org' },
      taggedAt: '2026-01-01T00:00:00.000Z',
    });
  });

  it.each([
    ['a tree', `${head('tree')}\nyes\n`],
    ['another tag', `${head('tag')}\nyes\n`],
    ['a commit by a short id', `${head().replace(COMMIT, COMMIT.slice(0, 12))}\nyes\n`],
    ['something else first', `type commit\nobject ${COMMIT}\ntag x\n\nyes\n`],
  ])('that names %s is none of a commit', (_, text) => {
    expect(parseTag(bytes(text))).toBeNull();
  });

  it('says only what is signed: all before the last line that begins a signature, and nothing behind it', () => {
    const quoted = `one\n${PGP}two\n`;
    const raw = bytes(`${head()}\n${quoted}${SSH}three\n`);
    expect([parseTag(raw)?.message, tagSignature(raw)]).toEqual([quoted, 'ssh']);
    const other = bytes(`${head()}\none\n${SSH}two\n${PGP}`);
    expect([parseTag(other)?.message, tagSignature(other)]).toEqual([`one\n${SSH}two\n`, 'other']);
  });

  it('has no signature where one is only quoted within a line', () => {
    const raw = bytes(`${head()}\n> ${SSH.split('\n')[0]}\n`);
    expect([parseTag(raw)?.message, tagSignature(raw)]).toEqual([`> ${SSH.split('\n')[0]}\n`, null]);
  });

  it('is cut where it says more than 64 KiB', () => {
    expect(parseTag(bytes(`${head()}\n${'x'.repeat(100_000)}`))?.message).toHaveLength(65_536);
  });

  it('may hold any bytes', () => {
    const parts = fc.array(fc.constantFrom(head(), '\n', '\n\n', SSH, PGP, 'blob: 1', '\0', 'tagger <'));
    fc.assert(
      fc.property(parts, fc.uint8Array(), (texts, rest) => {
        const raw = Buffer.concat([bytes(texts.join('')), rest]);
        const message = parseTag(raw)?.message ?? '';
        expect(raw.toString('utf8')).toContain(message);
        expect(['ssh', 'other', null]).toContain(tagSignature(raw));
      }),
    );
  });
});
