import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { deflateSync, inflateSync } from 'node:zlib';

/**
 * A bare git repository on disk, read and written without any git process: loose objects and loose refs only, SHA-1.
 * Git itself may fetch from it and push to it; its configuration keeps what is pushed loose. Everything is synchronous,
 * because a history of a few commits takes less time than starting one process.
 */

export interface Identity {
  readonly name: string;
  readonly email: string;
}

export interface CommitSpec {
  readonly tree: string;
  readonly parents: readonly string[];
  readonly author: Identity;
  /** Seconds since 1970; written with the offset +0000. */
  readonly authoredAt: number;
  readonly committer: Identity;
  readonly committedAt: number;
  readonly message: string;
}

export interface StoredCommit extends CommitSpec {
  readonly oid: string;
}

/** All files of a commit, by path. */
export type Files = ReadonlyMap<string, FileEntry>;

interface FileEntry {
  readonly mode: string;
  readonly oid: string;
}

const CONFIG = `[core]
	repositoryformatversion = 0
	filemode = true
	bare = true
[gc]
	auto = 0
[receive]
	unpackLimit = 1000000
	autogc = false
[uploadpack]
	allowAnySHA1InWant = true
	allowFilter = true
`;
const TREE_MODE = '40000';
/** Of openssh-client, as git itself uses it for signing. */
const SIGNER = 'ssh-keygen';

export class GitStore {
  readonly dir: string;
  readonly #commits = new Map<string, StoredCommit>();
  readonly #trees = new Map<string, Files>();
  readonly #written = new Set<string>();

  /** Makes an empty repository in `dir`, which may exist and has to be empty. */
  constructor(dir: string, branch = 'main') {
    this.dir = dir;
    for (const folder of ['objects/info', 'objects/pack', 'refs/heads', 'refs/tags']) {
      mkdirSync(path.join(dir, folder), { recursive: true });
    }
    writeFileSync(path.join(dir, 'config'), CONFIG);
    writeFileSync(path.join(dir, 'HEAD'), `ref: refs/heads/${branch}\n`);
  }

