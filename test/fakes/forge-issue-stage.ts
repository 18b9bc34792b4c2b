import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { ForgeOptions } from '../../src/adapters/factory.ts';
import { type Dialect, ForgeServer } from '../../src/cli/demo-forge/forge-server.ts';
import { forgejoDialect } from '../../src/cli/demo-forge/forgejo-api.ts';
import type { IssueRepo } from '../../src/cli/demo-forge/issue-repo.ts';
import { DemoForge } from '../../src/cli/demo-forge/model.ts';
import type { User } from '../../src/cli/demo-forge/records.ts';
import { SecretText } from '../../src/domain/secret-text.ts';
import { BOTS, type Kind, PEOPLE } from './forge-stage.ts';
import { githubDialect, makeKnobs } from './github-api.ts';

/**
 * A repository in which issues are made: in memory, on a fake forge, or on a real one over its API. People are those of
 * PEOPLE and `boss`, who administers the site; `login` says what they are called here. Calls fail when the forge refuses.
 */
export interface IssueStage {
  readonly repo: string;
  login(name: string): string;
  /** Of the account. */
  idOf(name: string): Promise<number>;
  /** Answers its number. Labels are made where they are missing. */
  open(
    by: string,
    issue: { readonly title: string; readonly body?: string; readonly labels?: readonly string[] },
  ): Promise<number>;
  /** Answers its number. */
  openChange(by: string, title: string): Promise<number>;
  close(by: string, issue: number): Promise<void>;
  reopen(by: string, issue: number): Promise<void>;
  edit(by: string, issue: number, changes: { readonly title?: string; readonly body?: string }): Promise<void>;
  label(by: string, issue: number, name: string): Promise<void>;
  unlabel(by: string, issue: number, name: string): Promise<void>;
  renameLabel(from: string, to: string): Promise<void>;
  comment(by: string, issue: number, body: string): Promise<void>;
  /** Bodies with their authors' names, oldest first. */
  commentsOf(issue: number): Promise<readonly { readonly by: string; readonly body: string }[]>;
  remove(issue: number): Promise<void>;
  /** A writer of this name, who is new. */
  addWriter(name: string): Promise<void>;
  deleteUser(name: string): Promise<void>;
  /** In a team that may only read the repository, or out of it. */
  joinReadingTeam(name: string): Promise<void>;
  leaveReadingTeam(name: string): Promise<void>;
  /** Until what happens next has another time than what happened before. */
  later(): Promise<void>;
}

/** How adapters reach a stage. */
export interface OpenIssueStage {
  readonly stage: IssueStage;
  /** For an adapter that asks as this account. */
  readonly options: (as: string) => ForgeOptions;
  readonly close: () => Promise<void>;
}

interface People {
  user(name: string): User;
  add(name: string): void;
}

/** Every call is over at once; that they answer promises is for the real one. */
export function stageOver(repo: IssueRepo, people: People): IssueStage {
  return {
    repo: repo.name,
    login: (name) => name,
    idOf: async (name) => people.user(name).id,
    open: async (by, issue) => repo.open(by, issue).number,
    openChange: async (by, title) => repo.openChange(by, title).number,
    close: async (by, issue) => repo.close(by, issue),
    reopen: async (by, issue) => repo.reopen(by, issue),
    edit: async (by, issue, changes) => repo.edit(by, issue, changes),
    label: async (by, issue, name) => repo.label(by, issue, name),
    unlabel: async (by, issue, name) => repo.unlabel(by, issue, name),
    renameLabel: async (from, to) => repo.renameLabel(from, to),
    async comment(by, issue, body) {
      repo.comment(by, issue, body);
    },
    async commentsOf(issue) {
      const own = repo.comments.filter(({ number }) => number === issue);
      return own.map(({ by, body }) => ({ by: by.login, body }));
    },
    remove: async (issue) => repo.remove(issue),
    async addWriter(name) {
      people.add(name);
      repo.setRole(name, 'write');
    },
    async deleteUser(name) {
      people.user(name).gone = true;
    },
    joinReadingTeam: async (name) => repo.addToReadingTeam(name),
    async leaveReadingTeam(name) {
      repo.readingTeam.splice(repo.readingTeam.indexOf(people.user(name)), 1);
    },
    later: async () => {},
  };
}

const ALL_SCOPES = ['all'];
const BOT_SCOPES = ['write:repository', 'write:issue', 'read:user'];

export interface FakeIssueStage extends OpenIssueStage {
  readonly forge: DemoForge;
  readonly repo: IssueRepo;
  readonly server: ForgeServer;
}

/** A repository with issues only, beside the ops repo of a fake forge that speaks one dialect. Close it at the end. */
export async function openFakeIssueStage(kind: Kind): Promise<FakeIssueStage> {
  const root = await mkdtemp(path.join(tmpdir(), 'edge-forge-issues-'));
  const forge = new DemoForge({ dir: path.join(root, 'ops.git') });
  const repo = forge.addIssueRepo('ops/code');
  forge.addUser('boss', { isSiteAdmin: true });
  for (const [name, role] of Object.entries(PEOPLE)) {
    forge.addUser(name, { isBot: BOTS.includes(name) });
    repo.setRole(name, role);
  }
  const dialect: Dialect = kind === 'github' ? githubDialect(forge, makeKnobs()) : forgejoDialect(forge);
  const server = await ForgeServer.start(forge, dialect);
  const tokenOf = (name: string) => {
    return new SecretText(server.addToken(name, name === 'edge-bot' ? BOT_SCOPES : ALL_SCOPES));
  };
  return {
    forge,
    repo,
    server,
    stage: stageOver(repo, {
      user: (name) => forge.state.user(name),
      add: (name) => void forge.addUser(name),
    }),
    options(as) {
      const [token, adminToken] = [tokenOf(as), tokenOf('owner1')];
      return { url: server.origin, repo: repo.name, token, adminToken, caFile: null, branch: 'main' };
    },
    close: async () => {
      await server.close();
      await rm(root, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
