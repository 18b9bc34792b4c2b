import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createFileDecisions, readOnlyDecisions } from '../../../src/adapters/decisions.ts';
import { decisionLine } from '../../../src/domain/decision.ts';
import { oid } from '../../../src/domain/ids.ts';
import { TransientError } from '../../../src/errors.ts';
import type { Log, LogFields } from '../../../src/ports/log.ts';
import { silentLog } from '../../fakes/tools.ts';

const judge = { commit: oid('d'.repeat(40)), blob: oid('e'.repeat(40)) };
const lineOf = (digit: string, file = 'vault/policy.toml') =>
  decisionLine({ edit: { commit: oid(digit.repeat(40)), path: file, blob: oid('b'.repeat(40)) }, judge });
const [ONE, TWO, THREE] = [lineOf('1'), lineOf('2'), lineOf('3')];

let dir: string;
let file: string;
let warned: (LogFields | undefined)[];
let log: Log;

beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'decisions-'));
  file = path.join(dir, 'state', 'decisions');
  warned = [];
  log = { ...silentLog, warn: (_, fields) => void warned.push(fields) };
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const opened = () => createFileDecisions(file, log);
const loaded = async () => [...(await opened().load())];

describe('decisions on disk', () => {
  it('are none to begin with, and there again after a restart', async () => {
    expect(await loaded()).toEqual([]);
    const decisions = opened();
    await Promise.all([decisions.keep(ONE), decisions.keep(TWO)]);
    await opened().keep(THREE);
    expect(await loaded()).toEqual([ONE, TWO, THREE]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(warned).toEqual([]);
  });

  it('are one line each, whatever the path is', async () => {
    const odd = lineOf('4', 'vault/formulas/a\n"b" by \u2028.toml');
    await opened().keep(odd);
    expect(readFileSync(file, 'utf8').trim()).toBe(odd);
    expect(await loaded()).toEqual([odd]);
  });

  it.each([
    ['torn by a crash', TWO.slice(0, 60)],
    ['left empty by one', '\0'.repeat(100)],
    ['of another kind', 'refused x\n'],
    ['not about a person of any policy', `${lineOf('5').replace(/ by .*/, ' by - -')}\n`],
  ])('that are %s are passed over with a warning, and what is kept after them is whole', async (_, damage) => {
    await opened().keep(ONE);
    appendFileSync(file, damage);
    await opened().keep(THREE);
    expect(await loaded()).toEqual([ONE, THREE]);
    expect(warned).toMatchObject([{ lines: 1 }]);
  });

  it('are only the named ones after the others were thrown away, and nothing else is left', async () => {
    const decisions = opened();
    for (const line of [ONE, TWO]) await decisions.keep(line);
    await decisions.retain(new Set([TWO]));
    await decisions.keep(THREE);
    expect(await loaded()).toEqual([TWO, THREE]);
    expect(readdirSync(path.dirname(file))).toEqual(['decisions']);
  });

  it('are an outage where the disk does not give or take them', async () => {
    mkdirSync(file, { recursive: true });
    const decisions = opened();
    for (const call of [decisions.load(), decisions.keep(ONE), decisions.retain(new Set())]) {
      await expect(call).rejects.toMatchObject({ name: TransientError.name, code: 'ERR_STORE_UNAVAILABLE' });
    }
  });
});

describe('who only looks', () => {
  it('sees them, and writes nothing', async () => {
    await opened().keep(ONE);
    const looking = readOnlyDecisions(file, log);
    await looking.keep(TWO);
    await looking.retain(new Set());
    expect([...(await looking.load())]).toEqual([ONE]);
    expect(await loaded()).toEqual([ONE]);
  });

  it('sees none where they can not be read', async () => {
    mkdirSync(file, { recursive: true });
    expect((await readOnlyDecisions(file, log).load()).size).toBe(0);
  });
});
