import { z } from 'zod';
import type { Check } from '../../../domain/check.ts';
import { printable } from '../../../domain/text.ts';
import { checkLines, transportCheck } from '../shared/check-lines.ts';
import { permissionOf } from './admins.ts';
import type { RepoApi } from './api.ts';
import { type Dialect, isAtLeast } from './dialect.ts';
import type { OwnAccount } from './own-account.ts';
import { listOf, repositorySchema, versionSchema } from './schemas.ts';

export interface Checked {
  readonly api: RepoApi;
  readonly admins: RepoApi | null;
  readonly own: OwnAccount;
  readonly dialect: Dialect;
  readonly url: string;
  /** `owner/name` */
  readonly repo: string;
}

type Signal = AbortSignal | undefined;

/** Never throws for a bad answer. Where the forge or the repository does not answer, the rest is not asked. */
export async function checkForge(checked: Checked, signal: Signal): Promise<readonly Check[]> {
  const lines = checkLines(checked.dialect.kind);
  const checks = [
    transportCheck(checked.dialect.kind, checked.url),
    await lines.guarded('server', signal, () => checkServer(checked, signal)),
  ];
  if (checks.some(({ ok }) => !ok)) return checks;
  const repository = await lines.guarded('repository', signal, () => checkRepository(checked, signal));
  if (!repository.ok) return [...checks, repository];
  const rest = await Promise.all([
    lines.guarded('events', signal, () => checkEvents(checked, signal)),
    lines.guarded('account', signal, () => checkAccount(checked, signal)),
    ...(checked.admins === null
      ? []
      : [lines.guarded('admins', signal, () => checkAdmins(checked, checked.admins, signal))]),
  ]);
  return [...checks, repository, ...rest];
}

const VERSION = /^[\w.+~-]{1,80}$/;

async function checkServer({ api, dialect }: Checked, signal: Signal): Promise<Check> {
  const { good, bad } = checkLines(dialect.kind);
  const answer = await api.client.get({ path: '/version', signal }, versionSchema);
  const version = answer?.value.version ?? '';
  const isNew = isAtLeast(version, dialect.oldest);
  if (!VERSION.test(version) || isNew === null) {
    return bad('server', 'what answers there is no forge of this kind', 'Check url and kind of [forge].');
  }
  if (!dialect.isOwnVersion(version)) {
    return bad(
      'server',
      `it is no ${dialect.name} (${version})`,
      'Set kind of [forge] to the other of forgejo and gitea.',
    );
  }
  const oldest = dialect.oldest.join('.');
  if (isNew) return good('server', `${dialect.name} ${version}`);
  return bad('server', `${dialect.name} ${version} is too old`, `Upgrade it to ${oldest} or later.`);
}

async function checkRepository({ api, dialect, repo }: Checked, signal: Signal): Promise<Check> {
  const { good, bad } = checkLines(dialect.kind);
  const found = await api.repository.look(repositorySchema, signal);
  if (found.full_name.toLowerCase() !== repo.toLowerCase()) {
    return bad('repository', 'it has another name by now', 'Set repo of [forge] to its present name.');
  }
  if (found.archived) return bad('repository', 'it is archived: nothing can be pushed', 'Take it out of the archive.');
  if (found.has_pull_requests === false) {
    return bad('repository', 'pull requests are switched off', 'Switch pull requests on in its settings.');
  }
  // The right of the account: what the scopes of its token leave of it is not told.
  if (found.permissions?.push === true) {
    return good('repository', 'it is there, and the account may write to it; scopes show when it first writes');
  }
  return bad(
    'repository',
    'the account of our token may only read it',
    'Give its account the right to write, and the token write:repository.',
  );
}

/** Timelines tell who pushed to a change, the log of activities who pushed to the branch. */
async function checkEvents({ api, dialect }: Checked, signal: Signal): Promise<Check> {
  const { good } = checkLines(dialect.kind);
  const query = { page: 1, limit: 1 };
  const anything = listOf(z.unknown());
  await api.get({ path: '/issues', query: { ...query, state: 'open' }, signal }, anything);
  const log = await api.get({ path: '/activities/feeds', query, signal }, anything);
  await api.repository.required(log, 'GET /repos/{owner}/{repo}/activities/feeds', signal);
  return good('events', 'our token may read timelines, issues and the log of activities');
}

async function checkAccount({ own, dialect }: Checked, signal: Signal): Promise<Check> {
  const { good } = checkLines(dialect.kind);
  const account = await own.ask(signal);
  if (account !== null) {
    const login = printable(account.login);
    return { ...good('account', `our token belongs to ${login}`), account: login };
  }
  return good('account', 'our token may not ask whose it is (scope read:user): known once it has set a status');
}

async function checkAdmins({ dialect }: Checked, admins: RepoApi | null, signal: Signal): Promise<Check> {
  const { good } = checkLines(dialect.kind);
  if (admins !== null) await permissionOf(admins, admins.repository.values.owner, signal);
  return good('admins', 'the token in admin_token_file may ask who administers the repository');
}
