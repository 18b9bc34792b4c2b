import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { blobOid, sha256 } from '../../src/domain/ids.ts';
import type { Payload } from '../../src/domain/payload.ts';
import { usedTicketFile } from '../../src/domain/ticket.ts';
import { type PreparedRun, RunnerBench, type RunPlan, type RunResult, script } from '../fakes/runner-bench.ts';

const SECRET = 'c0rrect/horse+battery=staple';

let bench: RunnerBench;
beforeAll(() => {
  bench = new RunnerBench();
});
afterAll(() => bench.remove());

describe('secrets', () => {
  it('that are granted are there without their final newline, others are absent (S1.4)', async () => {
    const check = 'printf %s "$A_TOKEN" | sha256sum; printf %s "$B_TOKEN" | sha256sum; echo "${C_TOKEN-absent}"';
    const result = await bench.run({
      formula: script(check),
      secrets: { A_TOKEN: `${SECRET}\n`, B_TOKEN: `two lines\nof a secret\n\n` },
    });
    const lines = result.stdout.trim().split('\n');
    expect(lines).toEqual([`${sha256(SECRET)}  -`, `${sha256('two lines\nof a secret\n')}  -`, 'absent']);
  });

  it.each([
    ['missing', null, 'ERR_SECRET_MISSING', 'B_TOKEN is not in the store'],
    ['empty', '\n', 'ERR_SECRET_EMPTY', 'B_TOKEN is empty in the store'],
    ['short', 'hunter2', 'ERR_SECRET_UNMASKABLE', 'B_TOKEN is shorter than 8 bytes'],
  ])('that are %s end the run before the command starts, told apart (S1.4, R13)', async (_, value, code, message) => {
    const result = await bench.run({ formula: script('echo started'), secrets: { A_TOKEN: SECRET, B_TOKEN: value } });
    expectOwnReason(result, code);
    expect(result.stderr).toBe(`edge-runner: ${code}: ${message}\n`);
  });

  it('that the store refuses are told from missing ones (S1.4)', async () => {
    const prepared = bench.prepare({ formula: script('echo started'), secrets: { A_TOKEN: null } });
    // A directory can't be read by anybody, root included.
    mkdirSync(prepared.secretFile('A_TOKEN'));
    expectOwnReason(await start(prepared), 'ERR_SECRET_DENIED');
  });

  it('that are short are no reason not to start where the formula says unmasked (R13)', async () => {
    const formula = `${script('echo "$A_TOKEN"')}\nunmasked = true`;
    const result = await bench.run({ formula, secrets: { A_TOKEN: 'abc' } });
    expect(result).toMatchObject({ code: 0, stdout: 'abc\n' });
  });

  it('never leave by either stream, in whatever encoding and however the writes are cut (R12)', async () => {
    const echo = `
s="$A_TOKEN"
for fd in 1 2; do {
  echo "$s"; printf '%s' "x${'$'}{s}y"
  printf %s "$s" | base64; printf %s "a$s" | base64 -w 0; printf %s "ab$s" | base64 -w 20
  printf %s "$s" | base64 | tr '+/' '-_'
  printf %s "$s" | od -An -tx1 | tr -d ' \\n'; printf %s "$s" | sed 's#/#%2F#g; s#+#%2B#g; s#=#%3D#g'
  printf '"%s"' "$s" | sed 's#/#\\\\/#g'
  for ((i = 0; i < ${'$'}{#s}; i++)); do printf %s "${'$'}{s:i:1}"; [ $((i % 5)) = 0 ] && sleep 0.01; done
} >&$fd; done; echo end`;
    const result = await bench.run({ formula: script(echo), secrets: { A_TOKEN: SECRET } });
    const all = `${result.stdout}${result.stderr}`;
    expect(result.stdout).toMatch(/\nend\n$|end\n$/);
    for (const form of formsOf(SECRET)) expect(all.replaceAll('\n', '')).not.toContain(form);
    expect(result.trailer?.masked['A_TOKEN']).toBeGreaterThanOrEqual(18);
    expect(JSON.stringify(result.trailer)).not.toContain(SECRET);
  });

  it('change nothing of output that holds none of them, byte for byte (R13)', async () => {
    const make = 'import sys\nfor i in range(60000): sys.stdout.buffer.write(bytes([i % 256, i // 256]) * 20)';
    const lines = Array.from({ length: 60_000 }, (_, i) => Buffer.alloc(40, Buffer.from([i % 256, i >> 8])));
    const formula = `${script(`#!/usr/bin/env python3\n${make}`)}`;
    const result = await bench.run({ formula, secrets: { A_TOKEN: SECRET } });
    expect(result.trailer?.stdout).toEqual({ bytes: 2_400_000, sha256: sha256(Buffer.concat(lines)), cut: false });
  });
});

