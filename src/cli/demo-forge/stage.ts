import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { DEMO_SECRETS, publishFormula } from '../demo-repo.ts';
import { ForgeServer } from './forge-server.ts';
import { forgejoDialect } from './forgejo-api.ts';
import { DemoForge } from './model.ts';

/** The stage of `demo --forge`: a forge of its own, with people, an ops repo and what is in force there. */

export interface Stage {
  readonly forge: DemoForge;
  readonly server: ForgeServer;
  readonly stateDir: string;
  /** Text of the dispatcher's configuration. */
  readonly config: string;
}

const GRACE_ID = 12;

/** Makes everything in `root`; whoever calls closes the server. */
export async function setStage(root: string): Promise<Stage> {
  const stateDir = path.join(root, 'state');
  await mkdir(path.join(stateDir, 'secrets'), { recursive: true, mode: 0o700 });
  for (const [name, value] of Object.entries(DEMO_SECRETS)) {
    await writeFile(path.join(stateDir, 'secrets', name), value, { mode: 0o600 });
  }
  const dir = path.join(root, 'ops.git');
  const forge = new DemoForge({ dir, now: () => Date.now() });
  forge.addUser('grace', { id: GRACE_ID, role: 'admin' });
  for (const login of ['ada', 'edsger']) forge.addUser(login, { role: 'write' });
  forge.addUser('edge-bot', { role: 'write', isBot: true });
  const server = await ForgeServer.start(forge, forgejoDialect(forge));
  const trusted = forge.directPush('grace', { files: firstFiles(server.origin), message: 'Policy and formulas' });
  forge.servePushesOf('edge-bot');
  const token = path.join(root, 'forge-token');
  const scopes = ['write:repository', 'write:issue', 'read:user'];
  await writeFile(token, server.addToken('edge-bot', scopes), { mode: 0o600 });
  return { forge, server, stateDir, config: configText({ dir, stateDir, token, origin: server.origin, trusted }) };
}

function firstFiles(origin: string): Readonly<Record<string, string>> {
  return {
    'vault/policy.toml': `[tiers]
publish = "high"

[[approvers]]
name = "Grace"
forge = { url = "${origin}", id = ${GRACE_ID}, login = "grace" }
`,
    'vault/formulas/publish.toml': publishFormula(0.1),
  };
}

interface Places {
  readonly dir: string;
  readonly stateDir: string;
  readonly token: string;
  readonly origin: string;
  readonly trusted: string;
}

function configText({ dir, stateDir, token, origin, trusted }: Places): string {
  return `
[dispatcher]
name = "demo"
state_dir = ${JSON.stringify(stateDir)}
[ops_repo]
url = ${JSON.stringify(dir)}
[forge]
kind = "forgejo"
url = "${origin}"
repo = "ops/ops"
token_file = ${JSON.stringify(token)}
[approval]
medium = ["forge-review"]
high = ["forge-review"]
trusted_commit = "${trusted}"
grace_minutes = 0
bots = ["edge-bot"]
[engine]
kind = "subprocess"
[access]
kind = "file"
`;
}
