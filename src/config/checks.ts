import type { Available, CheckedConfig } from '../domain/config-sections.ts';
import { isSshUrl } from '../domain/config-urls.ts';
import { TIERS } from '../domain/tier.ts';
import type { Problem } from '../errors.ts';
import { type Origin, problemAt } from './problems.ts';

interface Given extends Available {
  /** Paths of the secrets that the environment gave. */
  readonly secrets: readonly string[];
  /** Of this dispatcher, the default too. */
  readonly name: string;
}

/** What is wrong between keys that are right each for itself. */
export function crossProblems(config: CheckedConfig, available: Given, origin: Origin): Problem[] {
  return [
    ...pairProblems(config, available, origin),
    ...peerProblems(config, available, origin),
    ...pathProblems(config, origin),
    ...uselessProblems(config, origin),
    ...forgeProblems(config, available, origin),
    ...sidecarProblems(config, origin),
  ];
}

function pairProblems({ engine, access }: CheckedConfig, { engines }: Available, origin: Origin): Problem[] {
  const allowed = engines[engine.kind] ?? [];
  if (allowed.includes(access.kind)) return [];
  return [
    problemAt(['access', 'kind'], `does not go with engine ${engine.kind}, which takes: ${allowed.join(', ')}`, origin),
  ];
}

/** It would wait for its own silence. */
function peerProblems({ dispatcher }: CheckedConfig, { name }: Given, origin: Origin): Problem[] {
  if (!dispatcher.peers.includes(name)) return [];
  return [problemAt(['dispatcher', 'peers'], 'names this dispatcher itself; it is for the others', origin)];
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

/** Ids name formula and issue only, so that the issues of two repositories would be taken for each other. */
function sidecarProblems({ sidecar, forge, ops_repo }: CheckedConfig, origin: Origin): Problem[] {
  if (sidecar.length === 0) return [];
  const { actions_dir, formulas_dir, policy_file, sidecars_dir } = ops_repo;
  const folders = { actions_dir, formulas_dir, sidecars_dir };
  const isBelow = (inner: string, outer: string) => `${inner}/`.startsWith(`${outer}/`);
  const first = (formula: string) => sidecar.findIndex((rule) => rule.formula === formula);
  const rules = sidecar.flatMap(({ formula, project_toml }, index) => {
    const folder = Object.entries(folders).find(([, path]) => isBelow(project_toml, path))?.[0];
    return [
      ...(first(formula) === index ? [] : [{ key: 'formula', what: 'has a rule already; each formula may have one' }]),
      ...(folder === undefined ? [] : [{ key: 'project_toml', what: `must not lie in ${folder} of [ops_repo]` }]),
      ...(project_toml === policy_file ? [{ key: 'project_toml', what: 'is the policy of the ops repo' }] : []),
    ].map(({ key, what }) => problemAt(['sidecar', index, key], what, origin));
  });
  const nested = Object.entries({ actions_dir, formulas_dir }).some(
    ([, path]) => isBelow(sidecars_dir, path) || isBelow(path, sidecars_dir),
  );
  const [place] = nested ? ['must not lie in actions_dir or formulas_dir of [ops_repo], and not around them'] : [];
  return [
    ...rules,
    ...(place === undefined ? [] : [problemAt(['ops_repo', 'sidecars_dir'], place, origin)]),
    ...(forge === undefined
      ? [problemAt(['sidecar'], 'needs the section [forge]: issues are read from there', origin)]
      : []),
  ];
}

/** A setting that does nothing is a misunderstanding that comes out late. */
function uselessProblems({ ops_repo, mounts }: CheckedConfig, origin: Origin): Problem[] {
  const isSsh = isSshUrl(ops_repo.url) && (ops_repo.journal_url === null || isSshUrl(ops_repo.journal_url));
  const token = isSsh && ops_repo.token_file !== null ? ['is for https; with ssh use ops_repo.ssh_key_file'] : [];
  const empty = Object.entries(mounts).filter(([, mount]) => mount.path === null && mount.host_volume === null);
  const keys = ops_repo.signing_key_file === null && ops_repo.result_keys.length > 0;
  const unsigned = keys ? ['needs ops_repo.signing_key_file: without it our own results would be foreign to us'] : [];
  return [
    ...token.map((what) => problemAt(['ops_repo', 'token_file'], what, origin)),
    ...unsigned.map((what) => problemAt(['ops_repo', 'result_keys'], what, origin)),
    ...empty.map(([name]) => problemAt(['mounts', name], 'must have a path or a host_volume', origin)),
  ];
}

/** A rule whose witness is not named would wait for ever. */
function forgeProblems(config: CheckedConfig, available: Given, origin: Origin): Problem[] {
  const { approval, forge } = config;
  if (forge === undefined) return rulesWithoutForge(approval, origin);
  const has = (name: 'token' | 'admin_token') => {
    return available.secrets.includes(`forge.${name}`) || forge[`${name}_file`] !== null;
  };
  const token = 'is missing: name the file with the token for the forge';
  const admin = 'needs forge.admin_token_file: only administrators may ask who is one';
  // GitHub tells everybody who may push.
  const needsAdmin = approval.forge_admins && forge.kind !== 'github';
  return [
    ...(has('token') ? [] : [problemAt(['forge', 'token_file'], token, origin)]),
    ...(needsAdmin && !has('admin_token') ? [problemAt(['approval', 'forge_admins'], admin, origin)] : []),
  ];
}

function rulesWithoutForge(approval: CheckedConfig['approval'], origin: Origin): Problem[] {
  const tiers = TIERS.flatMap((tier) => {
    const rule = [...(approval[tier]?.all ?? []), ...(approval[tier]?.any ?? [])].find((name) =>
      name.startsWith('forge-'),
    );
    return rule === undefined
      ? []
      : [problemAt(['approval', tier], `names ${rule}, which needs the section [forge]`, origin)];
  });
  const admins = approval.forge_admins ? ['asks for administrators of a forge, and there is no section [forge]'] : [];
  return [...tiers, ...admins.map((what) => problemAt(['approval', 'forge_admins'], what, origin))];
}
