import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AccessFragment, Payload } from '../../src/domain/payload.ts';
import {
  type JobStart,
  type PreparedJob,
  RunnerBench,
  type RunPlan,
  type RunResult,
  script,
} from '../fakes/runner-bench.ts';
import { type MintPlan, mint } from '../fakes/runner-vault.ts';
import { until } from '../fakes/until.ts';
import type { Installation } from '../fakes/vault/install.ts';
import { FakeVault } from '../fakes/vault/server.ts';

const VALUE = 'c0rrect/horse+battery=staple';
/** As the fake makes them, and the server. */
const TOKEN = /\b(?:s|b|hvs|hvb)\.[A-Za-z0-9_-]{20,}/;
const REVOKE = /^auth\/token\/revoke-self$/;
const ECHO = { formula: script('echo started'), secrets: { A_TOKEN: null } };

let bench: RunnerBench;
let vault: FakeVault;
let installed: Installation;
beforeAll(async () => {
  bench = new RunnerBench();
  vault = await FakeVault.start();
  installed = vault.install({ secrets: { A_TOKEN: VALUE, B_TOKEN: 'the value of another' } });
});
afterAll(async () => {
  bench.remove();
  await vault.close();
});

describe('a run with a wrapped token', () => {
  it('has the secrets that it names and no others, and its token is revoked before it starts (S1.4, R16)', async () => {
    const [started, go] = ['started', 'go'].map((name) => path.join(bench.root, name));
    const check = `echo "$A_TOKEN" | tr a-z A-Z; echo "\${B_TOKEN-absent}"; touch ${started}; until [ -e ${go} ]; do sleep 0.01; done`;
    const job = await prepare({ formula: script(check), secrets: { A_TOKEN: null } });
    const child = bench.startJob(job);
    await until('the command runs', () => existsSync(started ?? ''));
    expect(vault.runTokens).toEqual([]);
    expect(vault.requests.map(({ path: called, status }) => `${called} ${status}`).slice(-5)).toEqual([
      'sys/wrapping/lookup 200',
      'sys/wrapping/unwrap 200',
      'auth/token/lookup-self 200',
      'kv/data/edge/runner/A_TOKEN 200',
      'auth/token/revoke-self 204',
    ]);
    writeFileSync(go ?? '', '');
    expect(await bench.result(job, child)).toMatchObject({ code: 0, stdout: `${VALUE.toUpperCase()}\nabsent\n` });
  });

  it('finds neither token nor wrapper nor payload anywhere (R14, E6)', async () => {
    const look = `env; tr '\\0' '\\n' </proc/$PPID/cmdline; ls -A "$(dirname "$EDGE_INPUTS_FILE")"; echo "$A_TOKEN" >&2`;
    const job = await prepare({ formula: script(look), secrets: { A_TOKEN: null } });
    const result = await start(job, { environment: { VAULT_TOKEN: 'of the client', VAULT_CACERT: '' } });
    const all = `${result.stdout}${result.stderr}${JSON.stringify(result.trailer)}`;
    expect(result.code).toBe(0);
    expect(all).toContain('A_TOKEN=[masked:A_TOKEN]');
    for (const secret of [VALUE, job.payload.access.wrapping_token, job.payload.trailer_key]) {
      expect(all).not.toContain(secret);
    }
    expect(all).not.toMatch(TOKEN);
    expect(all).not.toContain('of the client');
    expect(existsSync(job.payloadFile)).toBe(false);
  });

  it('also has a wrapper when it names no secret, and a second copy executes nothing (R5, R16)', async () => {
    const counter = path.join(bench.root, 'executions');
    const job = await prepare({ formula: script(`mkdir ${counter}; echo ran`) });
    const copies = Array.from({ length: 4 }, () => bench.placeJob(job.payload));
    const results = await Promise.all(copies.map((copy) => start(copy)));
    const ends = results.map(({ code, stdout, trailer }) => `${code} ${stdout.trim()} ${trailer?.reason}`);
    expect(ends.toSorted()).toEqual(['0 ran null', ...Array.from({ length: 3 }, () => '69  ERR_WRAPPER_USED')]);
  });

  const other = { action: 'c'.repeat(40), formula: 'd'.repeat(40) };
  it.each<[string, Partial<Pick<Payload, 'token' | 'blobs'>>, Partial<MintPlan>]>([
    ['of other blobs', { blobs: other }, {}],
    ['of another attempt', { token: '0'.repeat(32) }, {}],
    ['that may read more', {}, { policies: ['edge-run', 'runner-A_TOKEN', 'runner-B_TOKEN'] }],
    ['that may read less', {}, { policies: ['edge-run'] }],
  ])('does not start by a token %s, which is revoked all the same (E6, R15)', async (_, bearer, plan) => {
    const before = vault.valuesRead.length;
    const access = (payload: Payload) =>
      mint(vault, installed, { ...payload, ...bearer }, { names: ['A_TOKEN'], ...plan });
    const job = await bench.prepareJob(ECHO, access);
    expectOwnReason(await start(job), 'ERR_DIGEST');
    expect(vault.runTokens).toEqual([]);
    expect(vault.valuesRead).toHaveLength(before);
  });

  it('does not start while its token lives (R16)', async () => {
    const trouble = vault.deny({ path: REVOKE });
    expectOwnReason(await start(await prepare(ECHO)), 'ERR_VAULT_UNAVAILABLE');
    trouble.stop();
    expect(vault.runTokens).toHaveLength(1);
  });

  it('ends as cancelled when it is stopped while it waits for the store (E3)', async () => {
    const job = await prepare(ECHO);
    const trouble = vault.answer(503, { path: /wrapping/ }, { errors: ['Vault is sealed'] });
    const child = bench.startJob(job);
    await until('it asks', () => trouble.hits > 0);
    child.kill('SIGTERM');
    const result = await bench.result(job, child);
    trouble.stop();
    expect(result).toMatchObject({ code: 143, stdout: '', trailer: { exit: 143, signal: 'SIGTERM', reason: null } });
    // Its wrapper is as it was.
    expect(await start(bench.placeJob(job.payload))).toMatchObject({ code: 0, stdout: 'started\n' });
  });

  it('says which file VAULT_CACERT names when it can not be read', async () => {
    const https = vault.address.replace('http:', 'https:');
    const job = await bench.prepareJob(ECHO, async (payload) => ({ ...(await wrapped(payload)), address: https }));
    const result = await start(job, { environment: { VAULT_CACERT: '/no/such.pem' } });
    expect(result.stderr).toMatch("ERR_VAULT_UNAVAILABLE: /no/such.pem of VAULT_CACERT can't be read (ENOENT)");
  });

  it('asks no other store than the one that its job names, and starts nothing of a payload with another (R21, E6)', async () => {
    const forger = await FakeVault.start();
    const args = ['--vault', forger.address];
    expectOwnReason(await start(await prepare(ECHO), { args }), 'ERR_DIGEST');
    // Nobody has redeemed it: it ends by itself.
    expect(vault.runTokens).not.toEqual([]);
    expect(forger.requests).toEqual([]);
    const elsewhere = ['--vault', vault.address, '--vault-namespace', 'ours'];
    expectOwnReason(await start(await prepare(ECHO), { args: elsewhere }), 'ERR_DIGEST');
    await forger.close();
    const own = await start(await prepare(ECHO), { args: ['--vault', vault.address] });
    expect(own).toMatchObject({ code: 0, stdout: 'started\n' });
  });
});

async function wrapped(payload: Payload): Promise<AccessFragment> {
  return await mint(vault, installed, payload, { names: Object.keys(payload.access.secrets) });
}

function prepare(plan: RunPlan): Promise<PreparedJob> {
  return bench.prepareJob(plan, wrapped);
}

function start(job: PreparedJob, options: JobStart = {}): Promise<RunResult> {
  return bench.result(job, bench.startJob(job, options));
}

function expectOwnReason(result: RunResult, code: string): void {
  expect([result.code, result.trailer?.exit, result.trailer?.reason, result.stdout]).toEqual([69, 69, code, '']);
  expect(result.trailer?.started).toBeNull();
  expect(result.stderr).toMatch(new RegExp(`^edge-runner: ${code}: [^\\n]+\\n$`));
  expect(result.stderr).not.toMatch(TOKEN);
}
