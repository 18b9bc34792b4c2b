import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { CliBench } from '../fakes/cli-bench.ts';
import { sampleResult } from '../fakes/cli-samples.ts';

let bench: CliBench;

beforeAll(async () => {
  bench = await CliBench.open();
});
afterAll(() => bench.remove());

const HIGH_OF_TWO = 'high = { any = ["signed-tag", "signed-commit"], at_least = 2 }';

interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly code: string | null;
}

const ACTION = `id = "planned"
formula = "publish"
context = "A page"
secrets = ["PUBLISH_TOKEN"]
timeout_minutes = 3
inputs = { page = "new.html" }
`;

/** Plans these bytes as they lie in Ada's clone, not committed. */
async function plan(text: string, id = 'planned') {
  const file = path.join(bench.repo.clone, 'vault', 'actions', `${id}.toml`);
  await writeFile(file, text);
  try {
    const { code, value } = await bench.json('plan', path.relative(bench.root, file));
    const { checks } = value as { readonly checks: readonly Check[] };
    const bad = checks.flatMap((check) => (check.ok ? [] : [check.code]));
    return { code, value, bad };
  } finally {
    await rm(file);
  }
}

test('a good action that is not committed yet waits for its approval only, and nothing else is missing', async () => {
  const { code, value, bad } = await plan(ACTION);
  expect({ code, bad }).toEqual({ code: 0, bad: ['ERR_NEEDS_APPROVAL'] });
  expect(value).toMatchObject({
    id: 'planned',
    path: 'vault/actions/planned.toml',
    committed: false,
    tier: { tier: 'high', because: ['the policy says high', 'the formula says high'] },
    access: {
      policies: ['edge-run', 'runner-PUBLISH_TOKEN'],
      secrets: [{ name: 'PUBLISH_TOKEN', state: 'present', place: 'PUBLISH_TOKEN' }],
    },
    context: 'A page',
    formula: { name: 'publish' },
    approval: {
      required: { all: ['signed-commit'], any: [], atLeast: 0, selfApprove: false },
      rules: [{ rule: 'signed-commit', met: false, code: 'ERR_NEEDS_APPROVAL' }],
      approvers: ['Grace'],
    },
    command: { kind: 'script', first_line: expect.any(String), lines: expect.any(Number) },
    run: { engine: 'subprocess', job: 'vault-runner', mounts: [], timeout_seconds: 180, deadline_seconds: 900 },
    last: null,
  });
});

test('no field of an action lowers its gate: a blast_radius can only raise the tier (R3)', async () => {
  const { value } = await plan(
    `${ACTION.replace('publish', 'check-links').replace(/secrets.*|inputs.*/g, '')}secrets = []\nblast_radius = "low"\n`,
  );
  expect(value).toMatchObject({ tier: { tier: 'medium' } });
});

test('every problem of the file is told at once, with its line', async () => {
  const { code, value, bad } = await plan('id = "planned"\nformula = "publish"\ncontxt = "x"\nsecrets = ["lower"]\n');
  expect(code).toBe(1);
  expect(bad).toEqual(expect.arrayContaining(['ERR_UNKNOWN_FIELD', 'ERR_ACTION_FIELD']));
  expect(JSON.stringify(value)).toContain('line 3');
});

test.each([
  ['a formula that there is not', ACTION.replace('"publish"', '"publsh"'), 'ERR_FORMULA_UNKNOWN'],
  ['a secret that its formula may not have', ACTION.replace('PUBLISH_TOKEN', 'SIGNING_KEY'), 'ERR_SECRET_NOT_ALLOWED'],
  ['an input of the wrong form', ACTION.replace('new.html', 'NEW'), 'ERR_INPUT'],
  ['a time that has passed', `expires_at = 2026-01-01T00:00:00Z\n${ACTION}`, 'ERR_EXPIRED'],
  ['itself as its dependency', `depends_on = ["planned"]\n${ACTION}`, 'ERR_DEPENDENCY_CYCLE'],
])('%s is a problem: it would not run', async (_, text, problem) => {
  const { code, bad } = await plan(text);
  expect(code).toBe(1);
  expect(bad).toContain(problem);
});

test('what only has to come is no problem of the file', async () => {
  const { code, bad } = await plan(`not_before = 2126-01-01T00:00:00Z\n${ACTION}`);
  expect({ code, bad }).toEqual({ code: 0, bad: ['ERR_NEEDS_APPROVAL', 'ERR_NOT_BEFORE'] });
});

test('a secret that is not in the store is a problem before anybody approves (S1.2, R7)', async () => {
  const secret = path.join(bench.repo.stateDir, 'secrets', 'PUBLISH_TOKEN');
  await rm(secret);
  const { code, bad, value } = await plan(ACTION);
  await writeFile(secret, 'demo-publish-token-4f1c9a7be2', { mode: 0o600 });
  expect(code).toBe(1);
  expect(bad).toContain('ERR_SECRET_UNKNOWN');
  expect(value).toMatchObject({ access: { secrets: [{ name: 'PUBLISH_TOKEN', state: 'missing' }] } });
});

