import type { EngineTools } from '../../factory.ts';
import type { NomadOptions } from './options.ts';

/** The runner in the product's own image (Dockerfile), in place of its entry point, which is the daemon. */
const IMAGE_RUNNER = ['node', '/app/dist/runner/main.js'] as const;

/** To hand files to the command's user, to become it, and to end what it leaves behind; nothing else. */
const CAPABILITIES = ['CHOWN', 'DAC_OVERRIDE', 'KILL', 'SETGID', 'SETUID'];

const TMP_BYTES = 256 * 1024 ** 2;
const MAX_PROCESSES = 2048;

type DriverTools = Pick<EngineTools, 'runner' | 'wanted'>;

interface OfJob {
  /** File beneath the task's directory. */
  readonly payload: string;
  /** More arguments of the runner. */
  readonly args: readonly string[];
  readonly isSidecar: boolean;
}

/**
 * The only secret store whose word the runner takes: whoever may dispatch could send a payload that names his own, which
 * would approve whatever he likes.
 */
function storeOf({ vaultAddress, vaultNamespace }: DriverTools['wanted']): readonly string[] {
  if (vaultAddress === null) return [];
  return ['--vault', vaultAddress, ...(vaultNamespace === '' ? [] : ['--vault-namespace', vaultNamespace])];
}

/** `User`, `Env` and the driver's own `Config` of the runner task. */
export function taskConfig({ payload, args: more, isSidecar }: OfJob, options: NomadOptions, tools: DriverTools) {
  const artifacts = options.artifacts ? ARTIFACTS : [];
  const vault = storeOf(tools.wanted);
  const args = ['--payload', `\${NOMAD_TASK_DIR}/${payload}`, ...vault, ...artifacts, ...more];
  // The dispatcher's own ca_file is a path of another machine.
  const Env = options.runner_ca_file === '' ? {} : { VAULT_CACERT: options.runner_ca_file };
  if (options.driver === 'docker') return docker(args, Env, options);
  const [command = '', ...first] = options.runner.length > 0 ? options.runner : tools.runner;
  return { User: '', Env, Config: { command, args: [...first, ...args], ...(isSidecar ? powerless(options) : {}) } };
}

/**
 * The user nobody of the exec driver has powers that read every file of the task's directory; there Nomad keeps the
 * token of the secret store that it renders templates with.
 */
function powerless({ driver }: NomadOptions) {
  return driver === 'exec' ? { cap_drop: ['all'] } : {};
}

/** In the directory that all tasks share: it is what `read-fs` shows, and is kept for a while after the end. */
const ARTIFACTS = ['--artifacts', '${NOMAD_ALLOC_DIR}/data/artifacts'];

/**
 * The runner is root without most of its powers, the command another user with none. Docker mounts a tmpfs so that
 * nothing on it can be executed: the run's own directories lie in the task's directory.
 */
function docker(args: readonly string[], Env: Readonly<Record<string, string>>, options: NomadOptions) {
  const [program, script] = IMAGE_RUNNER;
  return {
    User: '0:0',
    Env: { ...Env, TMPDIR: '${NOMAD_TASK_DIR}' },
    Config: {
      image: options.image,
      entrypoint: [program],
      command: script,
      args: [...args, '--run-as', options.run_as],
      init: true,
      cap_drop: ['all'],
      cap_add: CAPABILITIES,
      security_opt: ['no-new-privileges'],
      readonly_rootfs: true,
      pids_limit: MAX_PROCESSES,
      mount: [{ type: 'tmpfs', target: '/tmp', readonly: false, tmpfs_options: [{ size: TMP_BYTES }] }],
    },
  };
}
