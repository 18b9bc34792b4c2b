import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseCommit } from '../../../../src/adapters/ops-repo/commit-object.ts';
import type { Oid } from '../../../../src/domain/ids.ts';

const ID = 'a'.repeat(40) as Oid;
const parse = (text: string) => parseCommit(ID, Buffer.from(text));
const who = 'Anna A <anna@example.org> 1767225600 +0100';
const head = `tree ${'1'.repeat(40)}\n`;

describe('a commit object', () => {
  it('tells its people, time, parents and the first paragraph of its message', () => {
    const parents = ['2', '3'].map((digit) => digit.repeat(40));
    const text = `${head}parent ${parents[0]}\nparent ${parents[1]}\nauthor ${who}\ncommitter Ben <b@x> 1767225601 -0500\n\none\ntwo\n\nbody\n`;
    expect(parse(text)).toEqual({
      oid: ID,
      parents,
      author: { name: 'Anna A', email: 'anna@example.org' },
      committer: { name: 'Ben', email: 'b@x' },
      coAuthors: [],
      committedAt: '2026-01-01T00:00:01.000Z',
      subject: 'one two',
      signature: null,
    });
  });

  it('names every co-author, however the line is written', () => {
    const message =
      'x\n\nCo-authored-by: A <a@x>\nCO-AUTHORED-BY : B <b@x>\n  co-authored-by:C <c@x>\nnot Co-authored-by: D <d@x>\n';
    const { coAuthors } = parse(`${head}author ${who}\ncommitter ${who}\n\n${message}`);
    expect(coAuthors.map(({ email }) => email)).toEqual(['a@x', 'b@x', 'c@x']);
  });

  it('takes the address in the first pair of angle brackets, as git does', () => {
    const { author } = parse(`${head}author Eve <eve@x> <admin@x> 1 +0000\ncommitter ${who}\n\nx`);
    expect(author.email).toBe('eve@x');
  });

  it.each([
    ['gpgsig -----BEGIN SSH SIGNATURE-----\n AAAA\n -----END SSH SIGNATURE-----', 'ssh'],
    ['gpgsig-sha256 -----BEGIN SSH SIGNATURE-----\n AAAA', 'ssh'],
    ['gpgsig -----BEGIN PGP SIGNATURE-----\n AAAA', 'other'],
    ['encoding ISO-8859-1', null],
  ])('with the header %j has a signature of kind %s', (header, signature) => {
    expect(parse(`${head}author ${who}\ncommitter ${who}\n${header}\n\nx`).signature).toBe(signature);
  });

  it('knows no signature that stands in the message', () => {
    const text = `${head}author ${who}\ncommitter ${who}\n\ngpgsig -----BEGIN SSH SIGNATURE-----\n`;
    expect(parse(text).signature).toBeNull();
  });

  it('takes no later line for a parent, an author or a committer', () => {
    const fakes = `parent ${'9'.repeat(40)}\nauthor Admin <admin@x> 1 +0000\ncommitter Admin <admin@x> 1 +0000`;
    const commit = parse(`${head}author ${who}\ncommitter ${who}\n${fakes}\n\n${fakes}\n`);
    expect(commit.parents).toEqual([]);
    expect([commit.author.email, commit.committer.email]).toEqual(['anna@example.org', 'anna@example.org']);
  });

  it('of a time that can not be read is as old as can be', () => {
    expect(parse(`${head}author ${who}\ncommitter A <a@x> soon\n\nx`).committedAt).toBe('1970-01-01T00:00:00.000Z');
    expect(parse(`${head}author ${who}\ncommitter A <a@x> 999999999999999 +0\n\nx`).committedAt).toBe(
      '9999-12-31T23:59:59.000Z',
    );
  });

  it('is never an error, whatever its bytes are', () => {
    const line = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('', head, `author ${who}`, 'author', 'parent x', 'gpgsig '),
    );
    fc.assert(
      fc.property(fc.array(line), (lines) => {
        const commit = parse(lines.join('\n'));
        expect(new Date(commit.committedAt).toISOString()).toBe(commit.committedAt);
        expect(commit.subject).not.toContain('\n');
      }),
    );
  });
});
