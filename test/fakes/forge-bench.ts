import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ForgeServer } from '../../src/cli/demo-forge/forge-server.ts';
import { forgejoDialect } from '../../src/cli/demo-forge/forgejo-api.ts';
import { DemoForge } from '../../src/cli/demo-forge/model.ts';
import type { MergeStyle, Pull } from '../../src/cli/demo-forge/records.ts';
import type { ForgeOptions } from '../../src/cli/demo-forge/state.ts';

/** The people of the recordings of a real Forgejo, on a fake one. */
function recordedPeople(forge: DemoForge): void {
  forge.addUser('boss', { id: 1, isSiteAdmin: true });
  forge.addUser('owner1', { id: 2, role: 'owner' });
  forge.addUser('approver1', { id: 3, role: 'admin' });
  forge.addUser('approver2', { id: 4, role: 'admin' });
  forge.addUser('dev1', { id: 5, role: 'write' });
  forge.addUser('dev2', { id: 6, role: 'write' });
  forge.addUser('reader1', { id: 7, role: 'read' });
  forge.addUser('outsider1', { id: 8 });
  forge.addUser('edge-bot', { id: 9, role: 'write', isBot: true });
  forge.addUser('team1', { id: 11, role: 'owner' });
}

interface Told {
  readonly status: number;
  readonly headers: Headers;
  readonly body: unknown;
}

export interface ForgeBench {
  readonly forge: DemoForge;
  readonly server: ForgeServer;
  /** Asks as this user (null: without token) for a path beneath the repository, or a whole one after `/api/v1`. */
  ask(login: string | null, path: string, send?: { readonly method: string; readonly body: object }): Promise<Told>;
  remove(): Promise<void>;
}

/** A fake forge with the recorded people and one commit on main, listening. */
export async function makeForgeBench(options: Partial<ForgeOptions> = {}): Promise<ForgeBench> {
  const root = await mkdtemp(path.join(tmpdir(), 'edge-forge-'));
  const forge = new DemoForge({ dir: path.join(root, 'ops.git'), ...options });
  recordedPeople(forge);
  forge.directPush('owner1', { files: { 'README.md': 'ops\n' }, message: 'first' });
  const server = await ForgeServer.start(forge, forgejoDialect(forge));
  const tokens = new Map<string, string>();
  const tokenOf = (login: string): string => {
    const token = tokens.get(login) ?? server.addToken(login, ['all']);
    tokens.set(login, token);
    return token;
  };
  return {
    forge,
    server,
    async ask(login, asked, send) {
      const where = asked.startsWith('!') ? asked.slice(1) : `/repos/${forge.state.repo}${asked}`;
      const response = await fetch(`${server.origin}/api/v1${where}`, {
        method: send?.method ?? 'GET',
        headers: { connection: 'close', ...(login === null ? {} : { authorization: `token ${tokenOf(login)}` }) },
        ...(send === undefined ? {} : { body: JSON.stringify(send.body) }),
      });
      const text = await response.text();
      return {
        status: response.status,
        headers: response.headers,
        body: text.startsWith('<') ? text : JSON.parse(text),
      };
    },
    async remove() {
      await server.close();
      await rm(root, { recursive: true, force: true });
    },
  };
}

/** What was cut from recordings of a real Forgejo for the fake one to be held to. */
export interface Recorded {
  readonly samples: Readonly<Record<string, object>>;
  readonly errors: Readonly<Record<string, { readonly status: number; readonly message: string }>>;
  readonly reviews: Readonly<Record<'unprotected' | 'dismiss-stale', readonly RecordedRows[]>>;
  readonly pages: readonly { readonly query: Record<string, number>; readonly count: number; readonly total: string }[];
  readonly flows: readonly RecordedFlow[];
  readonly moved: readonly Readonly<Record<string, string | number>>[];
  readonly manual: readonly { readonly merged_by: string }[];
  readonly manual_feed: readonly string[];
}

export interface RecordedRows {
  readonly after: number;
  readonly total: string;
  readonly rows: readonly string[];
}

interface RecordedFlow {
  readonly style: MergeStyle;
  readonly lookups: Readonly<Record<string, number>>;
  readonly merge_commit_is: 'head' | 'other';
  readonly parents: number;
}

const place = new URL('../fixtures/recordings/forgejo/fake-forge.json', import.meta.url);

export function readRecorded(): Recorded {
  return JSON.parse(readFileSync(place, 'utf8')) as Recorded;
}

/** Two commits on a new branch, the first with an action, and the change that dev1 opened of it. */
export function propose(
  forge: DemoForge,
  branch: string,
  title = branch,
): { readonly action: string; readonly head: string; readonly pull: Pull } {
  const files = { [`vault/actions/${branch}.toml`]: 'one\n' };
  const action = forge.push('dev1', branch, { files, message: `add ${branch}` });
  const head = forge.push('dev1', branch, { files: { [`notes/${branch}.md`]: 'note\n' }, message: 'note' });
  return { action, head, pull: forge.openPull('dev1', { head: branch, title }) };
}
