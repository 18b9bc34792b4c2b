import { execFile } from 'node:child_process';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { type Author, plainGit, writeNewFiles } from './plain-git.ts';

const execute = promisify(execFile);

/** The people of the demo: Ada asks, Grace approves by signing what Ada wrote. */
const ADA: Author = { name: 'Ada', email: 'ada@example.org' };
const GRACE: Author = { name: 'Grace', email: 'grace@example.org' };

export interface DemoRepo {
  /** The bare ops repo. */
  readonly url: string;
  /** Ada's clone. */
  readonly clone: string;
  readonly stateDir: string;
  readonly trustedCommit: string;
}

/** What the secret store of the demo holds; the values never leave it but masked. */
export const DEMO_SECRETS: Readonly<Record<string, string>> = {
  PUBLISH_TOKEN: 'demo-publish-token-4f1c9a7be2',
  SIGNING_KEY: 'demo-signing-key-93be01c5d8',
};

/** Makes ops repo, keys and secrets in `root`; the policy and the formulas of the first commit are the trusted ones. */
export async function makeDemoRepo(root: string): Promise<DemoRepo> {
  const url = path.join(root, 'ops.git');
  const clone = path.join(root, 'ada');
  const stateDir = path.join(root, 'state');
  await mkdir(url);
  await mkdir(path.join(stateDir, 'secrets'), { recursive: true, mode: 0o700 });
  for (const [name, value] of Object.entries(DEMO_SECRETS)) {
    await writeFile(path.join(stateDir, 'secrets', name), value, { mode: 0o600 });
  }
  const key = await makeKey(root);
  await plainGit(url, ['init', '--quiet', '--bare', '--initial-branch=main', '.']);
  await plainGit(root, ['clone', '--quiet', url, clone]);
  await plainGit(clone, ['checkout', '--quiet', '-b', 'main']);
  await writeNewFiles(clone, firstFiles(key.publicKey));
  await commit(clone, 'Policy and formulas', GRACE);
  const trustedCommit = await plainGit(clone, ['rev-parse', 'HEAD']);
  await commitActions(clone, key.file);
  await plainGit(clone, ['push', '--quiet', 'origin', 'main']);
  return { url, clone, stateDir, trustedCommit };
}

async function makeKey(root: string): Promise<{ file: string; publicKey: string }> {
  const file = path.join(root, 'grace-key');
  await execute('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', GRACE.email, '-f', file]);
  await chmod(file, 0o600);
  return { file, publicKey: (await readFile(`${file}.pub`, 'utf8')).trim() };
}

/** Ada writes every action; Grace signs the commit of those that she approves. */
async function commitActions(clone: string, keyFile: string): Promise<void> {
  for (const { id, text, approved } of DEMO_ACTIONS) {
    await writeNewFiles(clone, { [`vault/actions/${id}.toml`]: text });
    if (!approved) await commit(clone, `Ask for ${id}`, ADA);
    else {
      await plainGit(clone, ['add', '.']);
      const sign = ['-c', `user.signingKey=${keyFile}`, 'commit', '--quiet', '-S'];
      await plainGit(clone, [...sign, `--author=${ADA.name} <${ADA.email}>`, '-m', `Ask for ${id}`], GRACE);
    }
  }
}

async function commit(clone: string, message: string, author: Author): Promise<void> {
  await plainGit(clone, ['add', '.']);
  await plainGit(clone, ['commit', '--quiet', '-m', message], author);
}

interface DemoAction {
  readonly id: string;
  readonly text: string;
  readonly approved: boolean;
  /** What the demo says of it before anything runs. */
  readonly about: string;
}

export const DEMO_ACTIONS: readonly DemoAction[] = [
  {
    id: 'publish-site',
    approved: true,
    about: 'approved by Grace; its script prints its secret, on purpose',
    text: `id = "publish-site"
formula = "publish"
context = "New landing page"
secrets = ["PUBLISH_TOKEN"]
inputs = { page = "index.html" }
`,
  },
  {
    id: 'check-links',
    approved: true,
    about: 'approved by Grace; its command fails',
    text: `id = "check-links"
formula = "check-links"
context = "Weekly look at dead links"
secrets = []
`,
  },
  {
    id: 'grab-the-key',
    approved: true,
    about: 'signed as well, but asks for a secret that its formula may not have',
    text: `id = "grab-the-key"
formula = "publish"
context = "Also sign it while we are here"
secrets = ["PUBLISH_TOKEN", "SIGNING_KEY"]
inputs = { page = "index.html" }
`,
  },
  {
    id: 'publish-docs',
    approved: false,
    about: 'nobody has approved it yet',
    text: `id = "publish-docs"
formula = "publish"
context = "New documentation"
secrets = ["PUBLISH_TOKEN"]
inputs = { page = "docs.html" }
`,
  },
];

/** `pause`: seconds that each of its three steps takes. */
export const publishFormula = (pause: number): string => `name = "publish"
description = "Publishes one page"
script = """
#!/usr/bin/env bash
set -eu
echo "publishing $INPUT_PAGE"
for step in build upload verify; do
  echo "  $step"
  sleep ${pause}
done
echo "token, as a careless script would print it: $PUBLISH_TOKEN"
printf 'and in base64: %s\\\\n' "$(printf %s "$PUBLISH_TOKEN" | base64)"
echo "home is empty: $(ls -A "$HOME" | wc -l) files"
"""
secrets = ["PUBLISH_TOKEN"]
tier = "high"
timeout_minutes = 5
[inputs.page]
type = "string"
pattern = '^[a-z-]+\\.html$'
required = true
`;

function firstFiles(publicKey: string): Readonly<Record<string, string>> {
  const [type = '', key = ''] = publicKey.split(' ');
  return {
    'vault/policy.toml': `[tiers]
publish = "high"
check-links = "medium"

[[approvers]]
name = "${GRACE.name}"
keys = ["${GRACE.email} ${type} ${key}"]
`,
    'vault/formulas/publish.toml': publishFormula(0.7),
    'vault/formulas/check-links.toml': `name = "check-links"
description = "Looks for dead links"
command = ["bash", "-c", "echo 'checking 214 links'; sleep 1; echo '3 links are dead' >&2; exit 3"]
tier = "medium"
timeout_minutes = 5
`,
  };
}
