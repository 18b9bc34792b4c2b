import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { plainGit } from '../../../src/cli/plain-git.ts';
import { say, writeFiles } from '../../fakes/command-line.ts';

const action = (id: string, more = '', formula = 'hello') =>
  `id = "${id}"\nformula = "${formula}"\ncontext = "Because"\nsecrets = []\n${more}`;
const formula = (name: string, more = '') => `name = "${name}"\ndescription = "d"\ncommand = ["true"]\n${more}`;

const GOOD = {
  'vault/policy.toml': '[tiers]\nhello = "low"\n',
  'vault/formulas/hello.toml': formula('hello'),
  'vault/actions/a.toml': action('a'),
  'vault/actions/2026/03/b.toml': action('b', 'depends_on = ["a"]\n'),
};

let root: string;

beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'edge-validate-'));
  mkdirSync(path.join(root, '.git'));
  writeFiles(root, GOOD);
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

interface Found {
  readonly code: string;
  readonly path: string;
  readonly severity: string;
  readonly line?: number;
  readonly column?: number;
  readonly message: string;
  readonly hint?: string;
}

async function found(...argv: string[]) {
  const { code, stdout } = await say(root, ['validate', '--json', ...argv]);
  const { files } = JSON.parse(stdout) as { files: { path: string; ok: boolean; problems: Found[] }[] };
  const problems = files.flatMap((file) => file.problems);
  return { code, files, problems, codes: problems.map((one) => `${one.path} ${one.severity} ${one.code}`) };
}