  has(oid: string): boolean {
    return existsSync(this.#place(oid));
  }

  /** The commit of this id, or the one whose id begins so (at least 4 digits); null: none. */
  resolve(commit: string): string | null {
    if (!/^[0-9a-f]{4,40}$/.test(commit)) return null;
    const folder = path.join(this.dir, 'objects', commit.slice(0, 2));
    const names = existsSync(folder) ? readdirSync(folder) : [];
    const found = names.find((name) => name.startsWith(commit.slice(2)) && name.length === 38);
    return found === undefined ? null : `${commit.slice(0, 2)}${found}`;
  }

  /** Content of a blob; null: there is none of this id. */
  blob(oid: string): Buffer | null {
    return this.has(oid) ? this.#read(oid, 'blob') : null;
  }

  writeBlob(content: string | Uint8Array): string {
    return this.#write('blob', Buffer.from(content));
  }

  /** The commit; null: there is none of this id. */
  commit(oid: string): StoredCommit | null {
    const known = this.#commits.get(oid);
    if (known !== undefined || !/^[0-9a-f]{40}$/.test(oid) || !this.has(oid)) return known ?? null;
    const parsed = { oid, ...parseCommit(this.#read(oid, 'commit').toString('utf8')) };
    this.#commits.set(oid, parsed);
    return parsed;
  }

  /** `signingKey`: private SSH key file that signs it. Equal input gives the same id. */
  writeCommit(spec: CommitSpec, signingKey?: string): string {
    const head = [
      `tree ${spec.tree}`,
      ...spec.parents.map((parent) => `parent ${parent}`),
      `author ${personLine(spec.author, spec.authoredAt)}`,
      `committer ${personLine(spec.committer, spec.committedAt)}`,
    ].join('\n');
    const message = spec.message.endsWith('\n') ? spec.message : `${spec.message}\n`;
    const unsigned = `${head}\n\n${message}`;
    if (signingKey === undefined) return this.#write('commit', Buffer.from(unsigned));
    const args = ['-q', '-Y', 'sign', '-n', 'git', '-f', signingKey];
    const signature = execFileSync(SIGNER, args, { input: unsigned, stdio: 'pipe' }).toString().trimEnd();
    return this.#write('commit', Buffer.from(`${head}\ngpgsig ${signature.replaceAll('\n', '\n ')}\n\n${message}`));
  }

  /** Files of a commit; of one that is not there: none. */
  files(commit: string): Files {
    const found = this.commit(commit);
    return found === null ? new Map() : this.#tree(found.tree);
  }

  writeTree(files: Files): string {
    const entries = new Map<string, FileEntry>();
    const folders = new Map<string, Map<string, FileEntry>>();
    for (const [name, entry] of files) {
      const slash = name.indexOf('/');
      if (slash < 0) entries.set(name, entry);
      else {
        const folder = name.slice(0, slash);
        const inside = folders.get(folder) ?? new Map<string, FileEntry>();
        folders.set(folder, inside.set(name.slice(slash + 1), entry));
      }
    }
    for (const [name, inside] of folders) entries.set(name, { mode: TREE_MODE, oid: this.writeTree(inside) });
    // Git orders a folder as if its name ended with a slash.
    const key = ([name, { mode }]: readonly [string, FileEntry]) => Buffer.from(mode === TREE_MODE ? `${name}/` : name);
    const sorted = [...entries].sort((a, b) => Buffer.compare(key(a), key(b)));
    const parts = sorted.flatMap(([name, { mode, oid }]) => [
      Buffer.from(`${mode} ${name}\0`),
      Buffer.from(oid, 'hex'),
    ]);
    return this.#write('tree', Buffer.concat(parts));
  }

  /** Where a ref stands; null: there is none. */
  ref(name: string): string | null {
    const file = path.join(this.dir, name);
    return existsSync(file) && statSync(file).isFile() ? readFileSync(file, 'utf8').trim() : null;
  }

  setRef(name: string, oid: string | null): void {
    const file = path.join(this.dir, name);
    if (oid === null) return rmSync(file, { force: true });
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(`${file}.new`, `${oid}\n`);
    renameSync(`${file}.new`, file);
  }

  /** Names of the branches, sorted. */
  branches(): readonly string[] {
    const heads = path.join(this.dir, 'refs/heads');
    const names = readdirSync(heads, { recursive: true, encoding: 'utf8' });
    return names.filter((name) => statSync(path.join(heads, name)).isFile()).toSorted();
  }

  #tree(oid: string): Files {
    const known = this.#trees.get(oid);
    if (known !== undefined) return known;
    const files = new Map<string, FileEntry>();
    for (const { mode, name, oid: entry } of parseTree(this.#read(oid, 'tree'))) {
      if (mode !== TREE_MODE) files.set(name, { mode, oid: entry });
      else for (const [inner, file] of this.#tree(entry)) files.set(`${name}/${inner}`, file);
    }
    this.#trees.set(oid, files);
    return files;
  }

  #place(oid: string): string {
    return path.join(this.dir, 'objects', oid.slice(0, 2), oid.slice(2));
  }

  #read(oid: string, type: string): Buffer {
    const raw = inflateSync(readFileSync(this.#place(oid)));
    const end = raw.indexOf(0);
    if (!raw.subarray(0, end).toString().startsWith(`${type} `)) throw new Error(`${oid} is no ${type}`);
    return raw.subarray(end + 1);
  }

  #write(type: string, content: Buffer): string {
    const raw = Buffer.concat([Buffer.from(`${type} ${content.length}\0`), content]);
    const oid = createHash('sha1').update(raw).digest('hex');
    if (this.#written.has(oid) || this.has(oid)) return oid;
    mkdirSync(path.dirname(this.#place(oid)), { recursive: true });
    // Nothing refers to it yet, so that nobody can meet half of it.
    writeFileSync(this.#place(oid), deflateSync(raw, { level: 1 }));
    this.#written.add(oid);
    return oid;
  }
}

function personLine({ name, email }: Identity, at: number): string {
  return `${name} <${email}> ${at} +0000`;
}

function parseCommit(text: string): CommitSpec {
  const end = text.indexOf('\n\n');
  const lines = text.slice(0, end).split('\n');
  const values = (key: string) =>
    lines.filter((line) => line.startsWith(`${key} `)).map((line) => line.slice(key.length + 1));
  const author = parsePerson(values('author')[0] ?? '');
  const committer = parsePerson(values('committer')[0] ?? '');
  return {
    tree: values('tree')[0] ?? '',
    parents: values('parent'),
    author: author.who,
    authoredAt: author.at,
    committer: committer.who,
    committedAt: committer.at,
    message: text.slice(end + 2),
  };
}

function parsePerson(line: string): { readonly who: Identity; readonly at: number } {
  const [, name = '', email = '', at = '0'] = /^(.*?) ?<([^>]*)> (\d+)/.exec(line) ?? [];
  return { who: { name, email }, at: Number(at) };
}

function* parseTree(
  content: Buffer,
): Generator<{ readonly mode: string; readonly name: string; readonly oid: string }> {
  for (let at = 0; at < content.length; ) {
    const space = content.indexOf(0x20, at);
    const end = content.indexOf(0, space);
    const oid = content.subarray(end + 1, end + 21).toString('hex');
    yield { mode: content.subarray(at, space).toString(), name: content.subarray(space + 1, end).toString(), oid };
    at = end + 21;
  }
}
