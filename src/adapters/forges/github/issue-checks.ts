import { z } from 'zod';
import type { Check } from '../../../domain/check.ts';
import { checkLines } from '../shared/check-lines.ts';
import { permissionOf } from './admins.ts';
import type { RepoApi } from './api.ts';
import type { OwnAccount } from './own-account.ts';
import { repositorySchema } from './schemas.ts';

type Signal = AbortSignal | undefined;

interface Checked {
  readonly api: RepoApi;
  readonly own: OwnAccount;
  /** Who may ask for rights. */
  readonly askers: RepoApi;
  /** `owner/name` */
  readonly repo: string;
}

const { good, bad, guarded } = checkLines('github');

/** Never throws for a bad answer. Where issues can not be read, nothing else is asked. */
export async function checkIssues(checked: Checked, signal: Signal): Promise<readonly Check[]> {
  const issues = await guarded('issues', signal, () => checkReading(checked, signal));
  if (!issues.ok) return [issues];
  // Otherwise what we write ourselves would count as what people write.
  const self = await guarded('self', signal, async () => {
    return good('self', `on ${checked.repo} we are ${(await checked.own.account(signal)).login}`);
  });
  const writers = await guarded('writers', signal, async () => {
    await permissionOf(checked.askers, checked.askers.repository.values.owner, signal);
    return good('writers', `our token may ask who may write to ${checked.repo}`);
  });
  return [issues, writers, self];
}

async function checkReading({ api, repo }: Checked, signal: Signal): Promise<Check> {
  const found = await api.repository.look(repositorySchema, signal);
  if (found.full_name.toLowerCase() !== repo.toLowerCase()) {
    return bad('issues', `${repo} has another name by now`, 'Name the repository as it is called at present.');
  }
  if (found.has_issues === false) return bad('issues', `${repo} keeps no issues`, 'Switch issues on in its settings.');
  const rows = await api.get({ path: '/issues', query: { state: 'all', per_page: 1 }, signal }, z.array(z.unknown()));
  await api.repository.required(rows, 'GET /repos/{owner}/{repo}/issues', signal);
  const comment = found.archived === true ? '; it is archived, so that nothing can be written there' : '';
  return good('issues', `our token may read the issues of ${repo}${comment}`);
}
