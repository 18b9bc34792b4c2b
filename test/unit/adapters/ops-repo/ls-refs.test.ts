import { describe, expect, it } from 'vitest';
import { parseRefs, parseTags, requestBody } from '../../../../src/adapters/ops-repo/ls-refs.ts';

const OID = '90f3f669ff7cbd6f0b4e10a9a5f5f79d63e96f2c';
const packet = (text: string): string => `${(text.length + 4).toString(16).padStart(4, '0')}${text}`;
const refs = ['refs/heads/main', 'refs/dispatcher/journal'];

describe('ls-refs of protocol v2', () => {
  it('R17: asks for two refs in at most 160 bytes', () => {
    const body = requestBody(refs);
    expect(body).toBe(
      '0014command=ls-refs\n0001001fref-prefix refs/heads/main\n0027ref-prefix refs/dispatcher/journal\n0000',
    );
    expect(body.length).toBeLessThan(160);
  });

  it('reads the refs that were asked for and no other of a like name', () => {
    const body = Buffer.from(`${packet(`${OID} refs/heads/main\n`)}${packet(`${OID} refs/heads/main-2\n`)}0000`);
    expect(parseRefs(body, refs)).toEqual(new Map([['refs/heads/main', OID]]));
    expect(parseRefs(Buffer.from('0000'), refs)).toEqual(new Map());
  });

  it.each([
    ['nothing', ''],
    ['a page', '<html>welcome</html>'],
    ['an answer without an end', packet(`${OID} refs/heads/main\n`)],
    ['a torn answer', packet(`${OID} refs/heads/main\n`).slice(0, 30)],
    ['bytes after the end', `0000${packet(`${OID} refs/heads/main\n`)}`],
    ['an error packet', `${packet('ERR access denied')}0000`],
    ['a length that leads nowhere', '0004'],
    ['a short id', `${packet('90f3f66 refs/heads/main\n')}0000`],
  ])('takes %s for no answer, so that git is asked', (_, body) => {
    expect(parseRefs(Buffer.from(body), refs)).toBeNull();
  });

  it('asks for tags by their folder, and tells the annotated ones by what they lead to', () => {
    const folder = 'refs/tags/approve/';
    expect(requestBody([folder], ['peel'])).toContain(`0009peel\n0022ref-prefix ${folder}\n0000`);
    const lines = [
      `${OID} ${folder}a peeled:${'1'.repeat(40)}\n`,
      `${OID} ${folder}light\n`,
      `${OID} refs/tags/other peeled:${'1'.repeat(40)}\n`,
    ];
    const body = Buffer.from(`${lines.map(packet).join('')}0000`);
    expect(parseTags(body, folder)).toEqual(new Map([[`${folder}a`, OID]]));
    expect(parseTags(Buffer.from('<html>'), folder)).toBeNull();
  });
});
