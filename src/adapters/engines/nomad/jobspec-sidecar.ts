import type { SidecarJob } from '../../../domain/config-sidecar.ts';
import { jobVariant } from '../../../domain/job-variant.ts';
import { SIDECAR_JOB } from '../../../domain/sidecar.ts';
import { StalledError } from '../../../errors.ts';
import type { EngineTools } from '../../factory.ts';
import type { NomadOptions } from './options.ts';

export interface Volume {
  readonly name: string;
  /** The clients' name of it. */
  readonly source: string;
  readonly destination: string;
  readonly readOnly: boolean;
}

/** What the job of sidecars has that the others have not. */
export interface SidecarParts {
  readonly volumes: readonly Volume[];
  /** More arguments of the runner. */
  readonly args: readonly string[];
  /** How the bot token gets into the task; null: there is none. */
  readonly botToken: ReturnType<typeof botTokenParts> | null;
}

/** What every dispatch of a sidecar has to say, and what it may. */
export const SIDECAR_META = {
  required: ['issue_number', 'formula', 'project_toml'],
  optional: ['action_id', 'attempt', 'mounts', 'secrets_csv'],
} as const;

const AGENT_DATA = '/volumes/agent-data';
/** Beneath the task's `secrets` directory, which is in memory. */
const BOT_TOKEN_FILE = 'bot-token';

/** `job` is the name of a variant. */
export const isSidecarJob = (job: string, mounts: readonly string[]): boolean =>
  job === jobVariant(SIDECAR_JOB, mounts);

/**
 * Pure. Throws StalledError: ERR_JOB_MISSING where no sidecars are configured, ERR_ENGINE_DENIED for what this driver
 * can't give.
 */
export function sidecarParts({ driver }: NomadOptions, { wanted }: Pick<EngineTools, 'wanted'>): SidecarParts {
  const { sidecar } = wanted;
  if (sidecar === null) {
    throw new StalledError('ERR_JOB_MISSING', `there is no job ${SIDECAR_JOB} without sidecars`, {
      hint: 'Write [[sidecar]] into the configuration, or give the formula another job.',
    });
  }
  if (driver === 'raw_exec') refuseHost(sidecar);
  const { agent_data: agentData, bot_token_path: tokenPath } = sidecar;
  return {
    volumes: volumesOf(sidecar),
    args: [
      ...(tokenPath === null ? [] : ['--bot-token', `\${NOMAD_SECRETS_DIR}/${BOT_TOKEN_FILE}`]),
      ...(agentData === null ? [] : ['--agent-data', AGENT_DATA]),
    ],
    botToken: tokenPath === null ? null : botTokenParts({ ...sidecar, bot_token_path: tokenPath }, driver),
  };
}

function volumesOf({ project_repos, ops_repo, agent_data }: SidecarJob): readonly Volume[] {
  return [
    ...volume('project-repos', project_repos, '/mounts/project-repos', true),
    ...volume('ops-repo', ops_repo, '/mounts/ops-repo', true),
    ...volume('agent-data', agent_data, AGENT_DATA, false),
  ];
}

function volume(name: string, source: string | null, destination: string, readOnly: boolean): readonly Volume[] {
  return source === null ? [] : [{ name, source, destination, readOnly }];
}

const NEEDS_ISOLATION = ['bot_token_path', 'project_repos', 'ops_repo', 'agent_data'] as const;

/** On the host itself nothing is mounted, and the token that the template is read with would lie open to the task. */
function refuseHost(sidecar: SidecarJob): void {
  const keys = NEEDS_ISOLATION.filter((key) => sidecar[key] !== null);
  if (keys.length === 0) return;
  throw new StalledError('ERR_ENGINE_DENIED', `the driver raw_exec can not give sidecars ${keys.join(', ')}`, {
    hint: `Set driver = "docker" or "exec" in [engine.nomad], or set to "" in [sidecar_job]: ${keys.join(', ')}.`,
  });
}

const HOUR = 3_600_000_000_000;
/** The user of tasks of the exec driver. */
const NOBODY = 65_534;

/**
 * Nomad logs in by the task's identity, reads the secret (KV version 2) once and writes it for the runner. Neither the
 * identity nor the token of the store gets into the task. The token is not renewed: it lives as long as its role says.
 */
function botTokenParts(
  { bot_token_path, bot_token_field, vault_role, audience }: SidecarJob & { readonly bot_token_path: string },
  driver: NomadOptions['driver'],
) {
  const owner = driver === 'exec' ? { Uid: NOBODY, Gid: NOBODY } : {};
  return {
    Vault: { Role: vault_role, Env: false, DisableFile: true, ChangeMode: 'noop', AllowTokenExpiration: true },
    Identities: [{ Name: 'vault_default', Audience: [audience], Env: false, File: false, TTL: HOUR }],
    Templates: [
      {
        EmbeddedTmpl: `{{ with secret "${bot_token_path}" }}{{ .Data.data.${bot_token_field} }}{{ end }}`,
        DestPath: `secrets/${BOT_TOKEN_FILE}`,
        Perms: '0400',
        ...owner,
        ChangeMode: 'noop',
        // A field that is not there ends the task, and is no empty token.
        ErrMissingKey: true,
        // A token that is rotated meanwhile is not written again: the runner has read the file, and deleted it.
        Once: true,
      },
    ],
  };
}
