import { readFileSync } from 'node:fs';
import path from 'node:path';
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { accesses } from '../../src/adapters/access/index.ts';
import { engines } from '../../src/adapters/engines/index.ts';
import { type ConfigInput, readConfig } from '../../src/config.ts';
import { configSchema } from '../../src/domain/config-sections.ts';
import { secretName, settingsOf, variableName } from '../../src/domain/config-settings.ts';

const FILE = '[ops_repo]\nurl = "/srv/ops.git"\n[engine]\nkind = "subprocess"\n[limits]\nin_flight = 3\n';
const SECRET = 'a-value-nobody-may-see';
const sections = {
  'engine.subprocess': z.strictObject({ run_as: z.string().default('') }),
  'engine.nomad': z.strictObject({
    address: z.string().default('http://127.0.0.1:4646'),
    namespace: z.string().default('agents'),
    token_file: z.string().default(''),
  }),
  'access.file': z.strictObject({ dir: z.string().default('') }),
};
const version = {
  rules: ['trust-branch', 'signed-commit'],
  engines: { subprocess: ['file'], nomad: ['file'] },
  accesses: ['file'],
};

function read(env: Record<string, string>, file = FILE) {
  const input: ConfigInput<typeof sections> = {
    ...version,
    sections,
    hostname: 'host-1',
    cwd: '/srv',
    env,
    file: { path: 'dispatcher.toml', bytes: Buffer.from(file) },
  };
  return readConfig(input);
}

function accepted(env: Record<string, string>, file = FILE) {
  const result = read(env, file);
  if (!result.ok) throw new Error(`refused: ${JSON.stringify(result.problems)}`);
  return result;
}

describe('EDGE_<SECTION>_<KEY>', () => {
  it('wins over the file', () => {
    expect(accepted({ EDGE_LIMITS_IN_FLIGHT: '7' }).config.limits.in_flight).toBe(7);
  });

  it('is text as it stands for a key that is a string, and a TOML value for every other', () => {
    const { config } = accepted({
      EDGE_DISPATCHER_NAME: '17',
      EDGE_RUNNER_AGENT: '["claude", "-p"]',
      EDGE_APPROVAL_HIGH: '{ any = ["signed-commit"], at_least = 2 }',
      EDGE_DISPATCHER_POLL_SECONDS: '0.5',
    });
    expect(config).toMatchObject({
      dispatcher: { name: '17', poll_seconds: 0.5 },
      runner: { agent: ['claude', '-p'] },
      approval: { high: { any: ['signed-commit'], atLeast: 2 } },
    });
  });

  it('reaches the section of an implementation', () => {
    expect(accepted({ EDGE_ENGINE_SUBPROCESS_RUN_AS: 'agent' }).config.sections['engine.subprocess']).toEqual({
      run_as: 'agent',
    });
  });

  it('reaches a mount by the name in its middle', () => {
    const { config } = accepted({ EDGE_MOUNTS_SSH_PATH: '/ssh', EDGE_MOUNTS_SSH_HOST_VOLUME: 'ssh' });
    expect(config.mounts).toEqual({ ssh: { path: '/ssh', host_volume: 'ssh' } });
  });

  it('adds to the file key by key', () => {
    const { config } = accepted({ EDGE_LIMITS_LOG_BYTES: '8192' });
    expect(config.limits).toMatchObject({ in_flight: 3, log_bytes: 8192 });
  });

  it('may be empty: nothing for a text, ignored for anything else', () => {
    const { config } = accepted({ EDGE_HTTP_LISTEN: '', EDGE_LIMITS_IN_FLIGHT: '' });
    expect([config.http.listen, config.limits.in_flight]).toEqual([null, 3]);
  });

  it.each(['nonsense', '1\nother = 2', '[1', '1\n[limits]'])('is refused as %j where a TOML value must be', (value) => {
    const result = read({ EDGE_LIMITS_IN_FLIGHT: value });
    expect(result).toMatchObject({ problems: [{ code: 'ERR_CONFIG_SYNTAX', path: 'environment' }] });
  });

  it('is named, without its value, by every problem with what it says (R14)', () => {
    const result = read({ EDGE_OPS_REPO_URL: `https://u:${SECRET}@forge.example/x`, EDGE_LIMITS_IN_FLIGHT: '0' });
    expect(result).toMatchObject({
      ok: false,
      problems: [
        {
          path: 'environment',
          message: 'EDGE_OPS_REPO_URL must not hold a user or password: use username and token_file',
        },
        { path: 'environment', message: 'EDGE_LIMITS_IN_FLIGHT must be at least 1' },
      ],
    });
    expect(JSON.stringify(result)).not.toContain(SECRET);
  });

  it('only warns when there is no such key, with the nearest one', () => {
    const { warnings } = accepted({ EDGE_LIMITS_IN_FLIHGT: '7', EDGE_NOTIFY_FILE: '/x', OTHER: '1' });
    expect(warnings).toMatchObject([
      {
        severity: 'warning',
        message: expect.stringContaining('did you mean EDGE_LIMITS_IN_FLIGHT?'),
        hint: 'Remove the variable or mend its spelling.',
      },
      { severity: 'warning', message: expect.stringContaining('EDGE_NOTIFY_FILE is no variable') },
    ]);
  });
});

