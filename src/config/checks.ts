import type { Available, CheckedConfig } from '../domain/config-sections.ts';
import { isSshUrl } from '../domain/config-urls.ts';
import type { Problem } from '../errors.ts';
import { type Origin, problemAt } from './problems.ts';

/** What is wrong between keys that are right each for itself. */
export function crossProblems(config: CheckedConfig, available: Available, origin: Origin): Problem[] {
  return [
    ...pairProblems(config, available, origin),
    ...pathProblems(config, origin),
    ...uselessProblems(config, origin),
  ];
}

function pairProblems({ engine, access }: CheckedConfig, { engines }: Available, origin: Origin): Problem[] {
  const allowed = engines[engine.kind] ?? [];
  if (allowed.includes(access.kind)) return [];
  return [
    problemAt(['access', 'kind'], `does not go with engine ${engine.kind}, which takes: ${allowed.join(', ')}`, origin),
  ];
}

/** A formula or the policy among the actions would be taken for an action; no file is a folder too. */
function pathProblems({ ops_repo }: CheckedConfig, origin: Origin): Problem[] {
  const isBelow = (inner: string, outer: string) => `${inner}/`.startsWith(`${outer}/`);
  const { actions_dir, formulas_dir, policy_file } = ops_repo;
  const areNested = isBelow(formulas_dir, actions_dir) || isBelow(actions_dir, formulas_dir);
  const nested = areNested ? ['must not lie in actions_dir of [ops_repo], and not around it'] : [];
  const [policy] = Object.entries({ actions_dir, formulas_dir }).flatMap(([key, folder]) => {
    if (isBelow(policy_file, folder)) return [`must not lie in ${key} of [ops_repo]`];
    return isBelow(folder, policy_file) ? [`is a file and must not be a folder around ${key} of [ops_repo]`] : [];
  });
  return [
    ...nested.map((what) => problemAt(['ops_repo', 'formulas_dir'], what, origin)),
    ...(policy === undefined ? [] : [problemAt(['ops_repo', 'policy_file'], policy, origin)]),
  ];
}

/** A setting that does nothing is a misunderstanding that comes out late. */
function uselessProblems({ ops_repo, mounts }: CheckedConfig, origin: Origin): Problem[] {
  const isSsh = isSshUrl(ops_repo.url) && (ops_repo.journal_url === null || isSshUrl(ops_repo.journal_url));
  const token = isSsh && ops_repo.token_file !== null ? ['is for https; with ssh use ops_repo.ssh_key_file'] : [];
  const empty = Object.entries(mounts).filter(([, mount]) => mount.path === null && mount.host_volume === null);
  return [
    ...token.map((what) => problemAt(['ops_repo', 'token_file'], what, origin)),
    ...empty.map(([name]) => problemAt(['mounts', name], 'must have a path or a host_volume', origin)),
  ];
}
