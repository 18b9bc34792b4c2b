import { DEFAULT_PATHS, type OpsRepoPaths } from './ops-repo-files.ts';

/** Who stands in a first policy. */
export interface FirstApprover {
  readonly name: string;
  /** A line of allowed_signers. */
  readonly key: string;
  /** False: written as a comment, for a person to decide. */
  readonly counts: boolean;
}

/** A first ops repo: one harmless formula, a policy, and where actions go. */
export function opsRepoScaffold(
  paths: OpsRepoPaths = DEFAULT_PATHS,
  approver: FirstApprover | null = null,
): Readonly<Record<string, string>> {
  return {
    [paths.policyFile]: `# Which tier each formula has, and who may approve. Rules for the tiers are in dispatcher.toml.
[tiers]
hello = "low"

${approverScaffold(approver)}`,
    [`${paths.formulasDir}/hello.toml`]: `name = "hello"
description = "Says hello, to see that everything works"
command = ["echo", "Hello from the edge dispatcher"]
tier = "low"
timeout_minutes = 5
`,
    [`${paths.actionsDir}/README.md`]: `Commit an action as \`<id>.toml\` here; its result appears beside it as \`<id>.result.json\`.

    id = "hello-1"
    formula = "hello"
    context = "My first action"
    secrets = []
`,
  };
}

/** One entry of policy.toml; with nobody known an example in comments. */
function approverScaffold(approver: FirstApprover | null): string {
  const { name, key, counts } = approver ?? { name: 'Ada', key: 'ada@example.org ssh-ed25519 AAAA…', counts: false };
  const entry = `[[approvers]]\nname = ${tomlText(name)}\nkeys = [${tomlText(key)}]\n`;
  return counts ? entry : entry.replaceAll(/^/gm, '# ').replace(/# $/, '');
}

/** Files of the operator that lie in the same folder, and are not the repo's. */
export const IGNORED = ['/dispatcher.toml', '/edge-data/'];

export function ignoreScaffold(): string {
  return `# The operator's, not the repo's: whoever may push here does not decide which rules count.\n${IGNORED.join('\n')}\n`;
}

export interface ConfigScaffold {
  /** The ops repo's. */
  readonly url: string;
  readonly branch: string;
}

/** A dispatcher.toml for one machine. */
export function configScaffold({ url, branch }: ConfigScaffold): string {
  return `# docs/configuration.md explains every key.
[dispatcher]
state_dir = "./edge-data"

[ops_repo]
url = ${tomlText(url)}
branch = ${tomlText(branch)}
${credentialsScaffold(url)}
[approval]
# What each tier needs. The author of an action never counts as its approver, unless a tier says
# high = { all = ["signed-commit"], self_approve = true }
low = []
medium = ["signed-commit"]
high = ["signed-commit"]
# The commit whose policy and formulas are in force to begin with: edge-dispatcher init --trust <commit>
trusted_commit = ""

[engine]
kind = "subprocess"

[access]
kind = "file"
`;
}

function credentialsScaffold(url: string): string {
  if (url.startsWith('https:')) return '# username = "edge-bot"\n# token_file = "/path/of/a/file/of/mode/0600"\n';
  if (/^ssh:|^[^/]+:/.test(url))
    return '# ssh_key_file = "/path/of/a/key"\n# known_hosts_file = "/path/of/known_hosts"\n';
  return '';
}

/** JSON's escapes are TOML's, but for DEL. */
function tomlText(text: string): string {
  return JSON.stringify(text).replaceAll('\u007F', String.raw`\u007F`);
}
