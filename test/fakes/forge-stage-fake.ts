import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Dialect, ForgeServer } from '../../src/cli/demo-forge/forge-server.ts';
import { forgejoDialect } from '../../src/cli/demo-forge/forgejo-api.ts';
import { DemoForge } from '../../src/cli/demo-forge/model.ts';
import { ForgeRefusal, type Review } from '../../src/cli/demo-forge/records.ts';
import { SecretText } from '../../src/domain/secret-text.ts';
import { BOTS, type OpenStage, PEOPLE, type Stage } from './forge-stage.ts';
import { githubDialect, makeKnobs } from './github-api.ts';

const ALL_SCOPES = ['all'];
const BOT_SCOPES = ['write:repository', 'write:issue', 'read:user'];

/** Nobody pushes by git itself here, so that need not be looked for. */
class QuietForge extends DemoForge {
  override notice(): void {}
}

/** One fake forge that speaks each dialect over HTTP. Close it at the end. */
export async function openFakeStage(): Promise<OpenStage> {
  const root = await mkdtemp(path.join(tmpdir(), 'edge-forge-stage-'));
  const forge = new QuietForge({ dir: path.join(root, 'ops.git'), repo: 'ops/hist' });
  forge.addUser('boss', { isSiteAdmin: true });
  for (const [name, role] of Object.entries(PEOPLE)) {
    const isBot = BOTS.includes(name);
    forge.addUser(name, role === 'none' ? { isBot } : { role, isBot });
  }
  forge.directPush('owner1', { files: { 'README.md': 'ops\n' }, message: 'first' });
  const forgejo = await serve(forge, forgejoDialect(forge));
  const github = await serve(forge, githubDialect(forge, makeKnobs()));
  const servers = { forgejo, gitea: forgejo, github };
  return {
    stage: stageOf(forge),
    options(kind, as) {
      const { server, tokenOf } = servers[kind];
      const [token, adminToken] = [tokenOf(as), tokenOf('owner1')];
      return { url: server.origin, repo: forge.state.repo, token, adminToken, caFile: null, branch: 'main' };
    },
    remote: { url: forge.dir, tokenFile: null, username: 'edge-bot' },
    async close() {
      await Promise.all([forgejo.server.close(), github.server.close()]);
      await rm(root, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

async function serve(forge: DemoForge, dialect: Dialect) {
  const server = await ForgeServer.start(forge, dialect);
  const tokens = new Map<string, SecretText>();
  const tokenOf = (name: string): SecretText => {
    const known = tokens.get(name);
    const token = known ?? new SecretText(server.addToken(name, name === 'edge-bot' ? BOT_SCOPES : ALL_SCOPES));
    tokens.set(name, token);
    return token;
  };
  return { server, tokenOf };
}

const PROTECTIONS = {
  'dismiss-stale': { requiredApprovals: 1, dismissStaleApprovals: true },
  'one-approval': { requiredApprovals: 1 },
  off: {},
} as const;

/** Every call is over at once; that they answer promises is for the real one. */
function stageOf(forge: DemoForge): Stage {
  const { state } = forge;
  const newest = (by: string, change: number, fits: (review: Review) => boolean): number => {
    const found = state.reviews.findLast((each) => each.pull === change && each.by.login === by && fits(each));
    if (found === undefined) throw new ForgeRefusal('nothing-there');
    return found.id;
  };
  const isVerdict = ({ state: said }: Review): boolean => said === 'approved' || said === 'changes-requested';
  return {
    git: state.store,
    repo: state.repo,
    login: (name) => name,
    nameOf: (login) => login,
    identity: (name) => ({ name, email: state.user(name).email }),
    idOf: async (name) => state.user(name).id,
    seconds: () => state.seconds(),
    tip: async (branch) => state.tip(branch),
    push: async (by, branch, commit, force) => forge.pushCommit(by, branch, commit, force),
    deleteBranch: async (_by, branch) => forge.deleteBranch(branch),
    open: async (by, change) => forge.openPull(by, change).number,
    close: async (by, change) => forge.closePull(by, change),
    retarget: async (by, change, base) => forge.retarget(by, change, base),
    async review(by, change, verdict, commit) {
      forge.review(by, change, commit === undefined ? { state: verdict } : { state: verdict, commit });
    },
    async comments(by, change, count) {
      for (let made = 1; made <= count; made += 1) forge.review(by, change, { state: 'comment', body: `note ${made}` });
    },
    async draft(by, change) {
      forge.draft(by, change);
    },
    async send(by, change, verdict) {
      forge.submitDraft(
        newest(by, change, ({ state: said }) => said === 'pending'),
        { state: verdict },
      );
    },
    async request(by, change, reviewer) {
      forge.requestReview(by, change, reviewer);
    },
    async dismiss(by, change, reviewer, undo = false) {
      const id = newest(reviewer, change, isVerdict);
      if (undo) forge.undismiss(by, id);
      else forge.dismiss(by, id);
    },
    async merge(by, change, style) {
      forge.merge(by, change, style);
    },
    mergeManually: async (by, change, commit) => forge.mergeManually(by, change, commit),
    schedule: async (by, change) => forge.scheduleMerge(by, change),
    async untilMerged(change) {
      if (state.pull(change).merge === null) throw new Error('it was not merged by itself');
    },
    protect: async (rules) => forge.protect(state.branch, PROTECTIONS[rules]),
    async autodetect(on) {
      state.autodetectManualMerge = on;
    },
    async addUser(name, role) {
      forge.addUser(name, { role });
    },
    permission: async (name, role) => forge.setPermission(name, role),
    deleteUser: async (name) => forge.deleteUser(name),
    async comment(by, change, body) {
      forge.comment(by, change, body);
    },
    commentsOf: async (change) => {
      const own = state.comments.filter(({ number }) => number === change);
      return own.map(({ by, body }) => ({ by: by.login, body }));
    },
    statusesOf: async (sha) => state.statuses.filter(({ commit }) => commit === sha).length,
    losesRaces: false,
    async rush() {
      Object.assign(state.hold, { tasks: true, feed: true, mapping: true });
    },
    settle: async () => forge.release(),
  };
}
