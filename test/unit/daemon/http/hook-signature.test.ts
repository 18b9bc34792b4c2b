import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isSigned, signatureOf } from '../../../../src/daemon/http/hook-signature.ts';

const HEX = '757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17';

describe('the signature of a webhook (R18)', () => {
  it("is the one of GitHub's own example", () => {
    const signature = signatureOf({ 'x-hub-signature-256': `sha256=${HEX}` });
    expect(signature?.toString('hex')).toBe(HEX);
    const [body, secret] = [Buffer.from('Hello, World!'), "It's a Secret to Everybody"];
    expect(isSigned(body, Buffer.from(HEX, 'hex'), secret)).toBe(true);
    expect(isSigned(body, Buffer.from(HEX, 'hex'), 'another')).toBe(false);
  });

  it.each(['x-forgejo-signature', 'x-gitea-signature'])('is plain hex in %s', (name) => {
    expect(signatureOf({ [name]: HEX })?.toString('hex')).toBe(HEX);
    expect(signatureOf({ [name]: HEX.toUpperCase() })?.toString('hex')).toBe(HEX);
  });

  it('of another form, or of SHA-1, is none', () => {
    const wrong = ['', 'sha256=', HEX.slice(1), `${HEX}0`, `sha1=${HEX}`, `${HEX} `, `x${HEX.slice(1)}`];
    for (const text of wrong) expect(signatureOf({ 'x-gitea-signature': text })).toBeNull();
    expect(signatureOf({})).toBeNull();
    expect(signatureOf({ 'x-hub-signature': `sha1=${HEX.slice(0, 40)}` })).toBeNull();
  });

  it('is of these very bytes and this very secret', () => {
    const bytes = fc.uint8Array({ maxLength: 200 });
    fc.assert(
      fc.property(bytes, bytes, fc.string({ minLength: 1 }), fc.string({ minLength: 1 }), (body, other, one, two) => {
        const signature = createHmac('sha256', one).update(body).digest();
        expect(isSigned(body, signature, one)).toBe(true);
        expect(isSigned(other, signature, one)).toBe(Buffer.compare(body, other) === 0);
        expect(isSigned(body, signature, `${one}.${two}`)).toBe(false);
        expect(isSigned(body, signature.subarray(1), one)).toBe(false);
      }),
    );
  });
});
