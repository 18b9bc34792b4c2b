import { gunzipSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodePayload, encodePayload, type Payload, payloadSchema } from '../../../src/domain/payload.ts';

const payload: Payload = {
  v: 1,
  id: 'release-v120',
  attempt: 1,
  token: '1'.repeat(32),
  action: Buffer.from('id = "x"\n').toString('base64'),
  formula: Buffer.from('name = "ä"\n').toString('base64'),
  blobs: { action: 'a'.repeat(40), formula: 'b'.repeat(64) },
  access: {
    kind: 'vault',
    address: 'http://127.0.0.1:8200',
    namespace: '',
    wrapping_token: 'hvs.very-secret-wrapping-token',
    creation_path: 'auth/token/create/edge-run',
    wrap_expires_at: '2026-03-31T12:00:00Z',
    secrets: { TOKEN: { path: 'edge/runner/TOKEN', field: 'value' } },
  },
  inputs: { version: '1.2.0', count: 3, dry: false },
  agent: [],
  limits: { log_bytes: 1, artifact_bytes: 0 },
  timeout_seconds: 60,
  issued_at: '2026-03-31T12:00:00.123Z',
  trailer_key: 'c'.repeat(64),
};

describe('a payload', () => {
  it('comes out as it went in', () => {
    expect(decodePayload(encodePayload(payload))).toEqual(payload);
    expect(JSON.parse(gunzipSync(encodePayload(payload)).toString('utf8'))).toEqual(payload);
  });

  it('comes out as it went in, whatever its inputs, secrets and bytes are', () => {
    const name = fc.string({ minLength: 1 }).filter((text) => text !== '__proto__');
    const inputs = fc.dictionary(name, fc.oneof(fc.string(), fc.integer(), fc.boolean()));
    const secrets = fc.dictionary(name, fc.record({ path: fc.string({ minLength: 1 }), field: fc.string() }));
    fc.assert(
      fc.property(inputs, secrets, fc.uint8Array({ maxLength: 300 }), (someInputs, someSecrets, bytes) => {
        const access = { ...payload.access, secrets: { ...someSecrets } };
        const action = Buffer.from(bytes).toString('base64');
        const sent = { ...payload, inputs: { ...someInputs }, access, action };
        expect(decodePayload(encodePayload(sent))).toEqual(sent);
      }),
    );
  });

  it.each([
    ['no gzip', Buffer.from(JSON.stringify(payload))],
    ['a cut one', encodePayload(payload).subarray(0, 80)],
    ['no JSON', gzipSync(`${JSON.stringify(payload)}}`)],
    ['nothing', Buffer.alloc(0)],
    ['more than a mebibyte', gzipSync(Buffer.alloc((1 << 20) + 1, 0x20))],
  ])('is refused without a quote when it is %s', (_, bytes) => {
    const error = refusal(bytes);
    expect(error.message).toBe('the payload is no gzipped JSON');
    expect(error.cause).toBeUndefined();
  });

  it.each([
    [{ ...payload, v: 2 }, 'v'],
    [{ ...payload, token: payload.access.wrapping_token }, 'token'],
    [{ ...payload, trailer_key: 'short' }, 'trailer_key'],
    [{ ...payload, access: { ...payload.access, wrapping_token: '' } }, 'access.wrapping_token'],
    [{ ...payload, [payload.access.wrapping_token]: 1 }, '(root)'],
    [[payload.access.wrapping_token], '(root)'],
    [{ ...payload, action: 'no base64!', issued_at: 7 }, 'action, issued_at'],
  ])('is refused by naming the place and never the content: %#', (content, places) => {
    const { message } = refusal(gzipSync(JSON.stringify(content)));
    expect(message).toBe(`the payload does not fit its schema at: ${places}`);
    expect(message).not.toContain('secret-wrapping');
  });

  it('never throws anything but a plain refusal, whatever the bytes are', () => {
    const json = fc.json().map((text) => gzipSync(text));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), json), (bytes) => refusal(bytes).message.startsWith('the payload ')),
    );
  });

  it('has no room for fields that nobody knows', () => {
    expect(payloadSchema.safeParse({ ...payload, more: 1 }).success).toBe(false);
  });
});

function refusal(bytes: Uint8Array): Error {
  try {
    decodePayload(bytes);
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new Error('it was taken');
}
