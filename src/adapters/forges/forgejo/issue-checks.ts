import { z } from 'zod';
import type { Check } from '../../../domain/check.ts';
import { printable } from '../../../domain/text.ts';
import { checkLines } from '../shared/check-lines.ts';
import type { RepoApi } from './api.ts';
import type { Dialect } from './dialect.ts';
import type { OwnAccount } from './own-account.ts';
import { listOf, repositorySchema } from './schemas.ts';
import type { Writers } from './writers.ts';

type Signal = AbortSignal | undefined;

interface Checked {
  readonly api: RepoApi;
  readonly own: OwnAccount;
  readonly dialect: Dialect;
  /** `owner/name` */
  readonly repo: string;
  readonly writers: Writers;
}

/** Never throws for a bad answer. Where issues can not be read, nothing else is asked. */
export async function checkIssues(checked: Checked, signal: Signal): Promise<readonly Check[]> {
  const { dialect, repo, writers, own } = checked;
  const { good, guarded } = checkLines(dialect.kind);
  const issues = await guarded('issues', signal, () => checkReading(checked, signal));
  if (!issues.ok) return [issues];
  const told = await guarded('writers', signal, async () => {
    const by = await writers.probe(signal);
    const how = by === 'admins' ? 'the token in admin_token_file may ask' : 'our token may list them';
    return good('writers', `who may write to ${repo}: ${how}`);
  });
  // Otherwise what we write ourselves would count as what people write.
  const self = await guarded('self', signal, async () => {
    return good('self', `on ${repo} we are ${printable((await own.user(signal)).login)}`);
  });
  return [issues, told, self];
}

async function checkReading({ api, dialect, repo }: Checked, signal: Signal): Promise<Check> {
  const { good, bad } = checkLines(dialect.kind);
  const found = await api.repository.look(repositorySchema, signal);
  if (found.full_name.toLowerCase() !== repo.toLowerCase()) {
    return bad('issues', `${repo} has another name by now`, 'Name the repository as it is called at present.');
  }
  if (found.has_issues === false || Boolean(found.external_tracker)) {
    return bad('issues', `${repo} keeps no issues`, 'Switch issues on in its settings.');
  }
  const query = { state: 'all', type: 'issues', page: 1, limit: 1 };
  await api.repository.required(
    await api.get({ path: '/issues', query, signal }, listOf(z.unknown())),
    'GET /repos/{owner}/{repo}/issues',
    signal,
  );
  const comment = found.archived ? '; it is archived, so that nothing can be written there' : '';
  return good('issues', `our token may read the issues of ${repo}${comment}`);
}
