import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { RULE_NAMES } from '../../src/approvals/index.ts';
import { type ConfigInput, defaultConfig, findConfigFile, readConfig } from '../../src/config.ts';
import type { Problem } from '../../src/errors.ts';

const FORGE = '[forge]\nkind = "forgejo"\nurl = "https://forge.example"\nrepo = "ops/ops"\ntoken_file = "/x"\n';
const FIXTURES = path.resolve(import.meta.dirname, '../fixtures/configs');
const HIDDEN = 'a-value-nobody-may-see';

const sections = {
  'engine.subprocess': z.strictObject({ run_as: z.string().default('') }),
  'access.file': z.strictObject({ dir: z.string().default('') }),
};
const version = {
  sections,
  rules: RULE_NAMES,
  engines: { subprocess: ['file', 'vault'] },
  accesses: ['file'],
  hostname: 'host-1',
  cwd: '/srv',
  env: {},
};
const SMALLEST = '[ops_repo]\nurl = "/srv/ops.git"\n[engine]\nkind = "subprocess"\n';

type Input = ConfigInput<typeof sections>;

function read(toml: string | Uint8Array, more: Partial<Input> = {}) {
  return readConfig({ ...version, file: { path: 'dispatcher.toml', bytes: Buffer.from(toml) }, ...more });
}

function accepted(toml: string, more: Partial<Input> = {}) {
  const result = read(toml, more);
  if (!result.ok) throw new Error(`refused: ${JSON.stringify(result.problems)}`);
  return result;
}

function refused(toml: string | Uint8Array, more: Partial<Input> = {}): readonly Problem[] {
  const result = read(toml, more);
  return result.ok ? [] : result.problems;
}

const bytesOf = (name: string) => readFileSync(path.join(FIXTURES, name));
const fixture = (name: string) => bytesOf(name).toString('utf8');
const fixtures = (folder: string) => readdirSync(path.join(FIXTURES, folder)).map((name) => `${folder}/${name}`);
/** What the names of the bad files begin with. */
const DEFECTS = [
  'approval',
  'branch',
  'encoding',
  'folders',
  'journal-ref',
  'listen',
  'missing',
  'mount',
  'not-available',
  'peers',
  'range',
  'runner',
  'secret',
  'several',
  'state-dir',
  'syntax',
  'text',
  'type',
  'unknown',
  'url',
];

