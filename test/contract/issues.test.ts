import { inject } from 'vitest';
import { systemClock } from '../../src/adapters/clock.ts';
import { forges } from '../../src/adapters/forges/index.ts';
import { type OpenIssueStage, openFakeIssueStage, stageOver } from '../fakes/forge-issue-stage.ts';
import { openRealIssueStage } from '../fakes/forge-issue-stage-real.ts';
import { type Kind, PEOPLE } from '../fakes/forge-stage.ts';
import { MemoryIssues } from '../fakes/memory-issues.ts';
import { silentLog } from '../fakes/tools.ts';
import { issuesContract, type OpenIssues } from './issues.contract.ts';
import { issuesOverHttpContract } from './issues-http.contract.ts';

issuesContract({
  kind: 'memory',
  name: 'no forge',
  async open() {
    const memory = new MemoryIssues({ people: { ...PEOPLE, boss: 'owner' } });
    const people = { user: (name: string) => memory.user(name), add: (name: string) => void memory.addUser(name) };
    return { stage: stageOver(memory.forge, people), tracker: () => memory, close: async () => {} };
  },
});

const tools = { clock: systemClock, log: silentLog };

async function reach(kind: Kind, opening: Promise<OpenIssueStage>): Promise<OpenIssues> {
  const { stage, options, close } = await opening;
  return { stage, tracker: () => forges[kind].issues(options('edge-bot'), tools), close };
}

for (const kind of ['forgejo', 'gitea', 'github'] as const) {
  const factory = forges[kind];
  issuesContract({ kind, name: 'a fake server', open: () => reach(kind, openFakeIssueStage(kind)) });
  issuesOverHttpContract({ kind, name: 'a fake server', factory, open: () => openFakeIssueStage(kind) });
}

const { FORGE_URL: url, FORGE_ADMIN_TOKEN: adminToken } = inject('realServices');

if (url !== undefined && adminToken !== undefined) {
  for (const kind of ['forgejo', 'gitea'] as const) {
    const over = { kind, name: 'a real server', timeout: 60_000 };
    issuesContract({ ...over, open: () => reach(kind, openRealIssueStage(url, adminToken)) });
    issuesOverHttpContract({ ...over, factory: forges[kind], open: () => openRealIssueStage(url, adminToken) });
  }
}
