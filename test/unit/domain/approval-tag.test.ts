import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseTagText, tagCommand, tagText } from '../../../src/domain/approval-tag.ts';
import { oid } from '../../../src/domain/ids.ts';

const REPO = oid('a'.repeat(40));
const BLOB = oid('0123456789'.repeat(4));
const PATH = 'vault/actions/release-1.toml';
const text = tagText(REPO, PATH, BLOB);
const approval = { repo: REPO, path: PATH, blob: BLOB };

const anOid = fc.stringMatching(/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/).map(oid);
const aPath = fc.stringMatching(/^[^\n\r\t ](?:[^\n\r]{0,60}[^\n\r\t ])?$/u);
const otherLine = fc
  .string({ unit: 'binary' })
  .filter((line) => !/\n/.test(line) && !/^(?:edge-dispatcher-approval|repo|path|blob):/.test(line));

describe('the text of an approval tag', () => {
  it('reads back as what it was made of', () => {
    fc.assert(
      fc.property(anOid, aPath, anOid, (repo, path, blob) => {
        expect(parseTagText(tagText(repo, path, blob))).toEqual({ repo, path, blob });
      }),
    );
  });

  it('may have its lines in any order among others', () => {
    const lines = fc.shuffledSubarray(text.trimEnd().split('\n'), { minLength: 4 });
    fc.assert(
      fc.property(lines, fc.array(otherLine), otherLine, (own, others, last) => {
        const mixed = own.flatMap((line, index) => [...(others[index] === undefined ? [] : [others[index]]), line]);
        expect(parseTagText([...mixed, last].join('\n'))).toEqual(approval);
      }),
    );
  });

  it('proves nothing with a key that is missing or there twice', () => {
    const lines = text.trimEnd().split('\n');
    for (const line of lines) {
      expect(parseTagText(lines.filter((each) => each !== line).join('\n'))).toBeNull();
      expect(parseTagText([...lines, line].join('\n'))).toBeNull();
      expect(parseTagText([`${line.split(':')[0]}: other`, ...lines].join('\n'))).toBeNull();
    }
  });

  it.each([
    ['another version', text.replace('approval: 1', 'approval: 2')],
    ['a short id', text.replace(BLOB, BLOB.slice(0, 12))],
    ['an id in capitals', text.replace(REPO, REPO.toUpperCase())],
    ['no path', text.replace(PATH, '')],
    ['keys in capitals', text.replace('blob:', 'Blob:')],
    ['indented lines', text.replaceAll(/^/gm, '  ')],
    ['quoted lines', text.replaceAll(/^/gm, '> ')],
    ['more than a person writes', `${text}${'x'.repeat(33_000)}`],
  ])('with %s proves nothing', (_, changed) => {
    expect(parseTagText(changed)).toBeNull();
  });

  it('may be written with line ends of another system', () => {
    expect(parseTagText(text.replaceAll('\n', '\r\n'))).toEqual(approval);
  });

  it('is never read as more than it says', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (any) => {
        expect(parseTagText(any)).toBeNull();
      }),
    );
  });
});

describe('the command for an approver', () => {
  /** What the shell makes of it: one argument a line, both commands echoed. */
  function shellWords(command: string): string[] {
    const script = `git() { printf '%s\\n' "$@"; }; USER=jane; ${command}`;
    return execFileSync('/bin/sh', ['-c', script], { encoding: 'utf8', env: { PATH: '' } })
      .trimEnd()
      .split('\n');
  }

  it('signs exactly this text and pushes the tag', () => {
    const commit = oid('c'.repeat(40));
    const words = shellWords(tagCommand(approval, commit));
    const name = 'approve/jane-release-1-012345678901';
    expect(words.slice(0, 6)).toEqual(['-c', 'gpg.format=ssh', 'tag', '-s', name, commit]);
    expect(parseTagText(words.filter((word) => word !== '-m').join('\n\n'))).toEqual(approval);
    expect(words.slice(-3)).toEqual(['push', 'origin', `refs/tags/${name}`]);
  });

  it('is one word a part, whatever the file is called', () => {
    const path = `vault/formulas/it's $(here) "now".toml`;
    const words = shellWords(tagCommand({ ...approval, path }, REPO));
    expect(words).toContain(`path: ${path}`);
    expect(words.at(-1)).toBe('refs/tags/approve/jane-it-s-here-now--012345678901');
  });
});
