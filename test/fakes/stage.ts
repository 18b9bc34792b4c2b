import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Result } from '../../src/domain/result.ts';
import { type DaemonBench, makeDaemonBench, POLICY } from './daemon-bench.ts';
import type { Names, Services } from './services.ts';
import { until } from './until.ts';

/**
 * The whole product on a Nomad and a Vault: a real ops repo, the built program, jobs and policies as its own `deploy`
 * registers them, and tokens that may do no more than these policies say.
 */
export interface Stage {
  readonly bench: DaemonBench;
  readonly namespace: string;
  /** The KV mount. */
  readonly mount: string;
  /** Another secret, beneath no folder of ours. */
  putSecret(path: string, value: string): Promise<void>;
  /** The dispatcher's own, which nothing may show. */
  readonly tokens: readonly string[];
  /** Names of the secrets that are in the store; each value is `value-of-<NAME>-…`, long enough to be masked. */
  readonly secrets: readonly string[];
  readonly secretValue: (secret: string) => string;
  /** A command of the program with an administrator's tokens. */
  asAdmin(...args: readonly string[]): Promise<Said>;
  /** A command of the program as the dispatcher. */
  asDispatcher(...args: readonly string[]): Promise<Said>;
  /** The daemon; several may be started one after the other. */
  start(env?: Readonly<Record<string, string>>): ReturnType<DaemonBench['start']>;
  /** Pushes one action for each id. */
  act(...actions: readonly Action[]): Promise<void>;
  /** Results of these ids, when all are there. */
  results(ids: readonly string[], seconds?: number): Promise<ReadonlyMap<string, Result>>;
  remove(): Promise<void>;
}

interface Said {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Action {
  readonly id: string;
  readonly formula: string;
  readonly secrets?: readonly string[];
  readonly mounts?: readonly string[];
  readonly more?: string;
}

export interface StageOptions {
  readonly driver: 'docker' | 'exec' | 'raw_exec';
  /** Formulas by name: the bash script, and more lines of TOML. `dir`: a folder that is gone with the stage. */
  readonly formulas: (dir: string) => Readonly<Record<string, { readonly script: string; readonly more?: string }>>;
  /** So many secrets with names and values of their own, beside those that are given. */
  readonly secretCount: number;
  readonly secretValues?: Readonly<Record<string, string>>;
  /** argv of the runner on the clients; empty: this installation. */
  readonly runner?: readonly string[];
  /** Mount name → host volume. */
  readonly volumes?: Readonly<Record<string, string>>;
  /** More files of the ops repo. */
  readonly files?: Readonly<Record<string, string>>;
  /** More of dispatcher.toml. */
  readonly more?: string | ((names: Names) => string);
  /** More of the environment of every command. */
  readonly env?: Readonly<Record<string, string>>;
  /** More of `[engine.nomad]`. */
  readonly nomad?: string;
}

export async function openStage(services: Services, options: StageOptions): Promise<Stage> {
  const names = services.names();
  const { tag } = names;
  const { secretCount, secretValues = {} } = options;
  const made = Array.from({ length: secretCount }, (_, index) => `S${tag.toUpperCase()}_${index + 1}`);
  const secrets = [...made, ...Object.keys(secretValues)];
  const secretValue = (secret: string) => secretValues[secret] ?? `value-of-${secret}-${tag}`;
  const bench = await makeDaemonBench();
  await services.mountSecrets(names.mount);
  for (const secret of secrets) await services.putSecret(names.mount, `edge/runner/${secret}`, secretValue(secret));
  await bench.push({ 'vault/policy.toml': POLICY, ...formulaFiles(options, bench.dir, secrets), ...options.files });
  await writeFile(bench.configFile, configText(bench, services, { ...options, ...names }));
  const command = async (env: Readonly<Record<string, string>>, args: readonly string[]): Promise<Said> => {
    const program = bench.start(args, env);
    const { code } = await program.ended;
    return { code, stdout: program.stdout(), stderr: program.stderr() };
  };
  const admin = { ...options.env, NOMAD_TOKEN: services.nomad.adminToken, VAULT_TOKEN: services.vault.adminToken };
  const deployed = await command(admin, ['deploy']);
  if (deployed.code !== 0) throw new Error(`deploy ended with ${deployed.code}\n${deployed.stdout}${deployed.stderr}`);
  const own = { ...options.env, NOMAD_TOKEN: await services.nomadToken(), VAULT_TOKEN: await services.vaultToken() };
  return {
    bench,
    namespace: names.namespace,
    mount: names.mount,
    putSecret: (place, value) => services.putSecret(names.mount, place, value),
    tokens: Object.values(own),
    secrets,
    secretValue,
    asAdmin: (...args) => command(admin, args),
    asDispatcher: (...args) => command(own, args),
    start: (env = {}) => bench.start(['run'], { ...own, ...env }),
    act: (...actions) =>
      bench.pushOnTip(Object.fromEntries(actions.map((one) => [`vault/actions/${one.id}.toml`, actionText(one)]))),
    async results(ids, seconds = 60) {
      const all = async () => {
        const results = await bench.results();
        return ids.every((id) => results.has(id)) ? results : null;
      };
      return until(`results of ${ids.join(', ')} are there`, all, seconds * 1000);
    },
    async remove() {
      await bench.remove();
      await services.remove(names);
    },
  };
}

function formulaFiles({ formulas, volumes = {} }: StageOptions, dir: string, secrets: readonly string[]) {
  const files = Object.entries(formulas(dir)).map(([name, { script, more = '' }]) => {
    const text = `name = "${name}"
description = "What the stage is told to do"
script = '''
${script}
'''
secrets = ${JSON.stringify(secrets)}
mounts = ${JSON.stringify(Object.keys(volumes))}
tier = "low"
timeout_minutes = 5
${more}`;
    return [`vault/formulas/${name}.toml`, text] as const;
  });
  return Object.fromEntries(files);
}

function actionText({ id, formula, secrets = [], mounts = [], more = '' }: Action): string {
  return `id = "${id}"
formula = "${formula}"
context = "on stage"
secrets = ${JSON.stringify(secrets)}
mounts = ${JSON.stringify(mounts)}
${more}
`;
}

function configText(bench: DaemonBench, services: Services, options: StageOptions & Names): string {
  const mounts = Object.entries(options.volumes ?? {}).map(
    ([name, volume]) => `[mounts.${name}]\nhost_volume = "${volume}"\n`,
  );
  return `[dispatcher]
name = "stage"
state_dir = ${JSON.stringify(path.join(bench.dir, 'state'))}
poll_seconds = 0.3
[ops_repo]
url = ${JSON.stringify(bench.remote)}
[approval]
low = ["trust-branch"]
medium = ["trust-branch"]
high = ["trust-branch"]
${mounts.join('')}[engine]
kind = "nomad"
[engine.nomad]
address = ${JSON.stringify(services.nomad.address)}
namespace = "${options.namespace}"
driver = "${options.driver}"
runner = ${JSON.stringify(options.runner ?? [])}
cpu = 50
memory_mb = 200
${options.nomad ?? ''}
[access]
kind = "vault"
[access.vault]
address = ${JSON.stringify(services.vault.address)}
kv_mount = "${options.mount}"
role = "${options.role}"
[http]
listen = ""
${typeof options.more === 'function' ? options.more(options) : (options.more ?? '')}
`;
}