describe('edge-dispatcher validate', () => {
  it('checks every file of the ops repo around the working directory, from any folder in it', async () => {
    const { code, stdout } = await say(path.join(root, 'vault/actions/2026'), ['validate']);
    expect({ code, stdout }).toEqual({ code: 0, stdout: '4 files, no errors\n' });
    expect((await found()).files).toEqual(
      Object.keys(GOOD)
        .toSorted()
        .map((file) => ({ path: file, ok: true, problems: [] })),
    );
  });

  it('tells everything that is wrong at once, each with its place, and nothing as null', async () => {
    writeFiles(root, {
      'vault/actions/c.toml': action('other', 'secrts = []\n', 'nowhere'),
      'vault/formulas/bad.toml': 'name = "bad"\n',
      'vault/policy.toml': '[tiers]\nhello = "low"\nhelo = "high"\n',
    });
    const { code, codes, problems, files } = await found();
    expect(code).toBe(1);
    expect(codes).toEqual([
      'vault/actions/c.toml error ERR_ACTION_ID',
      'vault/actions/c.toml error ERR_UNKNOWN_FIELD',
      'vault/formulas/bad.toml error ERR_FORMULA_FIELD',
      'vault/formulas/bad.toml error ERR_FORMULA_FIELD',
      'vault/policy.toml warning ERR_POLICY_TIER_UNUSED',
    ]);
    expect(problems.at(-1)).toEqual({
      code: 'ERR_POLICY_TIER_UNUSED',
      path: 'vault/policy.toml',
      message: 'tiers.helo: there is no such formula',
      severity: 'warning',
      line: 3,
      column: 1,
      hint: 'Did you mean hello?',
    });
    expect(JSON.stringify(files)).not.toContain('null');
    expect(files.find((file) => file.path === 'vault/policy.toml')?.ok).toBe(true);
  });

  it('holds an action against its formula, with the line that asks for too much', async () => {
    writeFiles(root, {
      'vault/actions/c.toml': action('c').replace('[]', '["DEPLOY_KEY"]'),
      'vault/actions/d.toml': action('d', '', 'helo'),
    });
    const { problems } = await found();
    expect(problems).toMatchObject([
      { code: 'ERR_SECRET_NOT_ALLOWED', path: 'vault/actions/c.toml', line: 4 },
      { code: 'ERR_FORMULA_UNKNOWN', path: 'vault/actions/d.toml', line: 2, hint: 'Did you mean hello?' },
    ]);
  });

  it('does not hold an action that has a result against the formulas of today, but against the format', async () => {
    writeFiles(root, {
      'vault/actions/c.toml': action('c', 'depends_on = ["gone"]\n', 'gone'),
      'vault/actions/c.result.json': '{}',
      'vault/actions/d.toml': action('d', 'priority = 0\n', 'gone'),
      'vault/actions/d.result.json': '{}',
    });
    expect((await found()).codes).toEqual(['vault/actions/d.toml error ERR_ACTION_FIELD']);
  });

  it('blames the formula alone when it is the formula that is broken', async () => {
    writeFiles(root, { 'vault/formulas/hello.toml': 'name = ' });
    expect((await found()).codes).toEqual(['vault/formulas/hello.toml error ERR_FORMULA_SYNTAX']);
  });

  it('finds two actions of one id in different folders, misnamed files and ids that nobody has', async () => {
    writeFiles(root, {
      'vault/actions/2026/a.toml': action('a'),
      'vault/actions/Upper.toml': action('upper'),
      'vault/actions/c.toml': action('c', 'depends_on = ["aa"]\n'),
      'vault/actions/a.cancel.toml': 'reason = "no"\n',
      'vault/formulas/deep/er.toml': 'nothing',
    });
    const { codes, problems } = await found();
    expect(codes).toEqual([
      'vault/actions/2026/a.toml error ERR_ACTION_DUPLICATE',
      'vault/actions/Upper.toml error ERR_FILE_NAME',
      'vault/actions/a.toml error ERR_ACTION_DUPLICATE',
      'vault/actions/c.toml warning ERR_DEPENDENCY_WAITING',
      'vault/formulas/deep/er.toml warning ERR_FILE_NAME',
    ]);
    expect(problems[0]?.message).toBe('another action has the same id: vault/actions/a.toml');
  });

  it('checks cancel files, and warns of one that has no action beside it', async () => {
    writeFiles(root, {
      'vault/actions/2026/03/b.cancel.toml': 'raeson = "no"\n',
      'vault/actions/b.cancel.toml': 'reason = "no"\n',
      'vault/actions/nobody.cancel.toml': 'reason = ""\n',
      'vault/actions/A.cancel.toml': 'reason = "no"\n',
    });
    const { codes, problems, code } = await found();
    expect(codes).toEqual([
      'vault/actions/2026/03/b.cancel.toml error ERR_CANCEL_INVALID',
      'vault/actions/2026/03/b.cancel.toml error ERR_UNKNOWN_FIELD',
      'vault/actions/A.cancel.toml error ERR_CANCEL_INVALID',
      'vault/actions/b.cancel.toml warning ERR_CANCEL_INVALID',
      'vault/actions/nobody.cancel.toml error ERR_CANCEL_INVALID',
      'vault/actions/nobody.cancel.toml warning ERR_CANCEL_INVALID',
    ]);
    expect(code).toBe(1);
    expect(problems.find(({ hint }) => hint === 'Did you mean reason?')).toMatchObject({ line: 1 });
  });

  it('takes a link, a folder and a sub-module for no file, and follows none of them', async () => {
    writeFiles(root, {
      'elsewhere/z.toml': action('z'),
      'vault/actions/sub/.git': 'gitdir: x',
      'vault/actions/sub/s.toml': 'x',
    });
    symlinkSync('a.toml', path.join(root, 'vault/actions/link.toml'));
    symlinkSync('../../elsewhere', path.join(root, 'vault/actions/more'));
    mkdirSync(path.join(root, 'vault/actions/dir.toml'));
    symlinkSync('hello.toml', path.join(root, 'vault/formulas/linked.toml'));
    const { codes } = await found();
    expect(codes).toEqual([
      'vault/actions/dir.toml error ERR_FILE_KIND',
      'vault/actions/link.toml error ERR_FILE_KIND',
      'vault/actions/more warning ERR_FILE_KIND',
      'vault/actions/sub warning ERR_FILE_KIND',
      'vault/formulas/linked.toml error ERR_FILE_KIND',
    ]);
  });

  it('says that without a policy everything waits', async () => {
    rmSync(path.join(root, 'vault/policy.toml'));
    const { code, codes } = await found();
    expect({ code, codes }).toEqual({ code: 1, codes: ['vault/policy.toml error ERR_POLICY_MISSING'] });
  });

  it('checks the configuration with all of its problems, and looks where its paths point', async () => {
    writeFiles(root, {
      'dispatcher.toml': '[ops_repo]\nactions_dir = "asks"\nurll = "x"\n[engine]\nkind = "subproces"\n',
      'asks/c.toml': 'id = "d"',
    });
    const { codes, files } = await found();
    expect(codes.filter((one) => one.startsWith('dispatcher.toml')).length).toBeGreaterThanOrEqual(3);
    expect(files.map((file) => file.path)).toContain('asks/c.toml');
    expect(files.map((file) => file.path)).not.toContain('vault/actions/a.toml');
  });

  it('checks a configuration alone where there is no ops repo', async () => {
    const alone = path.join(root, 'elsewhere');
    rmSync(path.join(root, '.git'), { recursive: true });
    writeFiles(alone, { 'dispatcher.toml': '[ops_repo]\nurl = "x"\n[engine]\nkind = "subprocess"\n' });
    expect(await say(alone, ['validate'])).toMatchObject({ code: 0, stdout: '1 file, no errors\n' });
    expect(await say(root, ['validate'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('no ops repo around'),
    });
  });
});

describe('edge-dispatcher validate <file…>', () => {
  it('reports these only, but judges them beside all others', async () => {
    writeFiles(root, { 'vault/actions/2026/a.toml': action('a'), 'vault/actions/broken.toml': '=' });
    const { code, codes, files } = await found('vault/actions/a.toml', 'vault/policy.toml');
    expect(codes).toEqual(['vault/actions/a.toml error ERR_ACTION_DUPLICATE']);
    expect(files.map((file) => file.path)).toEqual(['vault/actions/a.toml', 'vault/policy.toml']);
    expect(code).toBe(1);
    expect((await found('vault/formulas')).files.map((file) => file.path)).toEqual(['vault/formulas/hello.toml']);
  });

  it('says what it does not check, and ends with 2 for a file that is not there or when nothing is left', async () => {
    writeFiles(root, { 'README.md': '' });
    expect(await say(root, ['validate', 'README.md', 'vault/policy.toml'])).toMatchObject({
      code: 0,
      stdout: '1 file, no errors\n',
      stderr: expect.stringContaining('not checked: README.md'),
    });
    expect(await say(root, ['validate', 'README.md'])).toMatchObject({ code: 2, stdout: '' });
    expect(await say(root, ['validate', 'vault/actions/x.toml'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('ERR_NOT_FOUND'),
    });
  });
});

describe('a circle of depends_on', () => {
  async function commitAll(message: string) {
    await plainGit(root, ['add', '.']);
    await plainGit(root, ['commit', '--quiet', '-m', message]);
  }

  it('is the fault of the action that was committed last, or is not committed yet', async () => {
    rmSync(path.join(root, '.git'), { recursive: true });
    await plainGit(root, ['init', '--quiet', '--initial-branch=main', '.']);
    writeFiles(root, { 'vault/actions/x.toml': action('x', 'depends_on = ["y"]\n') });
    await commitAll('x waits for what is not there yet');
    writeFiles(root, { 'vault/actions/y.toml': action('y', 'depends_on = ["x"]\n') });
    const { problems } = await found();
    expect(problems).toMatchObject([
      {
        code: 'ERR_DEPENDENCY_CYCLE',
        path: 'vault/actions/y.toml',
        line: 5,
        message: 'depends_on leads back to this action: y → x → y',
      },
    ]);
    await commitAll('y');
    writeFiles(root, { 'vault/actions/x.toml': action('x', 'depends_on = ["y"]\npriority = 9\n') });
    expect((await found()).codes).toEqual(['vault/actions/x.toml error ERR_DEPENDENCY_CYCLE']);
    writeFiles(root, { 'vault/actions/y.result.json': '{}' });
    expect((await found()).codes).toEqual([]);
  });
});

describe('what validate prints', () => {
  it('shows hostile names and texts escaped, and no value of a field', async () => {
    writeFiles(root, {
      'vault/actions/\u001B[2J.toml': action('c').replace('secrets = []', 'secrets = ["hunter2-pasted"]'),
    });
    const { stdout } = await say(root, ['validate']);
    expect(stdout).toContain(String.raw`vault/actions/\u{001B}[2J.toml`);
    expect(stdout).not.toContain('\u001B');
    expect(stdout).not.toContain('hunter2');
    expect(stdout).toMatch(/5 files, 2 errors\n$/);
  });

  it.each(['GITHUB_ACTIONS', 'FORGEJO_ACTIONS', 'GITEA_ACTIONS'])(
    'annotates the lines of files in the CI of %s',
    async (name) => {
      writeFiles(root, { 'vault/actions/50%,a:b.toml': action('c'), 'vault/policy.toml': '[tiers]\ngone = "low"\n' });
      const { stdout } = await say(root, ['validate'], { CI: 'true', [name]: 'true' });
      const annotations = stdout.split('\n').filter((line) => line.startsWith('::'));
      expect(annotations).toEqual([
        expect.stringMatching(
          /^::error file=vault\/actions\/50%25%2Ca%3Ab\.toml,title=ERR_FILE_NAME::the file name .*%0A/,
        ),
        expect.stringMatching(
          /^::warning file=vault\/policy\.toml,line=2,col=1,title=ERR_POLICY_TIER_UNUSED::tiers\.gone: /,
        ),
      ]);
      expect((await say(root, ['validate'], { CI: 'true' })).stdout).not.toContain('::error');
      expect((await say(root, ['validate'], { [name]: 'true' })).stdout).not.toContain('::error');
    },
  );
});

describe('edge-dispatcher validate, of sidecars', () => {
  const config = `[ops_repo]
url = "/nowhere"
[engine]
kind = "subprocess"
[access]
kind = "file"
[forge]
kind = "forgejo"
url = "http://127.0.0.1:1"
repo = "ops/ops"
token_file = "/nowhere"
[[sidecar]]
formula = "reproduce"
repo = "ops/code"
project_toml = "projects/code.toml"
`;

  it('tells what keeps a formula from working on issues: it asks for somebody, or for inputs', async () => {
    const inputs = '[inputs.page]\ntype = "string"\nrequired = true\n';
    writeFiles(root, {
      'dispatcher.toml': config,
      'projects/code.toml': 'language = "c"\n',
      'vault/formulas/reproduce.toml': formula('reproduce', inputs),
      'vault/formulas/own.toml': formula('own', 'job = "sidecar"\n'),
      'vault/formulas/fine.toml': formula('fine', 'job = "sidecar"\nunattended = true\n'),
    });
    const { code, codes, problems } = await found();
    expect(code).toBe(0);
    expect(codes.toSorted()).toEqual([
      'vault/formulas/own.toml warning ERR_SIDECAR_FORMULA',
      'vault/formulas/reproduce.toml warning ERR_SIDECAR_FORMULA',
      'vault/formulas/reproduce.toml warning ERR_SIDECAR_FORMULA',
    ]);
    expect(problems.find(({ path: file }) => file.endsWith('own.toml'))).toMatchObject({ line: 4 });
  });

  it('refuses an action of a formula that is for sidecars', async () => {
    writeFiles(root, {
      'vault/formulas/own.toml': formula('own', 'job = "sidecar"\nunattended = true\n'),
      'vault/actions/c.toml': action('c', '', 'own'),
    });
    const { code, codes, problems } = await found();
    expect({ code, codes }).toEqual({ code: 1, codes: ['vault/actions/c.toml error ERR_SIDECAR_JOB'] });
    expect(problems[0]).toMatchObject({ line: 2, message: 'formula own is for sidecars: its job is sidecar' });
  });

  it.each([
    ['no TOML', 'language =\n', 'ERR_PROJECT_INVALID'],
    ['too large', `text = "${'x'.repeat(16 * 1024)}"\n`, 'ERR_PROJECT_INVALID'],
    ['not there', null, 'ERR_PROJECT_UNAPPROVED'],
  ])('tells of a project file that is %s', async (_what, text, expected) => {
    writeFiles(root, {
      'dispatcher.toml': config,
      'vault/formulas/reproduce.toml': formula('reproduce', 'unattended = true\n'),
      ...(text === null ? {} : { 'projects/code.toml': text }),
    });
    const { code, codes } = await found();
    expect({ code, codes }).toEqual({ code: 1, codes: [`projects/code.toml error ${expected}`] });
  });
});
