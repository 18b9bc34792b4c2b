import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseAction } from '../../../src/domain/action.ts';
import { parseCancel } from '../../../src/domain/cancel.ts';
import { parseFormula } from '../../../src/domain/formula.ts';
import { parsePolicy } from '../../../src/domain/policy.ts';
import type { Parsed } from '../../../src/domain/problems.ts';
import { publicKey } from '../../fakes/gated-files.ts';

/*
 * Every text and every key of every file that people approve, and in each of them any character that hides itself or
 * what stands beside it. Files are written as inline TOML by hand, so that each place is a text in double quotes.
 */

type Value = string | number | boolean | readonly Value[] | { readonly [key: string]: Value };

const ACTION = {
  id: 'a',
  formula: 'release',
  context: 'why',
  secrets: ['TOKEN'],
  mounts: ['ssh'],
  model: 'sonnet',
  tools: ['clawhub'],
  blast_radius: 'high',
  dispatch_mode: 'pr',
  inputs: { version: '1.2.0', channel: 'stable' },
  depends_on: ['b'],
  not_before: '2026-04-01T08:00:00Z',
  expires_at: '2026-04-02T08:00:00Z',
  retry: { attempts: 2, on: ['failed'] },
};
const FORMULA = {
  name: 'release',
  description: 'Ships it',
  command: ['bash', '-c', 'true'],
  job: 'vault-runner',
  secrets: ['TOKEN'],
  mounts: ['ssh'],
  tools: ['clawhub'],
  models: ['sonnet'],
  tier: 'high',
  files: [{ path: '/formulas/release.sh', sha256: 'a'.repeat(64) }],
  concurrency: 'release',
  artifacts: ['dist/*.tgz'],
  env: { LANG: 'C.UTF-8' },
  inputs: {
    version: { type: 'string', pattern: '^[0-9.]+$', default: '1.0.0' },
    channel: { type: 'enum', values: ['stable', 'beta'] },
  },
};
const { command: _, ...WITHOUT } = FORMULA;
const POLICY = {
  tiers: { release: 'high' },
  approvers: [
    {
      name: 'Jane',
      forge: { url: 'https://forge.example', id: 1, login: 'jane' },
      keys: [`jane@example.org ${publicKey('jane')}`],
    },
  ],
};

interface Kind {
  readonly file: Value;
  readonly path: string;
  readonly parse: (bytes: Uint8Array, path: string) => Parsed<unknown>;
}

const KINDS: Readonly<Record<string, Kind>> = {
  action: { file: ACTION, path: 'vault/actions/a.toml', parse: parseAction },
  'formula with a command': { file: FORMULA, path: 'vault/formulas/release.toml', parse: parseFormula },
  'formula with a script': {
    file: { ...WITHOUT, script: 'echo hello' },
    path: 'vault/formulas/release.toml',
    parse: parseFormula,
  },
  'formula with a prompt': {
    file: { ...WITHOUT, prompt: 'Say hello' },
    path: 'vault/formulas/release.toml',
    parse: parseFormula,
  },
  policy: { file: POLICY, path: 'vault/policy.toml', parse: parsePolicy },
  'cancel request': { file: { reason: 'withdrawn' }, path: 'vault/actions/a.cancel.toml', parse: parseCancel },
};

const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u;
const hidden = fc.oneof(
  fc.constantFrom(0x01, 0x08, 0x0b, 0x0d, 0x1b, 0x7f, 0x85, 0x9b, 0xad, 0x200b, 0x200d, 0x202e, 0x2028, 0x2066),
  fc.constantFrom(0x115f, 0x3164, 0xfe0f, 0xfeff, 0xe0041, 0xe0100),
  fc.integer({ min: 1, max: 0x10ffff }).filter((code) => {
    const isKept = code === 0x09 || code === 0x0a || (code >= 0xd800 && code <= 0xdfff);
    return !isKept && HIDDEN.test(String.fromCodePoint(code));
  }),
);

/** How many texts and keys a value holds; `change` is done to the one of this number. */
function visit(value: Value, change: (text: string, at: number) => string): { value: Value; places: number } {
  let places = 0;
  const text = (given: string): string => change(given, places++);
  const walk = (each: Value): Value => {
    if (typeof each === 'string') return text(each);
    if (typeof each !== 'object') return each;
    if (isList(each)) return each.map(walk);
    return Object.fromEntries(Object.entries(each).map(([key, inner]) => [text(key), walk(inner)]));
  };
  return { value: walk(value), places };
}

const isList = (value: Value): value is readonly Value[] => Array.isArray(value);

function toml(value: Value): string {
  if (typeof value === 'string') return JSON.stringify(value).replaceAll('\u007f', String.raw`\u007f`);
  if (typeof value !== 'object') return String(value);
  if (isList(value)) return `[${value.map(toml).join(', ')}]`;
  return `{ ${Object.entries(value)
    .map(([key, inner]) => `${toml(key)} = ${toml(inner)}`)
    .join(', ')} }`;
}

const fileOf = (value: Value): string =>
  Object.entries(value)
    .map(([key, inner]: [string, Value]) => `${toml(key)} = ${toml(inner)}\n`)
    .join('');

const escaped = (text: string): string =>
  text.replaceAll(new RegExp(HIDDEN, 'gu'), (each) => {
    const code = each.codePointAt(0) ?? 0;
    return each === '\n' ? each : String.raw`\U${code.toString(16).padStart(8, '0')}`;
  });

describe.each(Object.entries(KINDS))('every text of an approved file: %s', (_kind, { file, path, parse }) => {
  const read = (text: string) => parse(new TextEncoder().encode(text), path);
  const codes = (text: string) => {
    const parsed = read(text);
    return parsed.ok ? [] : parsed.problems.map(({ code }) => code);
  };

  it('is taken as it is', () => {
    expect(codes(fileOf(file))).toEqual([]);
    expect(codes(escaped(fileOf(file)))).toEqual([]);
  });

  it('is refused with any character that hides, in keys too, written as it is or as an escape', () => {
    const { places } = visit(file, (text) => text);
    fc.assert(
      fc.property(fc.nat({ max: places - 1 }), fc.nat(), hidden, (place, offset, code) => {
        const insert = (text: string, at: number) => {
          const cut = offset % (text.length + 1);
          return at === place ? text.slice(0, cut) + String.fromCodePoint(code) + text.slice(cut) : text;
        };
        const changed = fileOf(visit(file, insert).value);
        expect(codes(changed)).toContain('ERR_TEXT_UNSAFE');
        expect(codes(escaped(changed))).toContain('ERR_TEXT_UNSAFE');
      }),
      { numRuns: 60 },
    );
  });
});
