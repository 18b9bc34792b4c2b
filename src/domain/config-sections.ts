import { z } from 'zod';
import { approvalSection } from './config-approval.ts';
import { sidecarJobSection, sidecarRuleSchema } from './config-sidecar.ts';
import { forgeUrlProblem, gitUrlProblem, storeUrlProblem } from './config-urls.ts';
import { readSignerLine } from './signer-line.ts';

/**
 * The sections of `dispatcher.toml` that belong to no implementation, and the schema of the whole file. An empty string
 * means "not set" and comes out as null. Descriptions go into the JSON Schema for editors.
 */

/** Schema of a section that an implementation owns (`engine.subprocess`). Every key of it should have a default. */
export type SectionSchema = z.ZodObject;
export type SectionSchemas = Readonly<Record<string, SectionSchema>>;
export type SchemaIssue = z.core.$ZodIssue;
export type SectionValue<S extends SectionSchema> = z.output<S>;

/** What this version of the program has. */
export interface Available {
  /** Names of the approval rules. */
  readonly rules: readonly string[];
  /** Engine kind → access kinds that go with it; the first is the default. */
  readonly engines: Readonly<Record<string, readonly string[]>>;
  readonly accesses: readonly string[];
}

const ONE_LINE = /^[^\0\r\n]*$/;
const optionalText = (text: z.ZodString = z.string()) =>
  text.transform((value) => (value === '' ? null : value)).prefault('');