describe('a secret in the environment', () => {
  it('is taken instead of its file, and no print of the configuration shows it (R14)', () => {
    const { config } = accepted({ EDGE_OPS_REPO_TOKEN: SECRET });
    expect(config.secrets['ops_repo.token']?.reveal()).toBe(SECRET);
    const prints = [JSON.stringify(config), inspect(config, { depth: 9 }), String(config.secrets['ops_repo.token'])];
    expect(prints.filter((print) => print.includes(SECRET))).toEqual([]);
    expect(prints.every((print) => print.includes('[secret]'))).toBe(true);
  });

  it('that is empty is none', () => {
    expect(accepted({ EDGE_OPS_REPO_TOKEN: '' }).config.secrets).toEqual({});
  });
});

describe("a tool's usual variable", () => {
  it('stands for the key of its section', () => {
    const { config } = accepted({ NOMAD_ADDR: 'http://nomad:4646', NOMAD_TOKEN: SECRET, EDGE_ENGINE_KIND: 'nomad' });
    expect(config.sections['engine.nomad']).toMatchObject({ address: 'http://nomad:4646' });
    expect(config.secrets['engine.nomad.token']?.reveal()).toBe(SECRET);
  });

  it('counts less than EDGE_… of the same key', () => {
    const env = { NOMAD_ADDR: 'http://a', EDGE_ENGINE_NOMAD_ADDRESS: 'http://b' };
    expect(accepted(env).config.sections['engine.nomad']).toMatchObject({ address: 'http://b' });
  });

  it('is ignored, without a word, where nothing else asks for its section, and when it is empty', () => {
    const { config, warnings } = accepted({ VAULT_ADDR: 'http://x', FORGE_URL: 'https://x', NOMAD_ADDR: '' });
    expect([warnings, Object.keys(config.sections), config.secrets, config.forge]).toEqual([
      [],
      ['engine.subprocess', 'access.file'],
      {},
      null,
    ]);
  });

  it('of the forge fills a section that something else began', () => {
    const forge = { EDGE_FORGE_KIND: 'gitea', EDGE_FORGE_REPO: 'ops/ops' };
    const { config } = accepted({ ...forge, FORGE_URL: 'https://forge.example', FORGE_TOKEN: SECRET });
    expect(config.forge).toMatchObject({ kind: 'gitea', url: 'https://forge.example', token_file: null });
    expect(config.secrets['forge.token']?.reveal()).toBe(SECRET);
  });

  it('NOMAD_NAMESPACE is ignored in a Nomad task, where it names the namespace of the dispatcher itself', () => {
    const inTask = { NOMAD_NAMESPACE: 'ops', NOMAD_ALLOC_ID: 'x', EDGE_ENGINE_KIND: 'nomad' };
    expect(accepted(inTask).config.sections['engine.nomad']?.namespace).toBe('agents');
    const outside = { NOMAD_NAMESPACE: 'ops', EDGE_ENGINE_KIND: 'nomad' };
    expect(accepted(outside).config.sections['engine.nomad']?.namespace).toBe('ops');
  });
});

describe('DISPATCHER_BACKEND', () => {
  it('is accepted as EDGE_ENGINE_KIND, which counts more', () => {
    expect(accepted({ DISPATCHER_BACKEND: 'nomad' }).config.engine.kind).toBe('nomad');
    const both = { DISPATCHER_BACKEND: 'nomad', EDGE_ENGINE_KIND: 'subprocess' };
    expect(accepted(both).config.engine.kind).toBe('subprocess');
  });

  it('is refused with any other value, and the change is named', () => {
    expect(read({ DISPATCHER_BACKEND: 'docker' })).toMatchObject({
      ok: false,
      problems: [
        { message: expect.stringContaining('is now [engine] kind'), hint: expect.stringContaining('subprocess') },
      ],
    });
  });
});

function ownedBy(family: string, registry: Readonly<Record<string, { options: z.ZodObject }>>) {
  return Object.fromEntries(Object.entries(registry).map(([kind, { options }]) => [`${family}.${kind}`, options]));
}

describe('docs/configuration.md', () => {
  const doc = readFileSync(path.resolve(import.meta.dirname, '../../docs/configuration.md'), 'utf8');
  const own = { ...ownedBy('engine', engines), ...ownedBy('access', accesses) };
  const settings = settingsOf(configSchema(version, own));
  const rows = [
    ...doc.matchAll(/^\| `([a-z_.<>]+)` \| (?:`([^`]*)`|[^|]*) \| (?:[^|]|\\\|)+ \| `(EDGE_[A-Z_<>]+)` \|$/gm),
  ];
  const nameOf = (parts: readonly string[]) => parts.map((part) => (part === '*' ? '<name>' : part)).join('.');

  it('has a row for every key, with its variable, and no row for what is no key', () => {
    const expected = settings.map(
      ({ path: parts }) => `${nameOf(parts)} ${variableName(parts).replace('*', '<NAME>')}`,
    );
    expect(new Set(rows.map(([, key, , variable]) => `${key} ${variable}`))).toEqual(new Set(expected));
  });

  it('gives each default as it is', () => {
    const documented = new Map(rows.map(([, key = '', value]) => [key, value]));
    const defaults = settings.filter((setting) => setting.default !== undefined && setting.default !== '');
    const wrong = defaults.filter(
      (setting) => documented.get(nameOf(setting.path)) !== JSON.stringify(setting.default),
    );
    expect(wrong.map((setting) => `${nameOf(setting.path)} = ${JSON.stringify(setting.default)}`)).toEqual([]);
  });

  it('names the variable of every secret', () => {
    const secrets = settings.flatMap((setting) => {
      const name = secretName(setting);
      return name === null ? [] : [variableName([...setting.path.slice(0, -1), name])];
    });
    expect(secrets.filter((variable) => !doc.includes(`\`${variable}\``))).toEqual([]);
    expect(secrets).toContain('EDGE_OPS_REPO_TOKEN');
  });
});
