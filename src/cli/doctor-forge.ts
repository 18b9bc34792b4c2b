import { stat } from 'node:fs/promises';
import type { Config } from '../config.ts';
import type { Oid } from '../domain/ids.ts';
import { EdgeError } from '../errors.ts';
import type { Forge } from '../ports/forge.ts';
import { bad, type Finding, failed, good, warning } from './doctor-finding.ts';

const OTHERS = 0o077;

/** What of the configuration is about it. */
interface Configured {
  readonly approval: Pick<Config['approval'], 'bots'>;
  readonly ops_repo: Pick<Config['ops_repo'], 'username'>;
  readonly forge: Pick<NonNullable<Config['forge']>, 'token_file' | 'admin_token_file'> | null;
  readonly secrets: Config['secrets'];
}

/** What only the configuration tells of the forge: who may read its tokens, and whether our account could count. */
export async function forgeFindings(config: Configured, answers: readonly Finding[]): Promise<readonly Finding[]> {
  return [...(await tokenFindings(config)), ...accountFindings(config, answers)];
}

/** Whether `[forge] repo` is the repo that git fetches from, by the tip of the branch. Nothing where it can't be asked. */
export async function repoFindings(
  forge: Forge | null,
  { tip, answers }: { readonly tip: Oid; readonly answers: readonly Finding[] },
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  if (forge === null || answers.some(({ check }) => check.name.startsWith('forge.') && !check.ok)) return [];
  const name = `forge.${forge.kind}.commits`;
  const short = tip.slice(0, 12);
  try {
    if (await forge.hasCommit(tip, signal)) return [good(name, `it has the tip of the branch, ${short}`)];
  } catch (error) {
    if (error instanceof EdgeError) return [failed(name, error)];
    throw error;
  }
  const message = `[forge] repo is not the ops repo (it does not know commit ${short})`;
  return [bad(name, 'ERR_FORGE_DENIED', message, 'Set url and repo of [forge] to what ops_repo.url is on the forge.')];
}

/** An account that writes comments and statuses by itself must not count as a person. */
function accountFindings({ approval, ops_repo }: Configured, answers: readonly Finding[]): readonly Finding[] {
  const bots = new Set([...approval.bots, ops_repo.username].map((login) => login.toLowerCase()));
  return answers.flatMap(({ check: { name, account } }) => {
    if (account === undefined || bots.has(account.toLowerCase())) return [];
    const message = `our token belongs to ${account}, which counts as a person`;
    return [warning(name, null, message, 'Add it to bots of [approval], or use a token of an account of our own.')];
  });
}

async function tokenFindings({ forge, secrets }: Configured): Promise<readonly Finding[]> {
  if (forge === null) return [];
  const files = [
    ['token_file', secrets['forge.token'] === undefined ? forge.token_file : null],
    ['admin_token_file', secrets['forge.admin_token'] === undefined ? forge.admin_token_file : null],
  ] as const;
  const found = await Promise.all(
    files.map(async ([key, file]) => {
      // That a file is missing is told where it is used.
      const mode =
        file === null
          ? 0
          : await stat(file).then(
              (seen) => seen.mode,
              () => 0,
            );
      if ((mode & OTHERS) === 0) return [];
      const message = `the file in ${key} of [forge] is open to other users`;
      return [warning('forge.token', 'ERR_FORGE_DENIED', message, `chmod 600 ${file ?? ''}`)];
    }),
  );
  return found.flat();
}