const optionalFile = () => optionalText(z.string().regex(ONE_LINE, 'must be the path of a file, on one line'));
const count = (least: number, most: number) => z.int().min(least).max(most);
const amount = (least: number, most: number) => z.number().min(least).max(most);

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const GIT_NAME = /^(?!.*(?:\.\.|\/\/|@\{|\.lock(?:\/|$)|\/\.|\/$|\.$))[^\s~^:?*[\\/.\p{Cc}-][^\s~^:?*[\\\p{Cc}]*$/u;
/** What git takes for another thing than a branch of this name, or refuses to create. */
const BRANCH = /^(?!(?:HEAD|@)$|refs\/)/;
const JOURNAL_REF = /^refs\/(?!(?:heads|tags|remotes)\/)[^/]+\/./;
const REPO_PATH = /^(?!.*(?:^|\/)\.{0,2}(?:\/|$))[^\\\p{Cc}]+$/u;
const MIB = 1024 ** 2;

const repoPath = (path: string, about: string) =>
  z
    .string()
    .regex(REPO_PATH, 'must be a path inside the repo, without .. and final slash')
    .default(path)
    .describe(about);

const dispatcherSection = z.strictObject({
  name: optionalText(z.string().regex(new RegExp(`^$|${NAME.source}`), 'must be letters, digits, . _ - (at most 64)')),
  state_dir: z
    .string()
    .min(1)
    .regex(ONE_LINE, 'must be the path of a folder, on one line')
    .default('/var/lib/edge-dispatcher'),
  poll_seconds: amount(0.1, 3600).default(5),
  peers: z
    .array(z.string().regex(NAME, 'must be the name of another dispatcher'))
    .max(16)
    .refine((names) => new Set(names).size === names.length, 'must name each dispatcher once')
    .default([])
    .describe('Other dispatchers, whose attempts are taken over when they show no sign of life'),
});

const opsRepoSection = z.strictObject({
  url: z.string().superRefine(refuse(gitUrlProblem)),
  branch: z
    .string()
    .regex(GIT_NAME, 'must be the name of a branch')
    .regex(BRANCH, 'must be the name of a branch alone: not HEAD, not @, no refs/ before it')
    .default('main'),
  actions_dir: repoPath('vault/actions', 'where actions and their results lie'),
  formulas_dir: repoPath('vault/formulas', 'where formulas lie'),
  policy_file: repoPath('vault/policy.toml', 'tiers and approvers'),
  sidecars_dir: repoPath('vault/sidecars', 'where results of sidecars lie'),
  journal_ref: z
    .string()
    .regex(GIT_NAME, 'must be the full name of a ref')
    .regex(JOURNAL_REF, 'must be of the form refs/<folder>/<name> and be no branch or tag')
    .default('refs/dispatcher/journal'),
  journal_url: optionalText(z.string().superRefine(refuse((url) => (url === '' ? null : gitUrlProblem(url))))),
  username: z
    .string()
    .regex(/^[^\s:@/]+$/, 'must be a user name without space, colon, @ and slash')
    .default('edge-dispatcher'),
  token_file: optionalFile(),
  ssh_key_file: optionalFile(),
  known_hosts_file: optionalFile(),
  author: z
    .string()
    .regex(/^[^<>\p{Cc}]+ <[^<>\s]+>$/u, 'must be of the form: name <address>')
    .default('edge-dispatcher <edge-dispatcher@localhost>'),
  signing_key_file: optionalFile(),
  result_keys: z
    .array(z.string().superRefine(refuse(signerProblem)))
    .max(100)
    .default([]),
});

const forgeSection = z.strictObject({
  kind: z.enum(['forgejo', 'gitea', 'github']),
  url: z.string().superRefine(refuse(forgeUrlProblem)),
  repo: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\/[A-Za-z0-9._-]{1,100}$/, 'must be of the form owner/name')
    .describe('The ops repo on the forge'),
  token_file: optionalFile(),
  admin_token_file: optionalFile(),
  ca_file: optionalFile(),
});

const runnerSection = z.strictObject({ agent: z.array(z.string().min(1)).default([]) });

const mountSchema = z.strictObject({
  path: optionalText(z.string().regex(/^(?:$|\/[^\0\r\n]*$)/, 'must be an absolute path, on one line')),
  host_volume: optionalText(z.string().regex(/^[A-Za-z0-9_-]{0,128}$/, 'must be the name of a host volume')),
});
const mountsSection = z.record(
  z.string().regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, 'must be named by lower-case letters, digits, _ and -'),
  mountSchema,
);

const storeSection = z.strictObject({
  url: optionalText(z.string().superRefine(refuse((url) => (url === '' ? null : storeUrlProblem(url))))),
});

const limitsSection = z.strictObject({
  in_flight: count(1, 10_000).default(16),
  dispatches_per_minute: count(1, 100_000).default(600),
  log_bytes: count(4096, 1024 ** 4).default(64 * MIB),
  artifact_bytes: count(0, 1024 ** 4).default(100 * MIB),
  placement_minutes: count(1, 1440).default(10),
  placement: z.enum(['wait', 'stop']).default('wait'),
  approval_days: count(1, 365).default(7),
});

const httpSection = z.strictObject({
  listen: z
    .string()
    .refine((text) => text === '' || toListen(text) !== null, 'must be of the form host:port, or empty for off')
    .transform(toListen)
    .prefault('127.0.0.1:9467'),
  token_file: optionalFile(),
  webhook_secret_file: optionalFile(),
});

const notifySection = z.strictObject({ url_file: optionalFile() });

/** Port 0: any free one. */
interface Listen {
  readonly host: string;
  readonly port: number;
}

function toListen(text: string): Listen | null {
  const [, bracketed, plain, digits] = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  return host === undefined || port > 65_535 ? null : { host, port };
}

function signerProblem(line: string): string | null {
  const read = readSignerLine(line);
  return read.ok ? null : read.rule;
}

/** Turns a function that says what is wrong, without quoting it, into a check of the schema. */
function refuse(problemOf: (text: string) => string | null) {
  return (text: string, context: z.RefinementCtx): void => {
    const message = problemOf(text);
    if (message !== null) context.addIssue({ code: 'custom', message });
  };
}

/** The whole of `dispatcher.toml`, for what this version has. Sections of implementations are keyed `engine.subprocess`. */
export function configSchema(available: Available, sections: SectionSchemas) {
  const owned = (family: string) =>
    Object.fromEntries(
      Object.entries(sections)
        .filter(([key]) => key.startsWith(`${family}.`))
        .map(([key, schema]) => [key.slice(family.length + 1), schema.optional()] as const),
    );
  const alone = Object.entries(sections).filter(([key]) => !key.includes('.'));
  return z.strictObject({
    dispatcher: dispatcherSection.prefault({}),
    ops_repo: opsRepoSection,
    approval: approvalSection(available.rules).prefault({}),
    forge: forgeSection.optional(),
    runner: runnerSection.prefault({}),
    mounts: mountsSection.prefault({}),
    engine: z.strictObject({ ...owned('engine'), kind: z.enum(Object.keys(available.engines)) }),
    // What goes with the engine is filled in before; this is for editors.
    access: z
      .strictObject({ ...owned('access'), kind: z.enum(available.accesses).default(available.accesses[0] ?? '') })
      .prefault({}),
    store: storeSection.prefault({}),
    limits: limitsSection.prefault({}),
    http: httpSection.prefault({}),
    notify: notifySection.prefault({}),
    sidecar: z.array(sidecarRuleSchema).max(100).default([]),
    sidecar_job: sidecarJobSection.prefault({}),
    ...Object.fromEntries(alone.map(([key, schema]) => [key, schema.optional()] as const)),
  });
}
export type CheckedConfig = z.output<ReturnType<typeof configSchema>>;
