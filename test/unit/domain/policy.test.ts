import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { parsePolicy, policySchema, tierOf } from '../../../src/domain/policy.ts';
import { readSignerLine } from '../../../src/domain/signer-line.ts';

const GOOD = readFileSync(path.resolve(import.meta.dirname, '../../fixtures/policies/good/policy.toml'), 'utf8');
const parse = (text: string) => parsePolicy(new TextEncoder().encode(text), 'vault/policy.toml');
const [, ed25519 = ''] = /johba@example\.org (ssh-ed25519 [^"]+)/.exec(GOOD) ?? [];

function policy(text: string) {
  const parsed = parse(text);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  return parsed.value;
}

describe('parsePolicy', () => {
  it('answers tiers, people, and keys without option and comment', () => {
    const { tiers, approvers } = policy(GOOD);
    expect(tiers).toEqual({ triage: 'low', release: 'high' });
    expect(approvers).toMatchObject([
      { name: 'Johannes', forge: { url: 'https://forge.example', id: 12, login: 'johba' } },
      { name: 'Jane', forge: { url: 'https://forge.example', id: 13, login: 'jane' }, keys: [] },
    ]);
    expect(approvers[0]?.keys.map(({ principal, key }) => [principal, key.split(' ')[0]])).toEqual([
      ['johba@example.org', 'ssh-ed25519'],
      ['johba@example.org', 'ssh-rsa'],
      ['johba', 'ecdsa-sha2-nistp256'],
      ['johba', 'ecdsa-sha2-nistp384'],
      ['johba', 'ecdsa-sha2-nistp521'],
      ['johba', 'sk-ssh-ed25519@openssh.com'],
      ['johba', 'sk-ecdsa-sha2-nistp256@openssh.com'],
    ]);
    expect(approvers[0]?.keys[0]?.key).toBe(ed25519);
  });

  it('takes an empty file: nobody may approve, every formula is high', () => {
    expect(policy('')).toEqual({ tiers: {}, approvers: [] });
  });

  it('answers null for a person without an account', () => {
    expect(policy(`[[approvers]]\nname = "J"\nkeys = ["j ${ed25519}"]`).approvers[0]?.forge).toBeNull();
  });

  it.each([
    ['name', 'name = "J"\nkeys = ["j KEY"]', 'name = "Ｊ "\nforge = { url = "http://x", id = 1, login = "a" }'],
    ['key', 'name = "A"\nkeys = ["a KEY"]', 'name = "B"\nkeys = ["b namespaces=\\"git\\" KEY mobile"]'],
    [
      'forge id',
      'name = "A"\nforge = { url = "https://X.example:443/", id = 1, login = "a" }',
      'name = "B"\nforge = { url = "https://x.example", id = 1, login = "b" }',
    ],
    [
      'login',
      'name = "A"\nforge = { url = "https://x.example", id = 1, login = "a" }',
      'name = "B"\nforge = { url = "https://x.example", id = 2, login = "A" }',
    ],
  ])('counts people once: refuses two entries with the same %s (R23)', (what, one, other) => {
    const parsed = parse(`[[approvers]]\n${one}\n[[approvers]]\n${other}\n`.replaceAll('KEY', ed25519));
    expect(parsed.ok ? [] : parsed.problems.map(({ message }) => message)).toEqual([
      expect.stringContaining(`is the same ${what} as that of approvers[0]`),
    ]);
  });

  it('takes the same id at two forges, and a key with two principals of one person (R23)', () => {
    const [a, b] = ['https://a.example', 'https://b.example'].map(
      (url) => `forge = { url = "${url}", id = 1, login = "x" }`,
    );
    const keys = `keys = ["x@a ${ed25519}", "x@b ${ed25519}"]`;
    expect(
      policy(`[[approvers]]\nname = "A"\n${a}\n${keys}\n[[approvers]]\nname = "B"\n${b}\n`).approvers,
    ).toHaveLength(2);
  });

  it('names a shared key also beside a broken field', () => {
    const entry = (name: string) => `[[approvers]]\nname = ${name}\nkeys = ["j ${ed25519}"]\n`;
    const parsed = parse(`${entry('1')}${entry('"B"')}`);
    expect(parsed.ok ? [] : parsed.problems.map(({ line }) => line)).toEqual([2, 6]);
  });
});

describe('tierOf', () => {
  it('is high for a formula that the policy does not name, built-in names included', () => {
    const given = policy('[tiers]\ntriage = "low"\n');
    expect([tierOf(given, 'triage'), tierOf(given, 'release'), tierOf(given, 'constructor')]).toEqual([
      'low',
      'high',
      'high',
    ]);
  });
});

describe('readSignerLine', () => {
  it.each(['j KEY', 'j  KEY   my laptop', ' j namespaces="git" KEY', 'j@x.example NAMESPACES="git" KEY'])(
    'takes %s',
    (line) => {
      expect(readSignerLine(line.replace('KEY', ed25519))).toMatchObject({ ok: true, signer: { key: ed25519 } });
    },
  );

  it.each([
    ['KEY', 'no principal'],
    ['', 'blank'],
    ['* KEY', 'pattern'],
    ['j? KEY', 'pattern'],
    ['!j KEY', 'pattern'],
    ['a,b KEY', 'one principal'],
    ['"j" KEY', 'principal'],
    ['namespaces="git" KEY', 'principal'],
    ['j cert-authority KEY', 'certificate authority'],
    ['j cert-authority,namespaces="git" KEY', 'certificate authority'],
    ['j valid-after="20200101" KEY', 'time'],
    ['j namespaces="*" KEY', 'option'],
    ['j namespaces="git" namespaces="git" KEY', 'option'],
    ['j zos-key-ring-label="x" KEY', 'option'],
    ['j ssh-dss AAAA', 'type of key'],
    ['j toString AAAA', 'type of key'],
    ['j ssh-ed25519-cert-v01@openssh.com AAAA', 'certificate'],
    ['j ssh-ed25519', 'no key'],
    ['j ssh-ed25519 AAAA!', 'base64'],
    ['j ssh-ed25519 AAAA', 'cut'],
    ['j KEY\nk KEY', 'one line'],
    ['-----BEGIN OPENSSH PRIVATE KEY-----', 'private key'],
  ])('refuses %j and says why: %s', (line, why) => {
    const read = readSignerLine(
      line.replaceAll('KEY-----', '\0').replaceAll('KEY', ed25519).replaceAll('\0', 'KEY-----'),
    );
    expect(read).toMatchObject({ ok: false, rule: expect.stringContaining(why) });
  });

  it('refuses a key whose own type is not that of the line', () => {
    const [type = '', base64 = ''] = ed25519.split(' ');
    const blob = Buffer.from(base64, 'base64');
    blob.write('ssh-ed25518', 4, 'latin1');
    expect(readSignerLine(`j ${type} ${blob.toString('base64')}`)).toEqual({
      ok: false,
      rule: 'is of another type than the line says',
    });
  });

  it('refuses every key that lost or gained a byte', () => {
    const [type = '', base64 = ''] = ed25519.split(' ');
    const blob = Buffer.from(base64, 'base64');
    const changed = [...blob.keys()].map((at) => blob.subarray(0, at)).concat(Buffer.concat([blob, Buffer.alloc(1)]));
    const read = changed.map((bytes) => readSignerLine(`j ${type} ${bytes.toString('base64')}`).ok);
    expect(new Set(read)).toEqual(new Set([false]));
  });
});

describe('policySchema', () => {
  it('gives editors a JSON Schema in which nothing is required', () => {
    const schema = z.toJSONSchema(policySchema, { io: 'input' });
    expect(schema).toMatchObject({
      additionalProperties: false,
      properties: { tiers: {}, approvers: { type: 'array' } },
    });
    expect(schema).not.toHaveProperty('required');
  });
});
