import {
  appendFileSync,
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { DEFAULT_PATHS } from '../../../src/cli/ops-repo-files.ts';
import { plainGit } from '../../../src/cli/plain-git.ts';
import { readConfig } from '../../../src/config.ts';
import { parsePolicy } from '../../../src/domain/policy.ts';
import { availableParts, sectionSchemas } from '../../../src/wiring.ts';
import { say, writeFiles } from '../../fakes/command-line.ts';
import { type FolderCopy, keepFolder } from '../../fakes/folder-copy.ts';
import { createSigningKey, type SigningKey } from '../../fakes/git-repo.ts';

let dir: string;
let ops: string;

beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'edge-init-'));
  ops = path.join(dir, 'ops');
});

afterEach(() => rmSync(dir, { recursive: true, force: true }));

const read = (file: string) => readFileSync(path.join(ops, file), 'utf8');

function configOf(text: string) {
  const file = { path: 'dispatcher.toml', bytes: Buffer.from(text) };
  const read = readConfig({ ...availableParts(), file, env: {}, sections: sectionSchemas(), hostname: 'h', cwd: ops });
  return read.ok ? read.config : read.problems;
}

/** Git's configuration of a person with a signing key. */
async function ada(): Promise<{ key: SigningKey; env: Record<string, string> }> {
  const key = await createSigningKey(path.join(dir, 'keys'));
  const file = path.join(dir, 'gitconfig');
  writeFileSync(file, `[user]\nname = Ada\nemail = ada@example.org\nsigningkey = ${key.file}\n[gpg]\nformat = ssh\n`);
  return { key, env: { GIT_CONFIG_GLOBAL: file } };
}

