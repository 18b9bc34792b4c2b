import type { Clock } from '../../ports/clock.ts';
import type { Forge } from '../../ports/forge.ts';
import type { ForgeFactory, ForgeOptions, SecretSource } from '../factory.ts';
import { isAdmin } from './forgejo/admins.ts';
import { RepoApi } from './forgejo/api.ts';
import { changeOf, commits, files, hasCommit, openChanges, pullOf, reviews, toChange } from './forgejo/changes.ts';
import { checkForge } from './forgejo/checks.ts';
import { type Dialect, FORGEJO, GITEA } from './forgejo/dialect.ts';
import { Histories } from './forgejo/history.ts';
import { Issues } from './forgejo/issues.ts';
import { OwnAccount } from './forgejo/own-account.ts';
import { Talk } from './forgejo/talk.ts';
import { ForgeClient } from './shared/client.ts';

type Tools = Parameters<ForgeFactory['create']>[1];

export const forgejo = factoryOf(FORGEJO);
/** The same API: `dialect.ts` holds what differs. */
export const gitea = factoryOf(GITEA);

function factoryOf(dialect: Dialect): ForgeFactory {
  return {
    create: (options, tools) => create(dialect, options, tools),
    issues: (options, { clock }) =>
      new Issues({ ...openApi(dialect, options, clock), dialect, clock, repo: options.repo }),
  };
}

function create(dialect: Dialect, options: ForgeOptions, { clock }: Tools): Forge {
  const { url, repo } = options;
  const { api, admins, own } = openApi(dialect, options, clock);
  const histories = new Histories(api, { dialect, repo });
  const talk = new Talk(api, own);
  return {
    kind: dialect.kind,
    url,
    check: (signal) => checkForge({ api, admins, own, dialect, url, repo }, signal),
    changeOf: (commit, signal) => changeOf(api, commit, signal),
    hasCommit: (commit, signal) => hasCommit(api, commit, signal),
    change: async (number, signal) => {
      const pull = await pullOf(api, number, signal);
      return pull === null ? null : toChange(pull);
    },
    openChanges: (base, signal) => openChanges(api, base, signal),
    reviews: (number, signal) => reviews(api, number, signal),
    files: (number, signal) => files(api, number, signal),
    commits: (number, signal) => commits(api, number, signal),
    history: (change, signal) => histories.of(change, signal),
    pusherOf: (commit, branch, signal) => histories.pusherOf(commit, branch, signal),
    isAdmin: (account, signal) => isAdmin(admins, account, signal),
    setStatus: (commit, status, signal) => talk.setStatus(commit, status, signal),
    comment: (number, marker, body, signal) => talk.comment(number, marker, body, signal),
  };
}

function openApi(dialect: Dialect, { url, repo, caFile, token: source, adminToken }: ForgeOptions, clock: Clock) {
  const apiFor = (token: SecretSource, tokenKey: string): RepoApi => {
    const base = `${url}${dialect.apiPath}`;
    return new RepoApi(new ForgeClient({ base, caFile, token, tokenKey, scheme: 'token' }, clock), repo, clock);
  };
  const api = apiFor(source, 'token_file');
  const admins = adminToken === null ? null : apiFor(adminToken, 'admin_token_file');
  return { api, admins, own: new OwnAccount(api.client, clock) };
}
