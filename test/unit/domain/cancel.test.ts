import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cancelledId, cancelPath, isCancelPath, parseCancel } from '../../../src/domain/cancel.ts';

const PATH = 'vault/actions/2026/a.cancel.toml';
const parse = (text: string, path = PATH) => parseCancel(new TextEncoder().encode(text), path);
const problems = (text: string, path = PATH) => {
  const parsed = parse(text, path);
  return parsed.ok ? [] : parsed.problems.map(({ code, message, hint }) => ({ code, message, hint }));
};

describe('a cancel request', () => {
  it('says why', () => {
    expect(parse('reason = "the release\\nwas withdrawn"\n')).toEqual({
      ok: true,
      value: { reason: 'the release\nwas withdrawn' },
      warnings: [],
    });
  });

  it('takes no other field, and knows which one was meant', () => {
    const unknown = { code: 'ERR_UNKNOWN_FIELD', message: 'raeson is no field that is known here' };
    expect(problems('reason = "x"\nraeson = "y"\n')).toEqual([{ ...unknown, hint: 'Did you mean reason?' }]);
  });

  it.each([
    ['no reason', '', 'reason is missing'],
    ['a blank one', 'reason = " \\n\\t"', 'reason must not be blank; it is a text of 3 characters'],
    ['no text', 'reason = 1', 'reason must be a text in quotes; it is 1'],
    ['no TOML', 'reason', ''],
    ['too much', `reason = "${'x'.repeat(4096)}"`, 'the file has 4107 bytes, at most 4096 are taken'],
    ['what hides itself', 'reason = "\\u202e"', 'reason holds the character U+202E'],
    ['what hides itself, unescaped', '# \u200b\nreason = "x"', 'the file holds the character U+200B'],
  ])('is refused with %s', (_what, text, message) => {
    expect(problems(text).map((problem) => problem.message)).toEqual([expect.stringContaining(message)]);
  });

  it('is named after its action, in the same folder', () => {
    expect(cancelPath('vault/actions/2026/a.b.toml')).toBe('vault/actions/2026/a.b.cancel.toml');
    expect([PATH, 'a.toml', 'cancel.toml'].map(isCancelPath)).toEqual([true, false, false]);
    expect([PATH, 'd/a.toml', 'd/A b.cancel.toml', '.cancel.toml'].map(cancelledId)).toEqual(['a', null, null, null]);
    expect(problems('reason = "x"', 'd/A.cancel.toml')).toMatchObject([{ code: 'ERR_CANCEL_INVALID' }]);
  });

  it('is read or refused with problems, whatever the bytes are', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: 'binary' }).map((reason) => `reason = ${JSON.stringify(reason)}`),
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          text.map((each) => new TextEncoder().encode(each)),
        ),
        (bytes) => {
          const parsed = parseCancel(bytes, PATH);
          const isWhole = parsed.ok ? /\S/.test(parsed.value.reason) : parsed.problems.length > 0;
          expect(isWhole).toBe(true);
        },
      ),
      { numRuns: 100 },
    );
  });
});
