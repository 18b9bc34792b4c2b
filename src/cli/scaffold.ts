/** A first ops repo: one harmless formula, a policy, and where actions go. */
export function opsRepoScaffold(): Readonly<Record<string, string>> {
  return {
    'vault/policy.toml': `# Which tier each formula has, and who may approve. Rules for the tiers are in dispatcher.toml.
[tiers]
hello = "low"

# [[approvers]]
# name = "Ada"
# keys = ["ada@example.org ssh-ed25519 AAAA…"]
`,
    'vault/formulas/hello.toml': `name = "hello"
description = "Says hello, to see that everything works"
command = ["echo", "Hello from the edge dispatcher"]
tier = "low"
timeout_minutes = 5
`,
    'vault/actions/README.md': `Commit an action as \`<id>.toml\` here; its result appears beside it as \`<id>.result.json\`.

    id = "hello-1"
    formula = "hello"
    context = "My first action"
    secrets = []
`,
  };
}

/** A dispatcher.toml for one machine; \`url\` is the ops repo's. */
export function configScaffold(url: string): string {
  return `# docs/configuration.md explains every key.
[dispatcher]
state_dir = "./edge-data"

[ops_repo]
url = ${JSON.stringify(url)}

[approval]
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