describe('a wrong configuration file', () => {
  it('has an example of every kind of defect, none of them lost', () => {
    const names = fixtures('bad').map((name) => path.basename(name));
    const lost = DEFECTS.filter((defect) => !names.some((name) => name.startsWith(`${defect}-`)));
    expect(lost).toEqual([]);
  });

  it.each(fixtures('bad'))('%s is refused with all its problems, each at its place', (name) => {
    const text = fixture(name);
    const expected = [...text.matchAll(/^# expect: (\S+) (\S+) (.*)$/gm)].map(([, code, line, message = '']) => {
      return { code, line: line === '-' ? undefined : Number(line), message: expect.stringContaining(message) };
    });
    expect(expected).not.toEqual([]);
    const found = refused(bytesOf(name));
    expect(found.map(({ code, line, message }) => ({ code, line, message }))).toEqual(expected);
    expect(found.every((problem) => problem.path === 'dispatcher.toml' && problem.severity === 'error')).toBe(true);
  });

  it.each(fixtures('bad'))('%s is told what to do about each problem', (name) => {
    expect(refused(bytesOf(name)).filter(({ hint }) => (hint ?? '').trim() === '')).toEqual([]);
  });

  it.each(fixtures('bad'))('%s never has a value quoted (R14)', (name) => {
    expect(JSON.stringify(refused(bytesOf(name)))).not.toContain(HIDDEN);
  });

  it('is refused as no plain UTF-8 with a byte order mark, a NUL or other bytes', () => {
    const files = [`\uFEFF${SMALLEST}`, `${SMALLEST}# \0`, Buffer.from([0x61, 0xff])];
    const codes = files.map((file) => refused(file).map((problem) => problem.code));
    expect(codes).toEqual([['ERR_FILE_ENCODING'], ['ERR_FILE_ENCODING'], ['ERR_FILE_ENCODING']]);
  });

  it('is refused with a character that hides what stands there, beside its other problems', () => {
    const codes = refused(`${SMALLEST}# \u202E\n[limits]\nin_flight = 0\n`).map((problem) => problem.code);
    expect(codes).toEqual(['ERR_TEXT_UNSAFE', 'ERR_CONFIG_FIELD']);
  });

  it('tells every problem at once, wherever it is', () => {
    const toml = `${SMALLEST}[limits]\nin_flight = 0\n[dispatcher]\npoll_seconds = "5"\n[mounts.ssh]\npth = "/x"\n`;
    const places = refused(toml).map((problem) => problem.message.split(' ')[0]);
    expect(places).toEqual(['dispatcher.poll_seconds', 'mounts.ssh.pth', 'limits.in_flight']);
  });

  it('names the key and the variable that take a secret instead', () => {
    const [problem] = refused(`${SMALLEST.replace('[engine]', `token = "${HIDDEN}"\n[engine]`)}`);
    expect(problem?.hint).toContain('ops_repo.token_file, or set EDGE_OPS_REPO_TOKEN');
  });

  it('counts the length of texts and lists in characters and elements, and takes the words of the section itself', () => {
    const section = z.strictObject({
      code: z.string().min(3).default('abc'),
      short: z.string().max(2).default(''),
      hosts: z.array(z.string()).min(1).default(['a']),
      zones: z.array(z.string()).min(2).default(['a', 'b']),
      word: z.string().min(2, 'must be a word').default('ab'),
    });
    const own = { ...sections, 'engine.subprocess': section };
    const toml = `${SMALLEST}[engine.subprocess]\ncode = "a"\nshort = "abc"\nhosts = []\nzones = []\nword = ""\n`;
    const result = readConfig({ ...version, sections: own, file: { path: 'x', bytes: Buffer.from(toml) } });
    expect(result.ok ? [] : result.problems.map(({ message }) => message)).toEqual([
      'engine.subprocess.code must have at least 3 characters',
      'engine.subprocess.short must have at most 2 characters',
      'engine.subprocess.hosts must not be empty',
      'engine.subprocess.zones must have at least 2 elements',
      'engine.subprocess.word must be a word',
    ]);
  });

  it.each(['path', 'state_dir'])('is refused with a NUL or a line break in the %s that a variable gives', (key) => {
    const variable = key === 'path' ? 'EDGE_MOUNTS_SSH_PATH' : 'EDGE_DISPATCHER_STATE_DIR';
    const problems = ['/a\0b', '/a\nb', '/a\rb'].map((value) => refused(SMALLEST, { env: { [variable]: value } }));
    expect(problems.map((each) => each.map(({ message }) => message.split(' ')[0]))).toEqual([
      [variable],
      [variable],
      [variable],
    ]);
  });

  it('is refused for an engine and an access that do not go together', () => {
    const more = { engines: { subprocess: ['file'] }, accesses: ['file', 'vault'] };
    const problems = refused(`${SMALLEST}[access]\nkind = "vault"\n`, more);
    expect(problems).toMatchObject([
      { code: 'ERR_CONFIG_FIELD', message: 'access.kind does not go with engine subprocess, which takes: file' },
    ]);
  });

  it('is refused when forge-merge is the only rule of the high tier, and of that tier only', () => {
    const more = { rules: ['forge-merge', 'signed-commit'] };
    const rule = (tier: string, value: string) =>
      refused(`${SMALLEST}${FORGE}[approval]\n${tier} = ${value}\n`, more).length;
    expect(rule('high', '["forge-merge"]')).toBe(1);
    expect(rule('high', '{ any = ["forge-merge"] }')).toBe(1);
    expect(rule('high', '["forge-merge", "signed-commit"]')).toBe(0);
    expect(rule('medium', '["forge-merge"]')).toBe(0);
  });
});

