import { Refusal } from './answers.ts';
import { timestamp } from './values.ts';

type Data = Readonly<Record<string, unknown>>;

interface Version {
  readonly data: Data;
  readonly created: number;
  deleted: number | null;
  destroyed: boolean;
}

interface Secret {
  /** The first is version 1. */
  readonly versions: Version[];
  custom: Data | null;
  maxVersions: number;
  updated: number;
}

/** One version as it is read: `data` is null when it is deleted or destroyed. */
export interface VersionRead {
  readonly data: Data | null;
  readonly metadata: Data;
}

/** One KV v2 mount. Paths keep their case. */
export class KvMount {
  readonly #secrets = new Map<string, Secret>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  has(path: string): boolean {
    return this.#secrets.has(path);
  }

  put(path: string, data: Data): Data {
    const now = this.#now();
    const secret = this.#secrets.get(path) ?? { versions: [], custom: null, maxVersions: 0, updated: now };
    secret.versions.push({ data, created: now, deleted: null, destroyed: false });
    secret.updated = now;
    this.#secrets.set(path, secret);
    return this.#metadataOf(secret, secret.versions.length);
  }

  /** Null: no such secret or version. */
  read(path: string, number?: number): VersionRead | null {
    const secret = this.#secrets.get(path);
    const asked = number ?? secret?.versions.length ?? 0;
    const version = secret?.versions[asked - 1];
    if (secret === undefined || version === undefined) return null;
    const gone = version.destroyed || (version.deleted !== null && version.deleted <= this.#now());
    return { data: gone ? null : version.data, metadata: this.#metadataOf(secret, asked) };
  }

  /** Deletes the newest version, or these; undelete brings them back. */
  delete(path: string, numbers?: readonly number[]): void {
    for (const version of this.#versions(path, numbers)) version.deleted = this.#now();
  }

  undelete(path: string, numbers: readonly number[]): void {
    for (const version of this.#versions(path, numbers)) version.deleted = null;
  }

  destroy(path: string, numbers?: readonly number[]): void {
    for (const version of this.#versions(path, numbers)) version.destroyed = true;
  }

  /** With all versions. */
  remove(path: string): void {
    this.#secrets.delete(path);
  }

  change(path: string, custom: Data | null | undefined, maxVersions: number | undefined): void {
    const known = this.#secrets.get(path);
    const secret = known ?? { versions: [], custom: null, maxVersions: 0, updated: this.#now() };
    if (custom !== undefined) secret.custom = custom;
    if (maxVersions !== undefined) secret.maxVersions = maxVersions;
    this.#secrets.set(path, secret);
  }

  metadata(path: string): Data | null {
    const secret = this.#secrets.get(path);
    if (secret === undefined) return null;
    const [first] = secret.versions;
    const versions = secret.versions.map((version, index) => [String(index + 1), stateOf(version)] as const);
    return {
      cas_required: false,
      created_time: timestamp(first?.created ?? secret.updated),
      current_metadata_version: 0,
      current_version: secret.versions.length,
      custom_metadata: secret.custom,
      delete_version_after: '0s',
      max_versions: secret.maxVersions,
      metadata_cas_required: false,
      oldest_version: 0,
      updated_time: timestamp(secret.updated),
      versions: Object.fromEntries(versions),
    };
  }

  /** What stands directly beneath the folder; folders end with a slash. */
  list(folder: string): string[] {
    const prefix = folder === '' || folder.endsWith('/') ? folder : `${folder}/`;
    const below = [...this.#secrets.keys()].filter((path) => path.startsWith(prefix));
    const names = below.map((path) => {
      const rest = path.slice(prefix.length);
      return rest.includes('/') ? rest.slice(0, rest.indexOf('/') + 1) : rest;
    });
    return [...new Set(names)].toSorted();
  }

  #versions(path: string, numbers: readonly number[] | undefined): readonly Version[] {
    const versions = this.#secrets.get(path)?.versions ?? [];
    return (numbers ?? [versions.length]).flatMap((number) => versions[number - 1] ?? []);
  }

  #metadataOf(secret: Secret, number: number): Data {
    const version = secret.versions[number - 1];
    if (version === undefined) throw new Refusal(404, 'no such version');
    return { ...stateOf(version), custom_metadata: secret.custom, version: number };
  }
}

function stateOf({ created, deleted, destroyed }: Version): Data {
  return { created_time: timestamp(created), deletion_time: deleted === null ? '' : timestamp(deleted), destroyed };
}
