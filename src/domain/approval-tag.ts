import { isOid, type Oid } from './ids.ts';

/** What the text of an approval tag says: exactly this blob at this path of this repo. */
export interface TagApproval {
  /** Object id of the branch's first-parent root commit. */
  readonly repo: Oid;
  readonly path: string;
  readonly blob: Oid;
}

/** The text that a tag has to hold, as lines; more may stand around them. `path` is one line. */
export function tagText(repo: Oid, path: string, blob: Oid): string {
  return `${tagLines({ repo, path, blob }).join('\n')}\n`;
}

function tagLines({ repo, path, blob }: TagApproval): readonly string[] {
  return [`${VERSION}: 1`, `repo: ${repo}`, `path: ${path}`, `blob: ${blob}`];
}

const VERSION = 'edge-dispatcher-approval';
const KEYS = [VERSION, 'repo', 'path', 'blob'];
/** No text of that length was written by hand; a longer one may have been cut where it is read. */
const LONGEST = 32 * 1024;

/**
 * Reads the text of a tag: lines `key: value`, in any order, among others that are passed over. null: one of the keys is
 * missing, is there twice, or has no value of its form.
 */
export function parseTagText(text: string): TagApproval | null {
  if (text.length > LONGEST) return null;
  const found = new Map<string, string>();
  for (const line of text.split('\n')) {
    const colon = line.indexOf(':');
    const key = line.slice(0, Math.max(colon, 0));
    if (!KEYS.includes(key)) continue;
    if (found.has(key)) return null;
    found.set(key, trimmed(line.slice(colon + 1)));
  }
  const [version, repo = '', path = '', blob = ''] = KEYS.map((key) => found.get(key));
  if (version !== '1' || !isOid(repo) || !isOid(blob) || path === '') return null;
  return { repo, path, blob };
}

function trimmed(value: string): string {
  return value.replace(/^[ \t]+/, '').replace(/[ \t\r]+$/, '');
}

/**
 * What an approver runs in a clone of the repo (in a POSIX shell, `user.signingkey` set to an SSH key): signs and pushes a
 * tag of `commit`, whose tree holds the blob and the formula beside it.
 */
export function tagCommand(approval: TagApproval, commit: Oid): string {
  const { path, blob } = approval;
  const file = path.slice(path.lastIndexOf('/') + 1).replace(/\.toml$/, '');
  const name = `approve/"$USER"-${file.replaceAll(/[^A-Za-z0-9_-]+/g, '-')}-${blob.slice(0, 12)}`;
  const message = tagLines(approval).map((line) => `-m ${quoted(line)}`);
  return [`git -c gpg.format=ssh tag -s ${name} ${commit}`, ...message, `&& git push origin refs/tags/${name}`].join(
    ' ',
  );
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