describe('a right configuration file', () => {
  it.each(fixtures('good'))('%s is accepted without a warning', (name) => {
    expect(accepted(fixture(name)).warnings).toEqual([]);
  });

  it('gets every default applied', () => {
    const { config } = accepted(fixture('good/smallest.toml'));
    expect(config).toMatchObject({
      source: 'file',
      dispatcher: { name: 'host-1', state_dir: '/var/lib/edge-dispatcher', poll_seconds: 5, peers: [] },
      ops_repo: { url: 'https://forge.example/ops/ops.git', branch: 'main', journal_url: null, token_file: null },
      runner: { agent: [] },
      mounts: {},
      engine: { kind: 'subprocess' },
      access: { kind: 'file' },
      store: { url: 'file:///var/lib/edge-dispatcher/store' },
      limits: { in_flight: 16, log_bytes: 67108864, artifact_bytes: 104857600, placement: 'wait', approval_days: 7 },
      http: { listen: { host: '127.0.0.1', port: 9467 } },
      sections: { 'engine.subprocess': { run_as: '' }, 'access.file': { dir: '' } },
    });
  });

  it('without [approval] lets low need nobody, and medium and high wait for ever', () => {
    const { approval } = accepted(SMALLEST).config;
    const nobody = { all: [], any: [], atLeast: 0, selfApprove: false };
    expect([approval.low, approval.medium, approval.high]).toEqual([nobody, null, null]);
  });

  it.each([
    ['medium', '["forge-review"]', ['forge-review'], []],
    ['medium', '["forge-merge"]', ['forge-merge'], []],
    ['high', '["forge-merge", "signed-commit"]', ['forge-merge', 'signed-commit'], []],
    ['high', '["signed-tag"]', ['signed-tag'], []],
    ['high', '{ any = ["forge-review", "signed-tag"], at_least = 2 }', [], ['forge-review', 'signed-tag']],
  ] as const)('may name for %s the rules %s, of which this version need not have each', (tier, rules, all, any) => {
    const { config, warnings } = accepted(`${SMALLEST}${FORGE}[approval]\n${tier} = ${rules}\n`);
    expect([config.approval[tier], warnings]).toMatchObject([{ all, any }, []]);
  });

  it('keeps every key that it sets', () => {
    const { config } = accepted(fixture('good/every-key.toml'));
    expect(config).toMatchObject({
      dispatcher: { name: 'edge-1', state_dir: '/srv/edge', poll_seconds: 0.5 },
      ops_repo: {
        branch: 'ops/main',
        journal_url: 'git@forge.example:ops/journal.git',
        known_hosts_file: '/srv/hosts',
      },
      approval: {
        medium: { all: ['trust-branch'], any: [], atLeast: 0, selfApprove: false },
        high: { all: ['trust-branch'], any: ['signed-commit'], atLeast: 2, selfApprove: true },
        trusted_commit: '0123456789abcdef0123456789abcdef01234567',
        bots: ['edge-bot'],
      },
      mounts: { ssh: { path: '/home/agent/.ssh', host_volume: 'ssh' } },
      limits: { in_flight: 1000, placement: 'stop' },
      http: { listen: { host: '::1', port: 0 } },
      sections: { 'engine.subprocess': { run_as: 'agent' }, 'access.file': { dir: '/srv/secrets' } },
    });
  });

  it('lets relative paths start at the working directory, also that of the ops repo', () => {
    const { config } = accepted(`${fixture('good/local-path.toml')}[dispatcher]\nstate_dir = "state"\n`);
    expect([config.ops_repo.url, config.dispatcher.state_dir]).toEqual(['/srv/repos/ops.git', '/srv/state']);
    expect(config.store.url).toBe('file:///srv/state/store');
    expect(config.http.listen).toBeNull();
  });

  it.each([
    'https://forge.example/ops.git',
    'ssh://git@forge.example/ops.git',
    'git@forge.example:ops/ops.git',
    'git@forge-2.example:-ops/ops.git',
    '/srv/a@-b:c/ops.git',
    'http://127.0.0.1:3000/ops.git',
    'file:///srv/ops.git',
    '/srv/ops.git',
  ])('may name the ops repo as %s, which stays as it is', (url) => {
    expect(accepted(SMALLEST.replace('/srv/ops.git', url)).config.ops_repo.url).toBe(url);
  });

  it.each([
    'ssh://git:secret@forge.example/ops.git',
    'https://token@forge.example/ops.git',
    'https://forge.example/ops.git?access_token=x',
    'git://forge.example/ops.git',
    '-oProxyCommand=x',
    'ssh://-oProxyCommand=x/ops.git',
    'git@-oProxyCommand=x:ops.git',
    ' /srv/ops.git',
    '/srv/ops.git\u00A0',
    '',
  ])('may not name the ops repo as %j', (url) => {
    expect(refused(SMALLEST.replace('/srv/ops.git', url))).toMatchObject([{ code: 'ERR_CONFIG_FIELD', line: 2 }]);
  });

  it.each(['main', 'HEAD-2', 'a@b', 'refs-of/main', 'team/refs/x'])('may name the branch %s', (branch) => {
    const toml = SMALLEST.replace('[engine]', `branch = "${branch}"\n[engine]`);
    expect(accepted(toml).config.ops_repo.branch).toBe(branch);
  });

  it.each(['refs/a/b', 'refs/heads-of/x', 'refs/edge/journal/2'])('may name the journal %s', (ref) => {
    const toml = SMALLEST.replace('[engine]', `journal_ref = "${ref}"\n[engine]`);
    expect(accepted(toml).config.ops_repo.journal_ref).toBe(ref);
  });

  it('is frozen to its depth', () => {
    const { config } = accepted(fixture('good/every-key.toml'));
    const open: string[] = [];
    const visit = (value: unknown, at: string): void => {
      if (typeof value !== 'object' || value === null) return;
      if (!Object.isFrozen(value)) open.push(at);
      for (const [key, child] of Object.entries(value)) visit(child, `${at}.${key}`);
    };
    visit(config, 'config');
    expect(open).toEqual([]);
  });

  it('names the dispatcher by its host, in the letters that a name may have', () => {
    expect(accepted(SMALLEST, { hostname: '_node 7.example' }).config.dispatcher.name).toBe('node-7.example');
  });

  it('leaves a section out that is neither chosen nor written', () => {
    const more = { sections: { ...sections, 'engine.nomad': z.strictObject({ address: z.string() }) } };
    const result = readConfig({ ...version, ...more, file: { path: 'x', bytes: Buffer.from(SMALLEST) } });
    expect(result).toMatchObject({ ok: true, config: { sections: { 'engine.subprocess': {} } } });
  });
});

