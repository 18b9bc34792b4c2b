import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { plainGit } from '../../../src/cli/plain-git.ts';
import { parseAction } from '../../../src/domain/action.ts';
import { say, writeFiles } from '../../fakes/command-line.ts';

const BODY = 'formula = "hello"\ncontext = "Because"\nsecrets = []\n';
const result = (id: string, outcome = 'failed') =>
  `${JSON.stringify({
    id,
    exit_code: 1,
    timestamp: '2026-03-31T10:00:00Z',
    logs: '',
    schema: 1,
    outcome,
    reason: { code: 'ERR_COMMAND_FAILED', message: 'm', hint: null, by: null },
    action: { path: 'p', blob: null, commit: null, sha256: null },
    formula: null,
    approval: null,
    attempt: null,
    attempts: [],
    run: null,
    access: null,
    output: null,
    artifacts: [],
    times: {
      committed: null,
      approved: null,
      dispatched: null,
      started: null,
      finished: null,
      recorded: '2026-03-31T10:00:00Z',
    },
  })}\n`;

let root: string;

beforeEach(async () => {
  root = mkdtempSync(path.join(tmpdir(), 'edge-rerun-'));
  await plainGit(root, ['init', '--quiet', '--initial-branch=main', '.']);
  writeFiles(root, { 'vault/actions/2026/a.toml': `id = "a"\n${BODY}` });
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

const read = (file: string) => readFileSync(path.join(root, file), 'utf8');

async function rerun(id: string) {
  const said = await say(root, ['rerun', id, '--json']);
  const answer = said.stdout === '' ? null : (JSON.parse(said.stdout) as Record<string, unknown>);
  return { code: said.code, stderr: said.stderr, answer };
}

describe('edge-dispatcher rerun', () => {
  it('writes the same action with a new id beside the old one, and says how to go on', async () => {
    writeFiles(root, { 'vault/actions/2026/a.result.json': result('a') });
    const { code, stdout } = await say(root, ['rerun', 'a']);
    expect(code).toBe(0);
    expect(read('vault/actions/2026/a-r2.toml')).toBe(`id = "a-r2"\n${BODY}`);
    expect(read('vault/actions/2026/a.toml')).toBe(`id = "a"\n${BODY}`);
    expect(stdout).toMatch(
      /^Wrote vault\/actions\/2026\/a-r2\.toml: a-r2, a copy of a, which ended failed \(ERR_COMMAND_FAILED\)\.\n/,
    );
    expect(stdout).toContain(
      "\n  git add vault/actions/2026/a-r2.toml\n  git commit -m 'Rerun a as a-r2'\n  git push\n",
    );
  });

  it('says to open a change where the branch is reached through a forge', async () => {
    const config = path.resolve(import.meta.dirname, '../../fixtures/configs/good/https-with-token.toml');
    writeFiles(root, { 'dispatcher.toml': readFileSync(config, 'utf8') });
    const { stdout } = await say(root, ['rerun', 'a']);
    expect(stdout).toContain('\n  git switch -c rerun-a-r2\n  git add vault/actions/2026/a-r2.toml\n');
    expect(stdout).toContain(
      '\n  git push -u origin HEAD\nand open a change of that branch, have it reviewed and merged',
    );
  });

  it('says of an action without a result that both may run', async () => {
    const { code, stdout } = await say(root, ['rerun', 'a']);
    expect(code).toBe(0);
    expect(stdout).toContain('a has no result in this clone: without `edge-dispatcher cancel a` both may run.');
  });

  it('warns when nobody knows what the old one did', async () => {
    writeFiles(root, { 'vault/actions/2026/a.result.json': result('a', 'unknown') });
    expect((await rerun('a')).answer).toMatchObject({
      outcome: 'unknown',
      problems: [{ code: 'ERR_RUN_UNKNOWN', severity: 'warning' }],
    });
  });

  it.each([
    [
      'comments and order',
      '# id = "no"\nformula = "hello" # id\n  id   =  "a"   # the id\ncontext = """\nid = "a"\n"""\nsecrets = []\n',
    ],
    ['carriage returns', `id = "a"\r\n${BODY.replaceAll('\n', '\r\n')}`],
    ['single quotes and a quoted key', `"id" = 'a'\n${BODY}`],
    ['no final newline', `id = "a"\n${BODY.trimEnd()}`],
    ['an id of a table', `id = "a"\n${BODY}[inputs]\nid = "a"\n`],
  ])('keeps %s byte for byte', async (_, text) => {
    writeFiles(root, { 'vault/actions/2026/a.toml': text });
    expect((await rerun('a')).answer).toMatchObject({ id: 'a-r2' });
    const copy = read('vault/actions/2026/a-r2.toml');
    expect(copy).not.toBe(text);
    expect(copy.replace('a-r2', 'a')).toBe(text);
    expect(parseAction(Buffer.from(copy), 'a-r2.toml')).toMatchObject({ ok: true, value: { id: 'a-r2' } });
  });

  it('changes nothing but the id, wherever it is written', async () => {
    const line = fc.constantFrom(
      '# id = "a"',
      '',
      'priority = 9',
      'tools = ["id"]',
      'model = "id"',
      'mounts = []',
      'timeout_minutes = 5',
    );
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(line),
        fc.uniqueArray(line),
        fc.constantFrom('\n', '\r\n'),
        async (above, below, eol) => {
          const both = [...above, 'id = "a"', ...below.filter((one) => !above.includes(one)), BODY].join('\n');
          const text = both.replaceAll('\n', eol);
          rmSync(path.join(root, 'vault/actions/2026/a-r2.toml'), { force: true });
          writeFiles(root, { 'vault/actions/2026/a.toml': text });
          await say(root, ['rerun', 'a']);
          const before = parseAction(Buffer.from(text), 'a.toml');
          const old = before.ok ? before.value : { id: 'not even the old one is valid' };
          const copy = parseAction(Buffer.from(read('vault/actions/2026/a-r2.toml')), 'a-r2.toml');
          expect(copy).toMatchObject({ ok: true, value: { ...old, id: 'a-r2' } });
        },
      ),
      { numRuns: 12 },
    );
  });

  it('takes the next number that nobody has or ever had: in any folder, as a result, or in the history', async () => {
    writeFiles(root, {
      'vault/actions/a-r2.toml': '',
      'vault/actions/old/a-r3.result.json': '{}',
      'vault/actions/a-r4.cancel.toml': '',
    });
    writeFiles(root, { 'vault/actions/x/a-r5.result.json': '{}' });
    await plainGit(root, ['add', '.']);
    await plainGit(root, ['commit', '--quiet', '-m', 'one']);
    await plainGit(root, ['rm', '--quiet', 'vault/actions/x/a-r5.result.json']);
    await plainGit(root, ['commit', '--quiet', '-m', 'two']);
    await plainGit(root, ['checkout', '--quiet', '-b', 'side']);
    writeFiles(root, { 'vault/actions/a-r6.toml': '' });
    await plainGit(root, ['add', '.']);
    await plainGit(root, ['commit', '--quiet', '-m', 'asked for elsewhere']);
    await plainGit(root, ['checkout', '--quiet', 'main']);
    expect((await rerun('a')).answer).toMatchObject({ id: 'a-r7', path: 'vault/actions/2026/a-r7.toml', of: 'a' });
  });

  it('goes on counting from a rerun, and leaves a name alone that only looks like one', async () => {
    await rerun('a');
    expect((await rerun('a-r2')).answer).toMatchObject({ id: 'a-r3', of: 'a-r2' });
    writeFiles(root, { 'vault/actions/rev-r7.toml': `id = "rev-r7"\n${BODY}` });
    expect((await rerun('rev-r7')).answer).toMatchObject({ id: 'rev-r7-r2' });
  });

  it('shortens an id of 128 characters, because the new one has to fit', async () => {
    const long = 'x'.repeat(128);
    writeFiles(root, { [`vault/actions/${long}.toml`]: `id = "${long}"\n${BODY}` });
    expect((await rerun(long)).answer).toMatchObject({ id: `${'x'.repeat(125)}-r2` });
    expect((await rerun(long)).answer).toMatchObject({ id: `${'x'.repeat(125)}-r3` });
  });

  it('warns of times that have passed', async () => {
    writeFiles(root, {
      'vault/actions/2026/a.toml': `id = "a"\n${BODY}not_before = 2020-01-01T00:00:00Z\nexpires_at = 2020-01-02T00:00:00Z\n`,
    });
    const { code, answer } = await rerun('a');
    expect(code).toBe(0);
    expect(answer).toMatchObject({
      problems: [
        { code: 'ERR_EXPIRED', severity: 'warning', line: 6, path: 'vault/actions/2026/a-r2.toml' },
        { code: 'ERR_NOT_BEFORE', severity: 'warning', line: 5 },
      ],
    });
  });

  it('writes a copy of an invalid action too, and says with 1 what is to be mended', async () => {
    writeFiles(root, { 'vault/actions/2026/a.toml': `id = "a"\n${BODY}prio = 1\n` });
    const { code, answer } = await rerun('a');
    expect(code).toBe(1);
    expect(answer).toMatchObject({
      id: 'a-r2',
      problems: [{ code: 'ERR_UNKNOWN_FIELD', path: 'vault/actions/2026/a-r2.toml' }],
    });
  });

  it('ends with 2 for an id that is not there, with the nearest one that is', async () => {
    writeFiles(root, {
      'vault/actions/publish.toml': `id = "publish"\n${BODY}`,
      'vault/actions/gone.result.json': result('gone'),
    });
    expect(await rerun('publsih')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^ERR_NOT_FOUND.*\n.*Did you mean publish\?/),
    });
    expect(await rerun('gone')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^ERR_NOT_FOUND.*action file is gone/),
    });
    expect(await say(tmpdir(), ['rerun', 'a'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('no ops repo'),
    });
  });

  it('writes nothing when the id is there twice, is a link, or cannot be changed safely', async () => {
    writeFiles(root, { 'vault/actions/b.toml': `id = "b"\n${BODY}`, 'vault/actions/x/b.toml': `id = "b"\n${BODY}` });
    writeFiles(root, {
      'vault/actions/m.toml': `id = """m"""\n${BODY}`,
      'vault/actions/none.toml': BODY,
      'vault/actions/n.toml': 'id = ',
    });
    writeFiles(root, { 'vault/actions/Upper.toml': BODY, 'vault/actions/u.toml': Buffer.from([0x69, 0x64, 0xff]) });
    symlinkSync('b.toml', path.join(root, 'vault/actions/link.toml'));
    const before = readdirSync(path.join(root, 'vault'), { recursive: true });
    for (const [id, code] of [
      ['b', 'ERR_ACTION_DUPLICATE'],
      ['link', 'ERR_FILE_KIND'],
      ['m', 'ERR_ACTION_ID'],
      ['none', 'ERR_ACTION_ID'],
      ['n', 'ERR_ACTION_ID'],
      ['u', 'ERR_FILE_ENCODING'],
      ['Upper', 'ERR_FILE_NAME'],
    ] as const) {
      expect(await rerun(id)).toMatchObject({
        code: 2,
        answer: { error: { code } },
        stderr: expect.stringContaining(code),
      });
    }
    expect(readdirSync(path.join(root, 'vault'), { recursive: true })).toEqual(before);
  });

  it('of a sidecar is no, with what makes it run again', async () => {
    const { code, stderr } = await say(root, ['rerun', 'sidecar/reproduce-12-3']);
    expect(code).toBe(2);
    expect(stderr).toContain('was asked for by an issue');
    expect(stderr).toContain('`why sidecar/reproduce-12` tells when');
  });
});
