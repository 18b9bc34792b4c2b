import { describe, expect, it } from 'vitest';
import { blobOid } from '../../../src/domain/ids.ts';
import type { Payload } from '../../../src/domain/payload.ts';
import { digestOf, readApproved } from '../../../src/runner/approved.ts';
import type { Redemption } from '../../../src/runner/redemption.ts';

/** Nothing that the runner could read. */
const PROJECT = Buffer.from([0xff, 0, 0x5b]);
const FORMULA = `name = "reproduce-2"
description = "d"
command = ["true"]
unattended = true
secrets = ["A_TOKEN", "B_TOKEN"]
mounts = ["project-repos"]
tools = ["git"]
inputs.depth = { type = "integer", default = 3 }
inputs.note.type = "string"
`;
const WORK = { repo: 'owner/code', issue: 12, url: 'https://forge.example/owner/code/issues/12', project: 'p.toml' };
/** An action that would be taken for what it says, if the folder of the id did not count. */
const ACTION = `id = "reproduce-2-12-1"
formula = "reproduce-2"
context = "why"
secrets = ["A_TOKEN", "B_TOKEN"]
`;

interface Change {
  readonly project?: Uint8Array;
  readonly formula?: string;
  readonly payload?: Partial<Payload>;
  readonly redemption?: Partial<Redemption>;
}

describe('a sidecar', () => {
  it('asks for all that its formula lists, with the defaults of its inputs, whatever the project file holds (S2.1)', () => {
    const { action, formula } = approved({});
    expect(formula.name).toBe('reproduce-2');
    expect(action).toMatchObject({
      id: 'sidecar/reproduce-2-12-1',
      formula: 'reproduce-2',
      context: 'issue #12 of owner/code',
      secrets: ['A_TOKEN', 'B_TOKEN'],
      mounts: ['project-repos'],
      tools: ['git'],
    });
  });

  it.each<[string, string, Change]>([
    ['an id of another issue', 'issue in the payload', { payload: { id: 'sidecar/reproduce-2-13-1' } }],
    ['another issue', 'issue in the payload', { payload: { sidecar: { ...WORK, issue: 1 } } }],
    ['an id of another formula', 'valid formula of its name', { payload: { id: 'sidecar/triage-12-1' } }],
    ['an id of an action', 'not that of a sidecar', { payload: { id: 'reproduce-2-12-1' } }],
    ['a formula that needs approval', 'may not run', { formula: FORMULA.replace('unattended = true', '') }],
    ['bytes of the project', 'for other blobs', { redemption: { blobs: blobsOf({ project: Buffer.from('x') }) } }],
    ['an attempt', 'for another attempt', { redemption: { attempt: 'f'.repeat(32) } }],
    ['a secret less', 'secrets granted', { redemption: { names: ['A_TOKEN'] } }],
    ['a secret more', 'secrets granted', { redemption: { names: ['A_TOKEN', 'B_TOKEN', 'C_TOKEN'] } }],
    ['an input', 'inputs in the payload', { payload: { inputs: { depth: 4 } } }],
    ['an input more', 'inputs in the payload', { payload: { inputs: { depth: 3, note: 'of an issue' } } }],
    ['an input that somebody would have to give', 'inputs', { formula: `${FORMULA}inputs.note.required = true\n` }],
  ])('is refused where it differs by %s (E6)', (_, message, change) => {
    expect(() => approved(change)).toThrow(expect.objectContaining({ reason: 'ERR_DIGEST' }));
    expect(() => approved(change)).toThrow(message);
  });
});

describe('an action', () => {
  it('is never read under the id of a sidecar (E6)', () => {
    const action = { project: Buffer.from(ACTION), payload: { inputs: { depth: 3 } } };
    expect(withoutWork({ ...action, id: 'reproduce-2-12-1' }).action.context).toBe('why');
    const asSidecar = () => withoutWork({ ...action, id: 'sidecar/reproduce-2-12-1' });
    expect(asSidecar).toThrow(expect.objectContaining({ reason: 'ERR_DIGEST' }));
    expect(asSidecar).toThrow('not that of an action');
  });
});

function blobsOf({ project = PROJECT, formula = FORMULA }: Change): Payload['blobs'] {
  return { action: blobOid(project), formula: blobOid(Buffer.from(formula)) };
}

function payloadOf(change: Change): Payload {
  const { project = PROJECT, formula = FORMULA, payload = {} } = change;
  const secret = { path: 'x', field: '' };
  return {
    v: 1,
    id: 'sidecar/reproduce-2-12-1',
    attempt: 1,
    token: 'a'.repeat(32),
    action: Buffer.from(project).toString('base64'),
    formula: Buffer.from(formula).toString('base64'),
    blobs: blobsOf(change),
    access: {
      kind: 'file',
      address: '/x',
      namespace: '',
      wrapping_token: 'x',
      creation_path: 'x',
      wrap_expires_at: '2026-11-21T00:00:00Z',
      secrets: { A_TOKEN: secret, B_TOKEN: secret },
    },
    inputs: { depth: 3 },
    sidecar: WORK,
    agent: [],
    limits: { log_bytes: 1, artifact_bytes: 1 },
    timeout_seconds: 1,
    issued_at: '2026-11-21T00:00:00Z',
    trailer_key: '0'.repeat(64),
    ...payload,
  };
}

function judge(payload: Payload, change: Partial<Redemption> = {}): ReturnType<typeof readApproved> {
  const redemption: Redemption = {
    attempt: 'a'.repeat(32),
    blobs: payload.blobs,
    names: ['A_TOKEN', 'B_TOKEN'],
    read: () => Promise.reject(new Error('not asked for')),
    close: () => Promise.resolve(),
    ...change,
  };
  return readApproved(payload, digestOf(payload), redemption);
}

function approved(change: Change): ReturnType<typeof readApproved> {
  return judge(payloadOf(change), change.redemption);
}

function withoutWork({ id, ...change }: Change & { readonly id: string }): ReturnType<typeof readApproved> {
  const { sidecar: _, ...payload } = payloadOf(change);
  return judge({ ...payload, id });
}
