import { z } from 'zod';
import type { Check } from '../../../domain/check.ts';
import type { Clock } from '../../../ports/clock.ts';
import { checkLines, transportCheck } from '../shared/check-lines.ts';
import { permissionOf } from './admins.ts';
import type { RepoApi } from './api.ts';
import type { OwnAccount } from './own-account.ts';
import { repositorySchema } from './schemas.ts';

export interface Checked {
  readonly api: RepoApi;
  readonly admins: RepoApi | null;
  readonly own: OwnAccount;
  readonly clock: Clock;
  readonly url: string;
  /** `owner/name` */
  readonly repo: string;
  /** Of the ops repo. */
  readonly branch: string;
}

type Signal = AbortSignal | undefined;

const lines = checkLines('github');
const { good, bad } = lines;

/** Never throws for a bad answer. Where the repository does not answer, the rest is not asked. */
export async function checkForge(checked: Checked, signal: Signal): Promise<readonly Check[]> {
  const { admins } = checked;
  const transport = transportCheck('github', checked.url);
  const repository = await lines.guarded('repository', signal, () => checkRepository(checked, signal));
  if (!repository.ok) return [transport, repository];
  const rest = await Promise.all([
    lines.guarded('branch', signal, () => checkBranch(checked, signal)),
    lines.guarded('events', signal, () => checkEvents(checked, signal)),
    lines.guarded('account', signal, () => checkAccount(checked, signal)),
    lines.guarded('token', signal, () => checkExpiry(checked.api, 'token', checked, signal)),
    ...(admins === null
      ? []
      : [
          lines.guarded('admins', signal, () => checkAdmins(admins, signal)),
          lines.guarded('admin-token', signal, () => checkExpiry(admins, 'admin-token', checked, signal)),
        ]),
  ]);
  return [transport, repository, ...rest];
}

async function checkRepository({ api, own, repo }: Checked, signal: Signal): Promise<Check> {
  const found = await api.repository.look(repositorySchema, signal);
  if (found.full_name.toLowerCase() !== repo.toLowerCase()) {
    return bad('repository', 'it has another name by now', 'Set repo of [forge] to its present name.');
  }
  if (found.archived === true) {
    return bad('repository', 'it is archived: nothing can be pushed', 'Take it out of the archive.');
  }
  if (found.permissions?.push === true) {
    return good(
      'repository',
      'it is there; the account may write to it, what the token may shows when it first writes',
    );
  }
  // `permissions` are those of a user: of an app they say nothing.
  if ((await own.ask(signal)) === null) return good('repository', 'it is there; the rights of an app are not told');
  return bad('repository', 'our token may only read it', 'Give its account the right to write.');
}

/** No failure: as long as nobody merges that branch into the default one, every commit is found. */
async function checkBranch({ api, branch }: Checked, signal: Signal): Promise<Check> {
  const { default_branch: main } = await api.repository.look(repositorySchema, signal);
  if (main === branch) return good('branch', `${branch} is the default branch`);
  return good(
    'branch',
    `${branch} is not the default branch (${main}): of what is merged on into ${main}, GitHub may name only that change`,
  );
}

/** Timelines tell of force-pushes and planned merges, the log of activities who pushed what. */
async function checkEvents({ api }: Checked, signal: Signal): Promise<Check> {
  const anything = z.array(z.unknown());
  await api.get({ path: '/pulls', query: { per_page: 1, state: 'all' }, signal }, anything);
  await api.get({ path: '/issues', query: { per_page: 1 }, absent: [404, 410], signal }, anything);
  const log = await api.get({ path: '/activity', query: { per_page: 1 }, signal }, anything);
  if (log !== null) return good('events', 'our token may read changes, issues and the log of activities');
  return bad(
    'events',
    'this server keeps no log of activities: forge-merge can not be met',
    'Upgrade it, or use other rules than forge-merge.',
  );
}

async function checkAccount({ own }: Checked, signal: Signal): Promise<Check> {
  const found = await own.ask(signal);
  if (found !== null) return { ...good('account', `our token belongs to ${found.login}`), account: found.login };
  return good('account', 'our token is that of an app: its account is known once it has written a comment');
}

async function checkAdmins(admins: RepoApi, signal: Signal): Promise<Check> {
  await permissionOf(admins, admins.repository.values.owner, signal);
  return good('admins', 'the token in admin_token_file may ask who administers the repository');
}

const DAY_MS = 86_400_000;
const SOON_DAYS = 7;
const EXPIRY = 'github-authentication-token-expiration';

/** Tokens that expire come with the time in a header of each answer; a line of its own, so that it is seen in time. */
async function checkExpiry(api: RepoApi, name: string, { clock }: Checked, signal: Signal): Promise<Check> {
  const call = { path: '/repos/{owner}/{repo}', values: api.repository.values, signal };
  const answer = await api.client.get(call, z.unknown());
  const at = Date.parse(answer?.headers.get(EXPIRY) ?? '');
  if (Number.isNaN(at)) return good(name, 'GitHub names no time at which it expires');
  const days = Math.floor((at - clock.now().getTime()) / DAY_MS);
  if (days >= SOON_DAYS) return good(name, `it expires in ${days} days`);
  return bad(name, `it expires in ${days} days`, 'Make a new one and put it into its file.');
}
