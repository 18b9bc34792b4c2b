import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createFileRecords } from '../../../src/adapters/records.ts';
import type { AttemptRecord } from '../../../src/domain/attempt-record.ts';
import { TransientError } from '../../../src/errors.ts';
import type { Records } from '../../../src/ports/records.ts';

const SECRET = Buffer.from('hvs.wrapping-token').toString('base64');
const TOKEN = '1'.repeat(32);

const recordOf = (token: string): AttemptRecord => ({
  v: 1,
  entry: {
    id: 'a',
    blob: 'a'.repeat(40),
    formula_blob: 'b'.repeat(40),
    attempt: 1,
    token,
    dispatcher: 'edge-1',
    instance: 'i',
    claimed_at: '2026-03-31T12:00:00Z',
    timeout_seconds: 60,
    state: 'claimed',
    engine: 'subprocess',
    group: null,
    payload_sha256: 'c'.repeat(64),
    accessors: [],
  },
  claimed: false,
  request: { job: 'vault-runner', meta: { action_id: 'a' }, payload: SECRET },
  unstarted: false,
  trailer_key: 'd'.repeat(64),
  grant: {
    accessor: 'x',
    policies: [],
    issued_at: '2026-03-31T12:00:00Z',
    expires_at: '2026-03-31T12:12:00Z',
    revoked_at: null,
  },
  action: { path: 'vault/actions/a.toml', blob: 'a', commit: 'b', sha256: 'c', committed_at: '2026-03-31T11:00:00Z' },
  formula: { name: 'tidy', blob: 'b', tier: 'low' },
  approval: { required: [], evidence: [], approved_at: null },
  dispatched_at: null,
  attempts: [],
});

describe('notes of attempts on disk', () => {
  let dir: string;
  let runs: string;
  let records: Records;

  beforeEach(() => {
    dir = mkdtempSync(path.join(tmpdir(), 'records-'));
    runs = path.join(dir, 'runs');
    records = createFileRecords(runs);
  });

  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  it('come out as they went in, and the last one saved counts', async () => {
    const record = recordOf(TOKEN);
    await records.save(record);
    expect(await records.load(TOKEN)).toEqual(record);
    await records.save({ ...record, claimed: true, request: null });
    expect(await createFileRecords(runs).load(TOKEN)).toEqual({ ...record, claimed: true, request: null });
  });

  it('are for nobody else: 0600, and nothing is left beside them', async () => {
    await records.save(recordOf(TOKEN));
    expect(statSync(path.join(runs, `${TOKEN}.json`)).mode & 0o777).toBe(0o600);
    expect(readdirSync(runs)).toEqual([`${TOKEN}.json`]);
  });

  it('are none before the first is saved, and after it is removed', async () => {
    expect([await records.load(TOKEN), await records.all()]).toEqual([null, []]);
    await records.save(recordOf(TOKEN));
    await records.remove(TOKEN);
    await records.remove(TOKEN);
    expect([await records.load(TOKEN), await records.all()]).toEqual([null, []]);
  });

  it('are all answered but the damaged, which are left where they are', async () => {
    const good = [recordOf(TOKEN), recordOf('2'.repeat(32))];
    for (const record of good) await records.save(record);
    const damaged = {
      ['3'.repeat(32)]: readFileSync(path.join(runs, `${TOKEN}.json`)).subarray(0, 99),
      ['4'.repeat(32)]: '{}',
    };
    for (const [token, content] of Object.entries(damaged)) writeFileSync(path.join(runs, `${token}.json`), content);
    writeFileSync(path.join(runs, 'README.json'), '{}');
    mkdirSync(path.join(runs, TOKEN));
    const tokens = (await records.all()).map((record) => record.entry.token);
    expect(tokens.toSorted()).toEqual(good.map((record) => record.entry.token));
    expect(readdirSync(runs)).toHaveLength(6);
  });

  it('of one action are answered without those of others, also what another process wrote', async () => {
    const of = (id: string, token: string) => ({ ...recordOf(token), entry: { ...recordOf(token).entry, id } });
    const tokens = async (id: string) => (await records.of(id)).map(({ entry }) => entry.token).toSorted();
    expect(await tokens('a')).toEqual([]);
    const [first, second] = [TOKEN, '2'.repeat(32)];
    const [third, other] = ['3'.repeat(32), '4'.repeat(32)];
    for (const [id, token] of [
      ['a', first],
      ['b', other],
      ['a', second],
    ] as const)
      await records.save(of(id, token));
    expect([await tokens('a'), await tokens('b')]).toEqual([[first, second], [other]]);
    await createFileRecords(runs).save(of('a', third));
    await records.remove(second);
    expect([await tokens('a'), await tokens('b'), await tokens('c')]).toEqual([[first, third], [other], []]);
  });

  it.each([
    ['cut', JSON.stringify(recordOf(TOKEN)).slice(0, -9)],
    ['of another schema', JSON.stringify({ ...recordOf(TOKEN), v: 2 })],
    ['empty', ''],
  ])('that are %s are an outage and never an answer, without a word of what is in them (R14)', async (_, content) => {
    mkdirSync(runs);
    writeFileSync(path.join(runs, `${TOKEN}.json`), content);
    const error = await records.load(TOKEN).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(TransientError);
    expect(error).toMatchObject({
      code: 'ERR_STORE_UNAVAILABLE',
      message: 'cannot read the attempts in state_dir/runs',
    });
    expect([String(error).includes(SECRET), error instanceof Error && error.cause]).toEqual([false, undefined]);
  });

  it('say so when the disk does not take, give or remove them', async () => {
    writeFileSync(runs, 'a file in the place of the directory');
    await expect(records.save(recordOf(TOKEN))).rejects.toBeInstanceOf(TransientError);
    await expect(records.all()).rejects.toBeInstanceOf(TransientError);
    rmSync(runs);
    mkdirSync(path.join(runs, `${TOKEN}.json`), { recursive: true });
    await expect(records.load(TOKEN)).rejects.toBeInstanceOf(TransientError);
    await expect(records.remove(TOKEN)).rejects.toBeInstanceOf(TransientError);
  });
});
