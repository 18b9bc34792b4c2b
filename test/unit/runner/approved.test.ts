import { describe, expect, it } from 'vitest';
import { blobOid } from '../../../src/domain/ids.ts';
import type { Payload } from '../../../src/domain/payload.ts';
import { digestOf, readApproved } from '../../../src/runner/approved.ts';
import type { Redemption } from '../../../src/runner/redemption.ts';
import { readSecrets } from '../../../src/runner/secrets.ts';

const ACTION = `id = "try-1"
formula = "try"
context = "why"
secrets = ["B_TOKEN", "A_TOKEN"]
inputs = { version = "1" }
`;
const FORMULA = `name = "try"
description = "d"
command = ["true"]
secrets = ["A_TOKEN", "B_TOKEN"]
inputs.version.type = "string"
inputs.count = { type = "integer", default = 3 }
`;
const TOKEN = 'a'.repeat(32);
const OTHER = blobOid(Buffer.from('something else'));

interface Change {
  readonly action?: string;
  readonly formula?: string;
  readonly payload?: Partial<Payload>;
  readonly redemption?: Partial<Redemption>;
}

describe('what was approved', () => {
  it('is read from the bytes of the payload when all agree, in either hash of git', () => {
    expect(approved({}).action.secrets).toEqual(['B_TOKEN', 'A_TOKEN']);
    expect(approved({}).formula.command).toEqual(['true']);
    const [action, formula] = [Buffer.from(ACTION), Buffer.from(FORMULA)];
    const blobs = { action: blobOid(action, 'sha256'), formula: blobOid(formula, 'sha256') };
    expect(approved({ payload: { blobs }, redemption: { blobs } }).action.id).toBe('try-1');
  });

  const later = { action: `${ACTION}# later\n` };
  const original = { action: blobOid(Buffer.from(ACTION)), formula: blobOid(Buffer.from(FORMULA)) };
  const field = { path: 'x', field: '' };
  const access = (names: readonly string[]) => ({
    payload: { access: { ...payloadOf({}).access, secrets: Object.fromEntries(names.map((name) => [name, field])) } },
  });

  it.each<[string, string, Change]>([
    ['action bytes', 'of the blobs', { ...later, payload: { blobs: original } }],
    ['formula bytes', 'of the blobs', { formula: `${FORMULA}#`, payload: { blobs: original } }],
    ['bytes with their own ids', 'for other blobs', { ...later, redemption: { blobs: original } }],
    ['a formula in the wrapper', 'for other blobs', { redemption: { blobs: { ...original, formula: OTHER } } }],
    ['an attempt in the wrapper', 'for another attempt', { redemption: { attempt: 'f'.repeat(32) } }],
    ['a secret less in the wrapper', 'secrets granted', { redemption: { names: ['A_TOKEN'] } }],
    ['a secret more in the wrapper', 'secrets granted', { redemption: { names: ['A_TOKEN', 'B_TOKEN', 'C'] } }],
    ['another secret in the wrapper', 'secrets granted', { redemption: { names: ['A_TOKEN', 'C_TOKEN'] } }],
    ['a secret less in the payload', 'secrets granted', access(['A_TOKEN'])],
    ['a secret more in the payload', 'secrets granted', access(['A_TOKEN', 'B_TOKEN', 'C_TOKEN'])],
    ['an input', 'inputs in the payload', { payload: { inputs: { version: '2', count: 3 } } }],
    ['an input of another type', 'inputs in the payload', { payload: { inputs: { version: '1', count: '3' } } }],
    ['an input less', 'inputs in the payload', { payload: { inputs: { version: '1' } } }],
    ['an id', 'valid action of its name', { payload: { id: 'another' } }],
    ['a formula name', 'valid formula of its name', { formula: FORMULA.replace('"try"', '"other"') }],
    ['an action that is none', 'valid action', { action: 'no toml' }],
  ])('is refused where it differs by %s (E6)', (_, message, change) => {
    expect(() => approved(change)).toThrow(expect.objectContaining({ reason: 'ERR_DIGEST' }));
    expect(() => approved(change)).toThrow(message);
  });
});

