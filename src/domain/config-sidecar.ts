import { z } from 'zod';
import { SIDECAR_DEFAULTS, type SidecarRule } from './sidecar.ts';

/** `[[sidecar]]` and `[sidecar_job]`: which issues are worked on by themselves, and what the job of these runs has. */

const label = z.string().regex(/^[^\p{Cc}]*[^\p{Cc}\s][^\p{Cc}]*$/u, 'must be the name of a label');
const labels = z.array(label).max(32);
const repoFile = z
  .string()
  .max(512)
  .regex(/^(?!.*(?:^|\/)\.{0,2}(?:\/|$))[^\\\p{Cc}]+\.toml$/u, 'must be the path of a .toml file inside the ops repo');
const count = (least: number, most: number) => z.int().min(least).max(most);

export const sidecarRuleSchema = z
  .strictObject({
    formula: z
      .string()
      .regex(/^[a-z0-9][a-z0-9._-]{0,127}$/, 'must be the name of a formula')
      .describe('A formula marked unattended'),
    repo: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\/[A-Za-z0-9._-]{1,100}$/, 'must be of the form owner/name')
      .describe('The repository with the issues, on the forge of [forge]'),
    labels: labels.min(1).optional().describe('All have to be there; default by the name of the formula'),
    without: labels.optional().describe('None may be there; default by the name of the formula'),
    when: z.enum(['', 'sub-issues-closed']).optional().describe('What else has to hold'),
    project_toml: repoFile.describe('Project file in the ops repo, gated like a formula'),
    cool_down_minutes: z
      .number()
      .min(1)
      .max(1440)
      .default(30)
      .describe('Rest of an issue after a run; doubles with each, up to a day'),
    in_flight: count(1, 1000).default(2).describe('Runs of this formula at a time'),
    runs_per_day: count(1, 100_000).default(48).describe('Runs of this formula within 24 hours'),
    comment: z.boolean().default(false).describe('Tell the end of each run in a comment on the issue'),
  })
  .transform((given, context): SidecarRule => {
    const known = SIDECAR_DEFAULTS[given.formula];
    const wanted = given.labels ?? known?.labels;
    if (wanted === undefined) {
      context.addIssue({ code: 'custom', path: ['labels'], message: 'must name at least one label' });
    }
    return {
      ...given,
      labels: wanted ?? [],
      without: given.without ?? known?.without ?? [],
      when: given.when === undefined ? (known?.when ?? null) : given.when === '' ? null : given.when,
    };
  });

const optionalText = (text: z.ZodString, standard: string) =>
  text.transform((value) => (value === '' ? null : value)).prefault(standard);
const volume = (standard: string) =>
  optionalText(z.string().regex(/^[A-Za-z0-9_-]{0,128}$/, 'must be the name of a host volume'), standard);

/** Where the engine is Nomad. Empty: the job has none. */
export const sidecarJobSection = z.strictObject({
  bot_token_path: optionalText(
    z
      .string()
      .max(512)
      .regex(
        /^(?:|(?!.*(?:^|\/)\.{0,2}(?:\/|$))[A-Za-z0-9._/-]+\/data\/[A-Za-z0-9._/-]+)$/,
        'must be the API path of a secret of KV version 2: mount/data/path',
      ),
    'kv/data/edge/sidecar/bot',
  ).describe('API path (KV version 2) of the secret that holds the bot token; empty: none'),
  bot_token_field: z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_]{0,63}$/, 'must be the name of a field')
    .default('value'),
  vault_role: z
    .string()
    .regex(/^[a-z0-9][a-z0-9._-]{0,127}$/, 'must be the name of a role, in lower case')
    // `deploy` would write the policy of the bot over theirs.
    .regex(
      /^(?!(?:root|default|edge-run|service-dispatcher)$|runner-)/,
      'must be none of the names that policies have already',
    )
    .default('edge-sidecar')
    .describe('Role (and policy) of the secret store that the task logs in with'),
  auth_mount: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$/, 'must be the path of an auth mount')
    .default('jwt-nomad'),
  audience: z.string().min(1).max(256).default('vault.io'),
  project_repos: volume('project-repos').describe('Host volume, read-only at /mounts/project-repos; empty: none'),
  ops_repo: volume('ops-repo').describe('Host volume, read-only at /mounts/ops-repo; empty: none'),
  agent_data: volume('agent-data').describe('Host volume for the data of each run; empty: none'),
});
export type SidecarJob = z.output<typeof sidecarJobSection>;
