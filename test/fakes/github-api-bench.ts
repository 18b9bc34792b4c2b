import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { github } from '../../src/adapters/forges/github.ts';
import { ForgeServer } from '../../src/cli/demo-forge/forge-server.ts';
import { DemoForge } from '../../src/cli/demo-forge/model.ts';
import type { Pull } from '../../src/cli/demo-forge/records.ts';
import { oid } from '../../src/domain/ids.ts';
import { SecretText } from '../../src/domain/secret-text.ts';
import type { Forge } from '../../src/ports/forge.ts';
import { githubDialect, makeKnobs } from './github-api.ts';
import type { Knobs } from './github-api-answers.ts';
import { ManualClock } from './manual-clock.ts';
import { silentLog } from './tools.ts';

/** A fake GitHub with the recorded people and one commit on main, and what asks it. Remove it at the end. */
export class GitHubBench {
  readonly forge: DemoForge;
  readonly server: ForgeServer;
  readonly knobs: Knobs;
  readonly clock = new ManualClock();
  readonly #root: string;

  private constructor(root: string, forge: DemoForge, server: ForgeServer, knobs: Knobs) {
    this.#root = root;
    this.forge = forge;
    this.server = server;
    this.knobs = knobs;
  }

  static async start(): Promise<GitHubBench> {
    const root = await mkdtemp(path.join(tmpdir(), 'edge-github-'));
    const forge = new DemoForge({ dir: path.join(root, 'ops.git'), autodetectManualMerge: true });
    addPeople(forge);
    forge.directPush('owner1', { files: { 'README.md': 'ops\n' }, message: 'first' });
    const knobs = makeKnobs();
    return new GitHubBench(root, forge, await ForgeServer.start(forge, githubDialect(forge, knobs)), knobs);
  }

  /** `admin`: whose token asks for permissions; null: none. */
  adapter({
    as = 'edge-bot',
    admin = null as string | null,
    scopes = ['repo'],
    repo = 'ops/ops',
    branch = 'main',
  } = {}): Forge {
    const tokenOf = (login: string) => new SecretText(this.server.addToken(login, scopes));
    const adminToken = admin === null ? null : tokenOf(admin);
    const options = { url: this.server.origin, repo, token: tokenOf(as), adminToken, caFile: null, branch };
    return github.create(options, { clock: this.clock, log: silentLog });
  }

  /** Two commits by dev1, the first with the action, and the change. */
  propose(branch: string, base = 'main') {
    const action = this.forge.push('dev1', branch, { files: { [actionOf(branch)]: 'one\n' } });
    const head = this.forge.push('dev1', branch, { files: { [`notes/${branch}.md`]: 'note\n' } });
    const pull: Pull = this.forge.openPull('dev1', { head: branch, base, title: branch });
    return { action: oid(action), head: oid(head), pull, number: pull.number };
  }

  /** Paths (with query) of the requests that end or go on so, without the base. */
  asked(part: string): readonly string[] {
    return this.server.requests.filter(({ url }) => url.includes(part)).map(({ url }) => url);
  }

  async remove(): Promise<void> {
    await this.server.close();
    await rm(this.#root, { recursive: true, force: true });
  }
}

export function actionOf(branch: string): string {
  return `vault/actions/${branch}.toml`;
}

function addPeople(forge: DemoForge): void {
  forge.addUser('owner1', { id: 2, role: 'owner' });
  forge.addUser('approver1', { id: 3, role: 'admin' });
  forge.addUser('approver2', { id: 4, role: 'admin' });
  forge.addUser('dev1', { id: 5, role: 'write' });
  forge.addUser('dev2', { id: 6, role: 'write' });
  forge.addUser('reader1', { id: 7, role: 'read' });
  forge.addUser('outsider1', { id: 8 });
  forge.addUser('edge-bot', { id: 9, role: 'write', isBot: true });
}