describe('a wrapper', () => {
  it('that has expired is told from a used one, and neither starts anything (R16)', async () => {
    const past = new Date(Date.now() - 1_000).toISOString();
    const result = await bench.run({ formula: script('echo started'), ticket: { expires_at: past } });
    expectOwnReason(result, 'ERR_WRAPPER_EXPIRED');
  });

  it('that was redeemed before, or taken away, is a used one, also with no secrets (R5, R16)', async () => {
    const used = bench.prepare({ formula: script('echo started') });
    renameSync(used.ticket, path.join(used.directory, usedTicketFile(used.payload.access.wrapping_token)));
    const taken = bench.prepare({ formula: script('echo started') });
    rmSync(taken.ticket);
    expectOwnReason(await start(used), 'ERR_WRAPPER_USED');
    expectOwnReason(await start(taken), 'ERR_WRAPPER_USED');
  });

  it('of a kind that the runner does not know, or that is no ticket, starts nothing', async () => {
    for (const change of [{ kind: 'x' }, { wrapping_token: '../../../etc/passwd' }]) {
      const prepared = bench.prepare({ formula: script('echo started') });
      const access = { ...prepared.payload.access, ...change };
      bench.writePayload(prepared.directory, { ...prepared.payload, access });
      expectOwnReason(await start(prepared), 'ERR_PAYLOAD');
    }
  });
});

describe('what was approved', () => {
  const plan: RunPlan = {
    formula: `${script('echo started')}\n[inputs.version]\ntype = "string"`,
    action: '[inputs]\nversion = "1"',
    secrets: { A_TOKEN: SECRET },
    payload: { inputs: { version: '1' } },
  };
  const changed = (change: (payload: Payload) => Partial<Payload>): RunPlan => {
    const { payload } = bench.prepare(plan);
    return { ...plan, payload: { ...payload, ...change(payload) } };
  };

  it('is held against what came, and where it differs nothing starts (E6)', async () => {
    expectOwnReason(await bench.run(changed((p) => ({ formula: appended(p.formula) }))), 'ERR_DIGEST');
    expectOwnReason(await bench.run({ ...plan, ticket: { secrets: {} } }), 'ERR_DIGEST');
  });

  it('is told in the trailer as the ids of the bytes that really came', async () => {
    const prepared = bench.prepare(plan);
    expect((await start(prepared)).trailer?.digest).toEqual(prepared.payload.blobs);
    const forged = changed((p) => ({ action: appended(p.action) }));
    const real = blobOid(Buffer.from(forged.payload?.action ?? '', 'base64'));
    expect((await bench.run(forged)).trailer?.digest.action).toBe(real);
  });

  it('includes the programs outside the repo, hashed before the start', async () => {
    const file = path.join(bench.root, 'release.sh');
    writeFileSync(file, 'echo released\n');
    const formula = `command = ["bash", "${file}"]\nfiles = [{ path = "${file}", sha256 = "${sha256('echo released\n')}" }]`;
    expect((await bench.run({ formula })).stdout).toBe('released\n');
    writeFileSync(file, 'echo something else\n');
    expectOwnReason(await bench.run({ formula }), 'ERR_DIGEST');
    rmSync(file);
    expectOwnReason(await bench.run({ formula }), 'ERR_DIGEST');
  });
});

function start(prepared: PreparedRun): Promise<RunResult> {
  return bench.result(prepared, bench.start(prepared.directory));
}

function expectOwnReason(result: RunResult, code: string): void {
  expect([result.code, result.exit?.exit_code, result.trailer?.exit]).toEqual([69, 69, 69]);
  expect([result.trailer?.reason, result.trailer?.started, result.stdout]).toEqual([code, null, '']);
  expect(result.stderr).toMatch(new RegExp(`^edge-runner: ${code}: [^\\n]+\\n$`));
  expect(result.stderr).not.toContain(SECRET);
}

function appended(base64: string): string {
  return Buffer.concat([Buffer.from(base64, 'base64'), Buffer.from('# more\n')]).toString('base64');
}

function formsOf(secret: string): readonly string[] {
  const bytes = Buffer.from(secret);
  const base64 = [0, 1, 2].map((head) => {
    const text = Buffer.concat([Buffer.from('ab').subarray(0, head), bytes]).toString('base64');
    return text.slice(head === 0 ? 0 : 4, -4);
  });
  const url = base64.map((text) => text.replaceAll('+', '-').replaceAll('/', '_'));
  return [secret, encodeURIComponent(secret), bytes.toString('hex'), secret.replaceAll('/', '\\/'), ...base64, ...url];
}