describe('secrets', () => {
  it('are those that the action names, in its order, without one final newline (S1.4)', async () => {
    expect(await secrets({ A_TOKEN: 'first-value\n\n', B_TOKEN: '  second-value' })).toEqual([
      { name: 'B_TOKEN', value: '  second-value' },
      { name: 'A_TOKEN', value: 'first-value\n' },
    ]);
  });

  it.each([
    ['ERR_SECRET_EMPTY', 'A_TOKEN is empty in the store', ''],
    ['ERR_SECRET_EMPTY', 'A_TOKEN is empty in the store', '\n'],
    ['ERR_SECRET_UNMASKABLE', 'A_TOKEN is blank', '         '],
    ['ERR_SECRET_UNMASKABLE', 'A_TOKEN is shorter than 8 bytes', 'hunter2\n'],
    ['ERR_SECRET_UNMASKABLE', 'A_TOKEN is a common word or value', 'password123'],
    ['ERR_SECRET_UNMASKABLE', 'A_TOKEN holds a NUL, no variable can', 'with\0a NUL inside'],
    ['ERR_SECRET_UNMASKABLE', 'A_TOKEN is not UTF-8 text', Buffer.from([0xff, 0xfe, 1, 2, 3, 4, 5, 6, 7])],
  ])('end the run with %s: %s (S1.4, R13)', async (reason, message, value) => {
    const reading = secrets({ A_TOKEN: value, B_TOKEN: 'a-good-value' });
    await expect(reading).rejects.toThrow(expect.objectContaining({ reason, message }));
  });

  it('that are short may be where the formula says unmasked, empty and NUL may not (R13)', async () => {
    const formula = `${FORMULA.replace('inputs.version', 'unmasked = true\ninputs.version')}`;
    expect(await secrets({ A_TOKEN: 'abc', B_TOKEN: 'x' }, formula)).toHaveLength(2);
    await expect(secrets({ A_TOKEN: '', B_TOKEN: 'x' }, formula)).rejects.toThrow('is empty');
    await expect(secrets({ A_TOKEN: 'a\0b', B_TOKEN: 'x' }, formula)).rejects.toThrow('NUL');
  });
});

function payloadOf({ action = ACTION, formula = FORMULA, payload = {} }: Change): Payload {
  const secret = { path: 'x', field: '' };
  return {
    v: 1,
    id: 'try-1',
    attempt: 1,
    token: TOKEN,
    action: Buffer.from(action).toString('base64'),
    formula: Buffer.from(formula).toString('base64'),
    blobs: { action: blobOid(Buffer.from(action)), formula: blobOid(Buffer.from(formula)) },
    access: {
      kind: 'file',
      address: '/x',
      namespace: '',
      wrapping_token: 'x',
      creation_path: 'x',
      wrap_expires_at: '2026-11-21T00:00:00Z',
      secrets: { A_TOKEN: secret, B_TOKEN: secret },
    },
    inputs: { version: '1', count: 3 },
    agent: [],
    limits: { log_bytes: 1, artifact_bytes: 1 },
    timeout_seconds: 1,
    issued_at: '2026-11-21T00:00:00Z',
    trailer_key: '0'.repeat(64),
    ...payload,
  };
}

function redemptionOf(payload: Payload, change: Partial<Redemption> = {}): Redemption {
  const read = () => Promise.reject(new Error('not asked for'));
  const close = () => Promise.resolve();
  return { attempt: TOKEN, blobs: payload.blobs, names: ['A_TOKEN', 'B_TOKEN'], read, close, ...change };
}

function approved(change: Change): ReturnType<typeof readApproved> {
  const payload = payloadOf(change);
  return readApproved(payload, digestOf(payload), redemptionOf(payload, change.redemption));
}

function secrets(values: Record<string, string | Uint8Array>, formula = FORMULA): ReturnType<typeof readSecrets> {
  const read = (name: string) => Promise.resolve(Buffer.from(values[name] ?? 'unexpected'));
  const payload = payloadOf({ formula });
  return readSecrets(approved({ formula }), redemptionOf(payload, { read }));
}
