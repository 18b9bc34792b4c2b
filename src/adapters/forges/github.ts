import type { Clock } from '../../ports/clock.ts';
import type { ForgeFactory, ForgeOptions, SecretSource } from '../factory.ts';
import { apiOf } from './github/address.ts';
import { isAdmin } from './github/admins.ts';
import { RepoApi } from './github/api.ts';
import { changeOf, hasCommit, openChanges, pullOf, toChange } from './github/changes.ts';
import { checkForge } from './github/checks.ts';
import { commits, files, reviews } from './github/contents.ts';
import { Histories } from './github/history.ts';
import { Issues } from './github/issues.ts';
import { OwnAccount } from './github/own-account.ts';
import { Talk } from './github/talk.ts';
import { ForgeClient } from './shared/client.ts';

const HEADERS = { Accept: 'application/vnd.github+json', 'X-GitHub-Api-Version': '2022-11-28' };

/** github.com, its tenants and GitHub Enterprise Server, by what the documentation of the REST API says. */
export const github: ForgeFactory = {
  create(options, { clock }) {
    const { url, repo, branch } = options;
    const { api, admins, own } = openApi(options, clock);
    const histories = new Histories(api, repo);
    const talk = new Talk(api, own);
    return {
      kind: 'github',
      url,
      check: (signal) => checkForge({ api, admins, own, clock, url, repo, branch }, signal),
      changeOf: (commit, signal) => changeOf(api, commit, branch, signal),
      hasCommit: (commit, signal) => hasCommit(api, commit, signal),
      change: async (number, signal) => {
        const pull = await pullOf(api, number, signal);
        return pull === null ? null : toChange(pull);
      },
      openChanges: (base, signal) => openChanges(api, base, signal),
      reviews: (number, signal) => reviews(api, admins ?? api, number, signal),
      files: (number, signal) => files(api, number, signal),
      commits: (number, signal) => commits(api, number, signal),
      history: (change, signal) => histories.of(change, signal),
      pusherOf: (commit, branch, signal) => histories.pusherOf(commit, branch, signal),
      // Whoever may push may ask: a token of an administrator is not needed.
      isAdmin: (account, signal) => isAdmin(admins ?? api, account, signal),
      setStatus: (commit, status, signal) => talk.setStatus(commit, status, signal),
      comment: (number, marker, body, signal) => talk.comment(number, marker, body, signal),
    };
  },
  issues: (options, { clock }) => new Issues({ ...openApi(options, clock), repo: options.repo }),
};

function openApi({ url, repo, caFile, token: source, adminToken }: ForgeOptions, clock: Clock) {
  const apiFor = (token: SecretSource, tokenKey: string): RepoApi => {
    const api = { base: apiOf(url), caFile, token, tokenKey, scheme: 'Bearer', headers: HEADERS };
    return new RepoApi(new ForgeClient(api, clock), repo, clock);
  };
  const api = apiFor(source, 'token_file');
  const admins = adminToken === null ? null : apiFor(adminToken, 'admin_token_file');
  return { api, admins, own: new OwnAccount(api.client) };
}