describe('edge-dispatcher init', () => {
  it('makes an ops repo that validates, with a configuration that is accepted', async () => {
    const { code, stdout } = await say(dir, ['init', 'ops']);
    expect(code).toBe(0);
    expect(stdout).toContain(`Made an ops repo in ${ops}, branch main\n`);
    expect(await say(ops, ['validate'])).toMatchObject({ code: 0, stdout: '3 files, no errors\n' });
    expect(configOf(read('dispatcher.toml'))).toMatchObject({
      ops_repo: { url: path.join(ops, 'edge-data/ops.git'), branch: 'main' },
      approval: { trusted_commit: null },
    });
    expect(await plainGit(ops, ['status', '--porcelain'])).toBe('?? .gitignore\n?? vault/');
  });

  it('prints steps that, taken one after the other, end with a repo that the dispatcher trusts', async () => {
    const { env } = await ada();
    const { stdout } = await say(dir, ['init', 'ops', '--json'], env);
    const { next } = JSON.parse(stdout) as { next: { text: string; commands: string[] }[] };
    const commands = next.flatMap((step) => step.commands);
    for (const command of commands.filter(
      (one) => /^git (?:add|commit|init|remote|push) /.test(one) && !one.includes('hello'),
    )) {
      await plainGit(
        ops,
        command
          .slice('git '.length)
          .split(' ')
          .map((word) => word.replaceAll('"', ''))
          .reduce(inMessage, []),
      );
    }
    expect(commands).toContain('edge-dispatcher init --trust HEAD');
    expect(await say(ops, ['init', '--trust', 'HEAD'], env)).toMatchObject({ code: 0 });
    const head = await plainGit(path.join(ops, 'edge-data/ops.git'), ['rev-parse', 'main']);
    expect(configOf(read('dispatcher.toml'))).toMatchObject({ approval: { trusted_commit: head } });
  });

  it('names as approver whom git knows, with the key that they sign with', async () => {
    const { key, env } = await ada();
    const { stdout } = await say(dir, ['init', 'ops'], env);
    expect(parsePolicy(Buffer.from(read('vault/policy.toml')), 'p')).toMatchObject({
      ok: true,
      value: { approvers: [{ name: 'Ada', keys: [{ principal: 'ada@example.org', key: key.publicKey }] }] },
    });
    expect(stdout).toContain('Check who may approve: so far Ada with the key of user.signingkey');
  });

  it('never reads a private key, and does not take a key of another kind of signature', async () => {
    const { key, env } = await ada();
    rmSync(`${key.file}.pub`);
    chmodSync(key.file, 0o644);
    await say(dir, ['init', 'ops'], env);
    expect(read('vault/policy.toml')).toContain('# [[approvers]]');
    expect(read('vault/policy.toml')).not.toContain('PRIVATE');
    expect(parsePolicy(Buffer.from(read('vault/policy.toml')), 'p')).toMatchObject({
      ok: true,
      value: { approvers: [] },
    });
  });

  it('takes url and branch from a clone, without a password in the url', async () => {
    await plainGit(dir, ['init', '--quiet', '--initial-branch=trunk', 'ops']);
    await plainGit(ops, ['remote', 'add', 'forge', 'https://bob:hunter2@forge.example/ops/ops.git']);
    const { stdout } = await say(ops, ['init']);
    expect(configOf(read('dispatcher.toml'))).toMatchObject({
      ops_repo: { url: 'https://forge.example/ops/ops.git', branch: 'trunk' },
    });
    expect(stdout).toContain('git push -u forge trunk');
    expect(`${stdout}${read('dispatcher.toml')}`).not.toContain('hunter2');
  });

  it('says when the remote is nothing that the dispatcher takes', async () => {
    await plainGit(dir, ['init', '--quiet', '--initial-branch=main', 'ops']);
    await plainGit(ops, ['remote', 'add', 'origin', 'git://forge.example/ops.git']);
    expect((await say(ops, ['init'])).stdout).toContain('Set url of [ops_repo] in dispatcher.toml');
  });

  it('overwrites nothing, and adds no example to what is in use', async () => {
    await plainGit(dir, ['init', '--quiet', '--initial-branch=main', 'ops']);
    const own = {
      'vault/policy.toml': '# mine\n',
      'vault/formulas/release.toml': '# mine\n',
      '.gitignore': 'mine\n',
      'dispatcher.toml': '# mine\n',
    };
    writeFiles(ops, own);
    const { code, stdout } = await say(ops, ['init']);
    expect(code).toBe(0);
    for (const [name, text] of Object.entries(own)) expect(read(name)).toBe(text);
    expect(readdirSync(path.join(ops, 'vault/formulas'))).toEqual(['release.toml']);
    expect(stdout).toContain('kept   vault/policy.toml (it was there)');
    expect(stdout).toContain("printf '%s\\n' /dispatcher.toml /edge-data/ >> .gitignore");
  });

  it('changes nothing when it is called again', async () => {
    await say(dir, ['init', 'ops']);
    const before = readdirSync(ops, { recursive: true }).filter((name) => !String(name).startsWith('.git/'));
    const { code, stdout } = await say(ops, ['init', '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ written: [], kept: expect.arrayContaining(['dispatcher.toml']) });
    expect(readdirSync(ops, { recursive: true }).filter((name) => !String(name).startsWith('.git/'))).toEqual(before);
  });

  it('refuses a folder inside another repo and a bare repo, and leaves them as they are', async () => {
    await plainGit(dir, ['init', '--quiet', '--bare', 'bare.git']);
    await plainGit(dir, ['init', '--quiet', 'other']);
    expect(await say(dir, ['init', 'other/deep/ops'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('lies inside'),
    });
    expect(await say(dir, ['init', 'bare.git'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('bare repo'),
    });
    expect(readdirSync(path.join(dir, 'other'))).toEqual(['.git']);
  });

  it('knows the same default folders as the configuration', () => {
    const { actionsDir, formulasDir, policyFile } = DEFAULT_PATHS;
    const config = configOf('[ops_repo]\nurl = "x"\n[engine]\nkind = "subprocess"\n');
    expect(config).toMatchObject({
      ops_repo: { actions_dir: actionsDir, formulas_dir: formulasDir, policy_file: policyFile },
    });
  });
});

/** Puts the words of a commit message together again. */
function inMessage(words: string[], word: string): string[] {
  return words.at(-2) === '-m' ? [...words.slice(0, -1), `${words.at(-1)} ${word}`] : [...words, word];
}

describe('edge-dispatcher init --trust', () => {
  let made: FolderCopy;
  let head: string;

  // Each test has a repo of its own, written from memory: to make one takes ten processes.
  beforeAll(async () => {
    dir = mkdtempSync(path.join(tmpdir(), 'edge-init-'));
    ops = path.join(dir, 'ops');
    const { env } = await ada();
    await say(dir, ['init', 'ops'], env);
    await plainGit(ops, ['add', '.']);
    await plainGit(ops, ['commit', '--quiet', '-m', 'one']);
    head = await plainGit(ops, ['rev-parse', 'HEAD']);
    made = await keepFolder(ops);
    rmSync(dir, { recursive: true });
  });
  beforeEach(() => made.writeTo(ops));

  const trust = (commit: string, ...more: string[]) => say(ops, ['init', '--trust', commit, ...more]);

  it('writes the whole id of a commit and keeps the rest of the file, also when it is asked twice', async () => {
    chmodSync(path.join(ops, 'dispatcher.toml'), 0o640);
    const before = read('dispatcher.toml');
    const { code, stdout } = await trust(head.slice(0, 8));
    expect(code).toBe(0);
    const after = read('dispatcher.toml');
    expect(after).toBe(before.replace('trusted_commit = ""', `trusted_commit = "${head}"`));
    expect(statSync(path.join(ops, 'dispatcher.toml')).mode & 0o777).toBe(0o640);
    expect(stdout).toContain(`dispatcher.toml now trusts ${head}\n`);
    expect(stdout).toContain('  formula   hello (low)\n  approver  Ada: ada@example.org\n');
    expect((await trust('main')).stdout).toContain(`dispatcher.toml trusts already ${head}\n`);
    expect(read('dispatcher.toml')).toBe(after);
  });

  const REST = '[ops_repo]\nurl = "x"\n[engine]\nkind = "subprocess"\n';
  it.each([
    [
      'a section without the key',
      `${REST}[approval] # who\nlow = []\n`,
      '[approval] # who\n',
      '[approval] # who\nKEY\n',
    ],
    ['no section', REST, /$/, '\n[approval]\nKEY\n'],
    ['no section and no final newline', REST.trimEnd(), /$/, '\n\n[approval]\nKEY\n'],
    ['carriage returns', `${REST}[approval]\n`.replaceAll('\n', '\r\n'), /$/, 'KEY\r\n'],
    ['only a section below it', `${REST}[approval.high]\nall = ["signed-commit"]\n`, /$/, '\n[approval]\nKEY\n'],
    ['dotted keys', `approval.low = []\n${REST}`, /^/, 'approval.KEY\n'],
    ['a dotted key', `approval.trusted_commit = '' # c\n${REST}`, "''", "'HEAD'"],
    ['an inline table', `approval = { low = [], trusted_commit = "" }\n${REST}`, '""', '"HEAD"'],
    ['the name in a comment', `# trusted_commit = ""\n${REST}[approval]\n trusted_commit="" # c`, /=""/, '="HEAD"'],
  ])('finds its place in a file with %s', async (_, text, place, written) => {
    writeFiles(ops, { 'dispatcher.toml': text });
    expect((await trust('HEAD')).code).toBe(0);
    const expected = written.replace('KEY', 'trusted_commit = "HEAD"').replace('HEAD', head);
    expect(read('dispatcher.toml')).toBe(text.replace(place, expected));
    expect(configOf(read('dispatcher.toml'))).toMatchObject({ approval: { trusted_commit: head } });
  });

  it.each([
    ['no TOML', '[approval\n'],
    ['an inline table that has no place for it', `approval = { low = [] }\n${REST}`],
    ['something else in its place', `${REST}[approval]\ntrusted_commit = 5\n`],
  ])('leaves a file alone that is %s, and says what to write', async (_, text) => {
    writeFiles(ops, { 'dispatcher.toml': text });
    const { code, stderr } = await trust('HEAD');
    expect({ code, text: read('dispatcher.toml') }).toEqual({ code: 2, text });
    expect(stderr).toContain(`trusted_commit = "${head}"`);
  });

  it('refuses what is no commit, what is not on the branch, and what has no valid policy', async () => {
    const before = read('dispatcher.toml');
    await plainGit(ops, ['checkout', '--quiet', '-b', 'side']);
    await plainGit(ops, ['commit', '--quiet', '--allow-empty', '-m', 'aside']);
    expect(await trust('HEAD')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('is not on the branch main'),
    });
    await plainGit(ops, ['checkout', '--quiet', 'main']);
    writeFiles(ops, { 'vault/policy.toml': 'tiers = 5\n' });
    await plainGit(ops, ['commit', '--quiet', '-am', 'broken']);
    for (const [commit, code] of [
      ['nope', 'ERR_NOT_FOUND'],
      ['', 'ERR_NOT_FOUND'],
      ['--all', 'ERR_NOT_FOUND'],
      [`${head}:vault`, 'ERR_NOT_FOUND'],
      ['0'.repeat(40), 'ERR_NOT_FOUND'],
      ['side', 'ERR_NOT_FOUND'],
      ['HEAD', 'ERR_POLICY_INVALID'],
    ] as const) {
      expect(await say(ops, ['init', `--trust=${commit}`])).toMatchObject({
        code: 2,
        stdout: '',
        stderr: expect.stringContaining(code),
      });
    }
    expect(read('dispatcher.toml')).toBe(before);
  });

  it('tells what is in force as JSON too, broken formulas of that commit among it', async () => {
    writeFiles(ops, { 'vault/formulas/bad.toml': 'name = 5\n' });
    await plainGit(ops, ['add', '.']);
    await plainGit(ops, ['commit', '--quiet', '-m', 'bad']);
    const { code, stdout } = await trust('HEAD', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      trusted_commit: await plainGit(ops, ['rev-parse', 'HEAD']),
      changed: true,
      formulas: [{ name: 'hello', tier: 'low' }],
      approvers: [{ name: 'Ada' }],
      problems: expect.arrayContaining([expect.objectContaining({ path: 'vault/formulas/bad.toml' })]),
    });
  });

  it('names every edit of policy, formulas and project files since the commit that was trusted before, for it accepts them', async () => {
    await trust('HEAD');
    const rule = '[[sidecar]]\nformula = "more"\nrepo = "ops/code"\nproject_toml = "projects/code.toml"\n';
    appendFileSync(path.join(ops, 'dispatcher.toml'), `\n${rule}`);
    writeFiles(ops, {
      'vault/formulas/more.toml': 'name = "more"\ndescription = "d"\ncommand = ["true"]\n',
      'projects/code.toml': '',
      'projects/other.toml': '',
    });
    await plainGit(ops, ['add', '.']);
    await plainGit(ops, ['commit', '--quiet', '-m', 'more']);
    const second = await plainGit(ops, ['rev-parse', 'HEAD']);
    writeFiles(ops, { 'vault/notes.md': 'no rule' });
    await plainGit(ops, ['add', '.']);
    await plainGit(ops, ['commit', '--quiet', '-m', 'notes']);
    const { stdout } = await trust('HEAD');
    const edits = ['projects/code.toml', 'vault/formulas/more.toml'].map(
      (file) => `  ${second.slice(0, 12)}  ${file}\n`,
    );
    expect(stdout).toContain(`edits that nobody approved included. Look at each of these:\n${edits.join('')}\n`);
    expect((await trust('HEAD')).stdout).not.toContain('nobody approved');
  });

  it('says until the commit is pushed that nothing is in force yet, and that a variable of the environment wins', async () => {
    expect((await trust('HEAD')).stdout).toContain('git push');
    await plainGit(ops, ['init', '--quiet', '--bare', '--initial-branch=main', 'edge-data/ops.git']);
    await plainGit(ops, ['remote', 'add', 'origin', './edge-data/ops.git']);
    await plainGit(ops, ['push', '--quiet', 'origin', 'main']);
    expect((await trust('HEAD')).stdout).not.toContain('git push');
    const { stdout } = await say(ops, ['init', '--trust', 'HEAD'], { EDGE_APPROVAL_TRUSTED_COMMIT: head });
    expect(stdout).toContain('EDGE_APPROVAL_TRUSTED_COMMIT is set here');
  });

  it('asks for a configuration where there is none', async () => {
    rmSync(path.join(ops, 'dispatcher.toml'));
    expect(await trust('HEAD')).toMatchObject({ code: 2, stderr: expect.stringContaining('ERR_CONFIG_FILE') });
  });
});
