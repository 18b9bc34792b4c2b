import type { Available, SectionSchemas } from '../domain/config-sections.ts';
import { isTable, type Table } from '../domain/config-settings.ts';
import { readTomlFile } from '../domain/toml.ts';
import type { Problem } from '../errors.ts';
import type { Override } from './environment.ts';
import type { Origin } from './problems.ts';

/** What is given, laid over one another: file, environment, and what follows from the choice of engine and access. */

export interface GivenFile {
  readonly path: string;
  readonly bytes: Uint8Array;
}

interface ReadFile {
  /** Null: it is no TOML at all. */
  readonly tree: Table | null;
  readonly origin: Origin['file'];
  readonly problems: readonly Problem[];
}

const MAX_BYTES = 256 * 1024;

export function readFile(file: GivenFile | null): ReadFile {
  if (file === null) return { tree: {}, origin: null, problems: [] };
  const options = { maxBytes: MAX_BYTES, syntaxCode: 'ERR_CONFIG_SYNTAX' } as const;
  const { value, problems, locate } = readTomlFile(file.bytes, file.path, options);
  return { tree: value, origin: { path: file.path, locate }, problems };
}

/** Leaves a tree alone whose section is no table: the schema says so. */
export function withOverride(tree: Table, { path: [key = '', ...rest], value, ...one }: Override): Table {
  if (rest.length === 0) return { ...tree, [key]: value };
  const below = Object.hasOwn(tree, key) ? tree[key] : {};
  return isTable(below) ? { ...tree, [key]: withOverride(below, { ...one, path: rest, value }) } : tree;
}

interface Implementations extends Available {
  readonly sections: SectionSchemas;
}

/** The access that goes with the engine, if none is named; and an empty section for each chosen implementation. */
export function withDefaultKinds(given: Table, { engines, accesses, sections }: Implementations): Table {
  const tree: Table = { ops_repo: {}, engine: {}, access: {}, ...given };
  const { engine, access } = tree;
  const kind = isTable(engine) ? engine['kind'] : undefined;
  const pair = typeof kind === 'string' && Object.hasOwn(engines, kind) ? engines[kind] : undefined;
  const usual = (pair ?? accesses).find((one) => accesses.includes(one));
  return {
    ...tree,
    engine: withSection('engine', engine, sections),
    access: withSection('access', isTable(access) ? { kind: usual, ...access } : access, sections),
  };
}

function withSection(family: string, table: unknown, sections: SectionSchemas): unknown {
  if (!isTable(table)) return table;
  const { kind } = table;
  const has = typeof kind === 'string' && Object.hasOwn(sections, `${family}.${kind}`);
  return has ? { [kind]: {}, ...table } : table;
}
