import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { actionSchema, parseAction } from '../../../src/domain/action.ts';
import { parseCancel } from '../../../src/domain/cancel.ts';
import { formulaSchema, parseFormula } from '../../../src/domain/formula.ts';
import { parsePolicy } from '../../../src/domain/policy.ts';
import { CODES } from '../../../src/errors.ts';

/** Files named by their defect; `expected.json` says which problems they must have, and on which line the first is. */

const FIXTURES = path.resolve(import.meta.dirname, '../../fixtures');
const PARSERS = { actions: parseAction, formulas: parseFormula, policies: parsePolicy };
const KINDS = ['actions', 'formulas', 'policies'] as const;

interface Expected {
  readonly codes: readonly string[];
  readonly line?: number;
}

const table = Object.entries(JSON.parse(readFileSync(`${FIXTURES}/expected.json`, 'utf8')) as Record<string, Expected>);

function files(folder: string): string[] {
  return readdirSync(`${FIXTURES}/${folder}`).map((name) => `${folder}/${name}`);
}

function parse(file: string) {
  const kind = KINDS.find((each) => file.startsWith(`${each}/`)) ?? 'actions';
  return PARSERS[kind](readFileSync(`${FIXTURES}/${file}`), file);
}

describe('the bad files', () => {
  it('are at least sixty, and each of them is in the table', () => {
    expect(table.length).toBeGreaterThanOrEqual(60);
    const there = KINDS.flatMap((kind) => files(`${kind}/bad`));
    expect(table.map(([file]) => file).toSorted()).toEqual(there.toSorted());
  });

  it.each(table)('%s has exactly the problems of the table, in the right line', (file, expected) => {
    const parsed = parse(file);
    const problems = parsed.ok ? [] : parsed.problems;
    expect(problems.map(({ code }) => code).toSorted()).toEqual(expected.codes);
    expect(problems.find(({ line }) => line !== undefined)?.line).toBe(expected.line);
    for (const problem of problems) {
      expect(problem).toMatchObject({ path: file, severity: 'error' });
      expect(CODES).toHaveProperty(problem.code);
      expect(problem.hint).toMatch(/\.$|\?$/);
    }
  });

  it('are never quoted: no message repeats a text of the file that is longer than a name', () => {
    const said = table.flatMap(([file]) => {
      const parsed = parse(file);
      const texts = readFileSync(`${FIXTURES}/${file}`, 'latin1').match(/"[^"\n]{20,}"/g) ?? [];
      const messages = parsed.ok ? [] : parsed.problems.map(({ message, hint }) => `${message} ${hint}`);
      return texts.filter((text) => messages.some((message) => message.includes(text.slice(1, -1)))).map(() => file);
    });
    expect(new Set(said)).toEqual(new Set());
  });
});

describe('the good files', () => {
  it.each(KINDS.flatMap((kind) => files(`${kind}/good`)))('%s is taken', (file) => {
    expect(parse(file)).toMatchObject({ ok: true });
  });
});

describe('docs/action-format.md', () => {
  const text = readFileSync(path.resolve(FIXTURES, '../../docs/action-format.md'), 'utf8');
  const examples = [...text.matchAll(/^```toml\n(.*?)^```$/gms)].map(([, example = '']) =>
    new TextEncoder().encode(example),
  );

  it('shows one example of each kind, which the code takes without a warning', () => {
    const kinds = [
      ['release-v120.toml', parseAction],
      ['release-v120.cancel.toml', parseCancel],
      ['release.toml', parseFormula],
      ['policy.toml', parsePolicy],
    ] as const;
    const read = kinds.map(([name, parseKind], at) => parseKind(examples[at] ?? new Uint8Array(), name));
    expect(read).toMatchObject(kinds.map(() => ({ ok: true, warnings: [] })));
    expect(examples).toHaveLength(kinds.length);
  });

  it('names every field of an action and a formula', () => {
    const fields = [...Object.keys(actionSchema.shape), ...Object.keys(formulaSchema.shape)];
    expect(fields.filter((field) => !text.includes(`\`${field}\``))).toEqual([]);
  });
});