test('the rules of a committed action are asked for their evidence', async () => {
  const approved = await bench.json('plan', 'ada/vault/actions/publish-site.toml');
  expect(approved).toMatchObject({ code: 0, value: { committed: true } });
  expect(JSON.stringify(approved.value)).toContain('signed-commit: Grace');
  const open = await bench.run(['plan', 'ada/vault/actions/publish-docs.toml']);
  expect(open.code).toBe(0);
  expect(open.stdout).toMatch(/wait approval +signed-commit: .*not signed/s);
  expect(open.stdout).toMatch(/needs +signed-commit; whose approval counts: Grace/);
  expect(open.stdout).toMatch(/ command +/);
});

describe('the command that makes a signed tag', () => {
  const useApproval = (high: string) =>
    writeFile(path.join(bench.root, 'dispatcher.toml'), bench.config().replace(/^high = .*$/m, high));
  afterAll(() => useApproval('high = ["signed-commit"]'));

  it.each([
    ['no tag is there', 'high = ["signed-tag"]', 'publish-docs', 1],
    ['somebody has approved and one more has to', HIGH_OF_TWO, 'publish-site', 1],
    ['it is approved', 'high = { any = ["signed-tag", "signed-commit"] }', 'publish-site', 0],
    ['no rule looks at tags', 'high = ["signed-commit"]', 'publish-docs', 0],
  ])('stands whole in a line of its own, where %s: by %s', async (_, high, id, times) => {
    await useApproval(high);
    const file = `vault/actions/${id}.toml`;
    const blob = await bench.blob(file);
    const said = [await bench.run(['plan', `ada/${file}`]), await bench.run(['why', id], { isTTY: true })];
    for (const { stdout } of said) {
      const lines = stdout.split('\n').filter((line) => line.startsWith('  git -c gpg.format=ssh tag -s '));
      expect(lines).toHaveLength(times);
      for (const line of lines) expect(line).toMatch(new RegExp(`-m 'path: ${file}' -m 'blob: ${blob}' && git push`));
      expect(stdout.split('gpg.format')).toHaveLength(times + 1);
    }
    expect((await bench.run(['status'])).stdout).not.toContain('gpg.format');
  });
});

test('why of an action that waits tells the same plan in the same words, and none of one that can not be read', async () => {
  const file = 'ada/vault/actions/publish-docs.toml';
  const planned = (await bench.json('plan', file)).value as { readonly checks: readonly Check[] };
  // How well a payload compresses depends on a key that is made anew each time.
  const checks = planned.checks.map(({ name, ok, code }) => expect.objectContaining({ name, ok, code }));
  expect((await bench.json('why', 'publish-docs')).value).toMatchObject({ cancel: null, plan: { ...planned, checks } });
  const [text, why] = [await bench.run(['plan', file]), await bench.run(['why', 'publish-docs'])];
  const facts = text.stdout.slice(text.stdout.indexOf('       tier '));
  expect(facts).toMatch(/^ +tier [^]+ command [^]+ time /);
  expect(why.stdout.endsWith(`\n\n${facts}`)).toBe(true);
  const large = 'vault/actions/large.toml';
  await bench.push({ [large]: `# ${'x'.repeat(1 << 20)}\n` });
  expect((await bench.json('why', 'large')).value).toMatchObject({ reason: { code: 'ERR_FILE_SIZE' }, plan: null });
  await bench.push({ [large]: null });
});

test('an edit of approved bytes has to be approved anew (R1)', async () => {
  const file = path.join(bench.repo.clone, 'vault', 'actions', 'publish-site.toml');
  const { value } = await bench.json('plan', file);
  await writeFile(file, `${ACTION.replace('"planned"', '"publish-site"')}`);
  const edited = await bench.json('plan', file);
  expect(value).toMatchObject({ committed: true });
  expect(edited.value).toMatchObject({ committed: false });
  expect(JSON.stringify(edited.value)).toContain('ERR_NEEDS_APPROVAL');
});

test('what differs from the last run of the same formula is shown field by field', async () => {
  const blob = await bench.blob('vault/actions/publish-docs.toml');
  const action = { path: 'vault/actions/publish-docs.toml', blob, commit: 'c'.repeat(40), sha256: null };
  await bench.pushResult(sampleResult('earlier', { action }));
  const { value } = await plan(ACTION);
  expect(value).toMatchObject({
    last: {
      id: 'earlier',
      outcome: 'succeeded',
      changed: [
        { field: 'context', before: '"New documentation"', after: '"A page"' },
        { field: 'timeout_minutes', before: '60', after: '3' },
        { field: 'inputs', before: '{"page":"docs.html"}', after: '{"page":"new.html"}' },
        { field: 'formula file', before: 'b'.repeat(12) },
      ],
    },
  });
});

test('an id that has ended never runs again (R4)', async () => {
  const { code, bad } = await plan(ACTION.replace('"planned"', '"earlier"'), 'earlier');
  expect(code).toBe(1);
  expect(bad).toContain('ERR_ALREADY_RECORDED');
});

test('a file that can not be read is wrong usage', async () => {
  const { code, stderr } = await bench.run(['plan', 'nix.toml']);
  expect(code).toBe(2);
  expect(stderr).toContain('ERR_USAGE');
});
