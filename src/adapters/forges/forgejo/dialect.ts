/** In what Forgejo and Gitea differ for us; all else is the same API. */
export interface Dialect {
  readonly kind: 'forgejo' | 'gitea';
  readonly name: string;
  readonly apiPath: string;
  /** The oldest version that has commit → pull and the log of activities: major and minor. */
  readonly oldest: readonly [number, number];
  /** Whether this is how its own version reads, and not that of the other. */
  readonly isOwnVersion: (version: string) => boolean;
  /**
   * Without `page`, a timeline holds all events. Gitea takes that for the first page by now, and its pages are cut short
   * by what we may not see, so that they are read until one is empty.
   */
  readonly wholeTimeline: boolean;
}

const MARK_OF_FORGEJO = /\+gitea-/;

export const FORGEJO: Dialect = {
  kind: 'forgejo',
  name: 'Forgejo',
  apiPath: '/api/v1',
  oldest: [7, 0],
  isOwnVersion: (version) => MARK_OF_FORGEJO.test(version),
  wholeTimeline: true,
};

export const GITEA: Dialect = {
  kind: 'gitea',
  name: 'Gitea',
  apiPath: '/api/v1',
  oldest: [1, 22],
  isOwnVersion: (version) => !MARK_OF_FORGEJO.test(version),
  wholeTimeline: false,
};

/** Whether a version (`10.0.0-dev-2+gitea-1.22.0`) is at least this old one; null: it can't be read. */
export function isAtLeast(version: string, [major, minor]: Dialect['oldest']): boolean | null {
  const found = /^v?(\d{1,6})\.(\d{1,6})(?!\d)/.exec(version);
  if (found === null) return null;
  const [theirMajor, theirMinor] = [Number(found[1]), Number(found[2])];
  return theirMajor === major ? theirMinor >= minor : theirMajor > major;
}
