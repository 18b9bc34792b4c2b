import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fetchBody, objectsIn, parseFetch, parseOffer } from '../../../../src/adapters/ops-repo/quick-fetch.ts';
import { oid } from '../../../../src/domain/ids.ts';

const TIP = oid('bc395b73eb8530b5817169b9a6f631e43a6a2728');
const NEWER = oid('90f3f669ff7cbd6f0b4e10a9a5f5f79d63e96f2c');
const wanted = { ref: 'refs/heads/main', tip: TIP, have: oid('1'.repeat(40)) };
const packet = (text: string): string => `${(text.length + 4).toString(16).padStart(4, '0')}${text}`;
const body = (text: string): Buffer => Buffer.from(text, 'latin1');

/** As git's own server answered when nothing was new. */
const EMPTY_PACK = 'PACK\0\0\0\x02\0\0\0\0\x02\x9d\x08\x82;\xd8\xa8\xea\xb5\x10\xadj\xc7\\\x82<\xfd>\xd3\x1e';
const PACKFILE = `${packet('packfile\n')}${packet(`\x01${EMPTY_PACK.slice(0, 16)}`)}${packet(`\x01${EMPTY_PACK.slice(16)}`)}`;
const RECORDED = `0010wanted-refs\n${packet(`${NEWER} refs/heads/main\n`)}0001${PACKFILE}${packet('\x01')}0000`;

describe('what a server says that it can do (R17)', () => {
  const recorded =
    '000eversion 2\n0015agent=git/2.39.5\n0013ls-refs=unborn\n002cfetch=shallow wait-for-done ref-in-want\n' +
    '0012server-option\n0017object-format=sha1\n0010object-info\n0000';

  it('is read, with and without the line that older servers put before it', () => {
    expect(parseOffer(body(recorded))).toEqual({ format: 'sha1', wantRef: true });
    expect(parseOffer(body(`001e# service=git-upload-pack\n0000${recorded}`))).toEqual({
      format: 'sha1',
      wantRef: true,
    });
    expect(parseOffer(body('000eversion 2\n000afetch\n0000'))).toEqual({ format: 'sha1', wantRef: false });
    expect(parseOffer(body(recorded.replace('0017object-format=sha1', '0019object-format=sha256')))?.format).toBe(
      'sha256',
    );
  });

  it.each([
    ['an older protocol', `001e# service=git-upload-pack\n0000${packet(`${TIP} HEAD\0side-band-64k\n`)}0000`],
    ['no fetch', '000eversion 2\n0013ls-refs=unborn\n0000'],
    ['a page', '<html>welcome</html>'],
    ['nothing', ''],
    ['no end', recorded.slice(0, -4)],
  ])('is nothing of use with %s', (_, text) => {
    expect(parseOffer(body(text))).toBeNull();
  });
});

describe('a fetch in one request (R17)', () => {
  it('asks for the ref by its name where it may, and says what is there already and that this is all', () => {
    expect(fetchBody(wanted, true)).toBe(
      '0012command=fetch\n0001000ethin-pack\n0010no-progress\n000eofs-delta\n' +
        `001dwant-ref refs/heads/main\n${packet(`have ${wanted.have}\n`)}0009done\n0000`,
    );
    expect(fetchBody(wanted, false)).toContain(packet(`want ${TIP}\n`));
    expect(fetchBody({ ...wanted, tip: oid('a'.repeat(64)) }, false)).toContain('object-format=sha256');
  });

  it('gets the pack, and where the ref stands now: newer than the poll, if the server tells', () => {
    const pack = body(EMPTY_PACK);
    expect(parseFetch(body(RECORDED), wanted, true)).toEqual({ tip: NEWER, pack });
    expect(parseFetch(body(`${PACKFILE}${packet('\x02counting')}0000`), wanted, false)).toEqual({ tip: TIP, pack });
    expect(objectsIn(pack)).toBe(0);
  });

  it.each([
    ['an error in place of the answer', packet('ERR unknown ref refs/heads/main')],
    ['an error in the midst of the pack', `${PACKFILE}${packet('\x03out of memory')}0000`],
    ['a section that was not asked for', `${packet('shallow-info\n')}${packet(`shallow ${TIP}\n`)}0001${PACKFILE}0000`],
    ['an acknowledgement only', `${packet('acknowledgments\n')}${packet('NAK\n')}0000`],
    ['no pack among the packets', `${packet('packfile\n')}${packet('\x01KCAP0000000000')}0000`],
    ['a pack without an end', PACKFILE],
    ['nothing', ''],
  ])('takes %s for no answer', (_, text) => {
    expect(parseFetch(body(text), wanted, false)).toBeNull();
  });

  it.each([
    ['another ref', RECORDED.replace('heads/main', 'heads/mean')],
    [
      'an id of another hash',
      RECORDED.replace(packet(`${NEWER} refs/heads/main\n`), packet(`${'a'.repeat(64)} refs/heads/main\n`)),
    ],
    ['no ref at all', `${PACKFILE}0000`],
  ])('takes an answer for %s for none', (_, text) => {
    expect(parseFetch(body(text), wanted, true)).toBeNull();
  });

  it('never takes a torn or an altered frame for an answer with another pack, and never throws', () => {
    fc.assert(
      fc.property(fc.nat(RECORDED.length - 1), fc.nat(255), (at, byte) => {
        const bytes = body(RECORDED);
        expect(parseFetch(bytes.subarray(0, at), wanted, true)).toBeNull();
        bytes.writeUInt8(byte, at);
        const length = parseFetch(bytes, wanted, true)?.pack.length ?? 0;
        expect(length).toBeLessThanOrEqual(EMPTY_PACK.length);
        expect(() => parseOffer(bytes)).not.toThrow();
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(() => parseFetch(Buffer.from(bytes), wanted, true)).not.toThrow();
      }),
    );
  });
});
