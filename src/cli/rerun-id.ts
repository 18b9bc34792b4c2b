import { type ActionId, isActionId } from '../domain/ids.ts';
import type { Io } from './io.ts';
import type { FoundFile, OpsRepoFolder } from './ops-repo-files.ts';
import { userGit } from './user-git.ts';

/** An id that any commit ever had a result of never runs again, so what git remembers is taken as well. */
export async function takenIds(
  io: Io,
  repo: OpsRepoFolder,
  { listed, id }: { readonly listed: readonly FoundFile[]; readonly id: string },
): Promise<ReadonlySet<string>> {
  const dir = repo.paths.actionsDir.replaceAll(/[\\*?[]/g, String.raw`\$&`);
  const glob = `:(glob)${dir}/**/${seriesOf(id).base.slice(0, BASE_IN_GLOB)}*`;
  const args = ['log', '--all', '--diff-filter=A', '--no-renames', '--format=', '--name-only', '-z', '--', glob];
  const remembered = (await userGit(io, repo.root, args))?.split('\0') ?? [];
  const names = [...listed.map((file) => file.path), ...remembered].map((file) =>
    file.slice(file.lastIndexOf('/') + 1),
  );
  return new Set(names.map((name) => name.trim().replace(/(?:\.(?:cancel|result))?\.(?:toml|json)$/, '')));
}

const MAX_ID = 128;
/** Of a long id the base may be shortened. */
const BASE_IN_GLOB = 100;

/** The next id of the series that is free, whole or shortened to what an id may have. */
export function freeId(id: ActionId, taken: ReadonlySet<string>): string {
  const { base, number } = seriesOf(id, taken);
  for (let next = number + 1; ; next++) {
    const suffix = `-r${next}`;
    const candidate = `${base.slice(0, MAX_ID - suffix.length)}${suffix}`;
    if (isActionId(candidate) && !taken.has(candidate)) return candidate;
  }
}

/** `x-r2` goes on as `x-r3` where there is an `x`; else it is a name that somebody chose, and becomes `x-r2-r2`. */
function seriesOf(id: string, taken?: ReadonlySet<string>): { readonly base: string; readonly number: number } {
  const [, base = '', digits = ''] = /^(.+)-r([1-9]\d{0,5})$/.exec(id) ?? [];
  const isSeries = base !== '' && (taken === undefined || taken.has(base));
  return isSeries ? { base, number: Number(digits) } : { base: id, number: 1 };
}