describe('the embedded default', () => {
  it('applies with no file: an ops repo in edge-data, subprocess, file access and trust-branch at every tier', () => {
    const trusted = { all: ['trust-branch'], any: [], atLeast: 0, selfApprove: false };
    expect(readConfig({ ...version, file: null })).toMatchObject({
      ok: true,
      config: {
        source: 'embedded',
        dispatcher: { state_dir: '/srv/edge-data' },
        ops_repo: { url: '/srv/edge-data/ops.git' },
        approval: { low: trusted, medium: trusted, high: trusted },
        engine: { kind: 'subprocess' },
        access: { kind: 'file' },
      },
    });
  });

  it('never brings its trust to an ops repo that the environment names', () => {
    const env = { EDGE_OPS_REPO_URL: 'https://forge.example/ops.git', EDGE_ENGINE_KIND: 'subprocess' };
    expect(readConfig({ ...version, file: null, env })).toMatchObject({
      ok: true,
      config: { source: 'environment', approval: { medium: null, high: null } },
    });
  });

  it('has the form of the file', () => {
    expect(defaultConfig('/tmp/x')).toMatchObject({ ops_repo: { url: '/tmp/x/ops.git' } });
  });
});

describe('findConfigFile', () => {
  it('answers the file of the option, there or not, and else dispatcher.toml if it is there', () => {
    expect(findConfigFile('my.toml', '/srv')).toBe('/srv/my.toml');
    expect(findConfigFile('/etc/my.toml', '/srv')).toBe('/etc/my.toml');
    expect(findConfigFile(undefined, FIXTURES)).toBeNull();
  });
});
