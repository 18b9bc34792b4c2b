import { execFile } from 'node:child_process';
import { link, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { oid as asOid, type Oid } from '../../src/domain/ids.ts';
import { type FileContent, importStream } from './fast-import.ts';
import { headRef, moveRef, readRef } from './ref-files.ts';

/**
 * Makes ops repos with real git: a bare remote, and a writer that commits to a scratch clone of it by plumbing (no work
 * tree), as another person would. Everything lies beneath folders that the test itself makes and removes.
 *
 * A process costs more than all else that tests do. So a clone borrows the remote's objects, and what it pushes is
 * linked into the remote and its ref moved, both as files; a remote with hooks is pushed to by git.
 */

interface Who {
  readonly name: string;
  readonly email: string;
}

export type { FileContent };

export interface CommitOptions {
  readonly message?: string;
  readonly author?: Who;
  /** Default: the author. */
  readonly committer?: Who;
  /** Private SSH key file; the commit is signed with it. */
  readonly signingKey?: string;
  /** Default: one minute after the commit before, from 2026-01-01 on. */
  readonly date?: Date;
}

export interface SigningKey {
  readonly file: string;
  /** `ssh-ed25519 AAAA…`, without comment. */
  readonly publicKey: string;
  /** An armoured SSH signature of the text for this purpose (git's is `git`). */
  sign(text: string, namespace: string): Promise<string>;
  /** `SHA256:…` */
  fingerprint(): Promise<string>;
}

const ALTERNATES = path.join('objects', 'info', 'alternates');

const someone: Who = { name: 'Some One', email: 'someone@example.org' };

/** A new temporary folder and how to remove it again. */
export async function temporaryFolder(prefix = 'edge-git-'): Promise<{ dir: string; remove: () => Promise<void> }> {
  const dir = await mkdtemp(path.join(tmpdir(), prefix));
  return { dir, remove: () => rm(dir, { recursive: true, force: true, maxRetries: 5 }) };
}

/** Makes an empty bare repo in `dir` and answers its path. It does not tidy itself up: that would be a process a push. */
export async function createRemote(
  dir: string,
  options: { readonly branch?: string; readonly objectFormat?: 'sha1' | 'sha256' } = {},
): Promise<string> {
  const format = options.objectFormat ?? 'sha1';
  const empty = emptyRepos.get(format) ?? emptyRepo(format);
  emptyRepos.set(format, empty);
  const { folders, config } = await empty;
  await mkdir(dir, { recursive: true });
  for (const folder of folders) await mkdir(path.join(dir, folder), { recursive: true });
  await writeFile(
    path.join(dir, 'config'),
    `${config}[gc]\n\tauto = 0\n[receive]\n\tautogc = false\n[maintenance]\n\tauto = false\n`,
  );
  await writeFile(path.join(dir, 'HEAD'), `ref: refs/heads/${options.branch ?? 'main'}\n`);
  return dir;
}

/** What `git init` makes. Tests need a thousand repos, and to copy one costs a tenth of making it. */
interface EmptyRepo {
  readonly folders: readonly string[];
  readonly config: string;
}

const emptyRepos = new Map<string, Promise<EmptyRepo>>();

async function emptyRepo(format: string): Promise<EmptyRepo> {
  const { dir, remove } = await temporaryFolder();
  await git(['init', '--quiet', '--bare', '--template=', `--object-format=${format}`, dir], {});
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const folders = entries.filter((entry) => entry.isDirectory());
  const config = await readFile(path.join(dir, 'config'), 'utf8');
  await remove();
  return { folders: folders.map(({ parentPath, name }) => path.relative(dir, path.join(parentPath, name))), config };
}

/** Makes an Ed25519 key pair without passphrase. */
export async function createSigningKey(dir: string, name = 'key'): Promise<SigningKey> {
  await mkdir(dir, { recursive: true });
  const file = path.join(dir, name);
  await execute('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', file], {});
  const [type = '', key = ''] = (await readFile(`${file}.pub`, 'utf8')).split(' ');
  const sign = (text: string, namespace: string): Promise<string> =>
    execute('ssh-keygen', ['-q', '-Y', 'sign', '-n', namespace, '-f', file], {}, text);
  const fingerprint = async () => (await execute('ssh-keygen', ['-l', '-f', file], {})).split(' ')[1] ?? '';
  return { file, publicKey: `${type} ${key}`, sign, fingerprint };
}

/** One person's clone. Not for use by two callers at the same time. */
export class Writer {
  readonly dir: string;
  readonly remote: string;
  readonly #noObject: string;
  #branch: string;
  /** Of the commits made here: so much of history is known without asking. */
  readonly #parents = new Map<Oid, readonly Oid[]>();
  /** Files of objects that the remote has by now. */
  readonly #handedOver = new Set<string>();
  #clock = Date.parse('2026-01-01T00:00:00Z');

  private constructor(
    places: { readonly remote: string; readonly dir: string },
    branch: string,
    format: 'sha1' | 'sha256',
  ) {
    this.remote = places.remote;
    this.dir = places.dir;
    this.#branch = branch;
    this.#noObject = '0'.repeat(format === 'sha256' ? 64 : 40);
  }

  /** A scratch clone in `dir` (made); holds what the remote has, on `branch`. */
  static async open(remote: string, dir: string, branch = 'main'): Promise<Writer> {
    const config = await readFile(path.join(remote, 'config'), 'utf8');
    const format = /objectformat = sha256/i.test(config) ? 'sha256' : 'sha1';
    await createRemote(dir, { branch, objectFormat: format });
    await writeFile(path.join(dir, ALTERNATES), `${path.resolve(remote, 'objects')}\n`);
    const writer = new Writer({ remote, dir }, branch, format);
    await writer.pull().catch(() => undefined);
    return writer;
  }

  /** Commits these changes on top of the present branch; not yet pushed. */
  async commit(files: Readonly<Record<string, FileContent>>, options: CommitOptions = {}): Promise<Oid> {
    const parent = await this.resolve('HEAD');
    const identity = this.#identity(options);
    const { message = 'change\n' } = options;
    const input = importStream({ branch: this.#branch, parent, message, identity, files });
    const said = await this.git(['fast-import', '--quiet', '--force', '--done', '--date-format=raw'], { input });
    const commit = asOid(said.trim());
    const parents = parent === null ? [] : [parent];
    // It can't sign, but it has made the tree.
    if (options.signingKey !== undefined) return this.#commitTree(`${commit}^{tree}`, parents, options, identity);
    this.#parents.set(commit, parents);
    return commit;
  }

  /** Merges another branch with a merge commit, always; `files` settles conflicts (or is the evil of the merge). */
  async merge(
    other: string,
    files: Readonly<Record<string, FileContent>> = {},
    options: CommitOptions = {},
  ): Promise<Oid> {
    const ours = await this.resolve('HEAD');
    const theirs = await this.resolve(other);
    if (ours === null || theirs === null) throw new Error('nothing to merge');
    const base = (await this.git(['merge-base', ours, theirs])).trim();
    await this.git(['read-tree', '--empty']);
    await this.git(['read-tree', '-i', '-m', '--aggressive', base, ours, theirs]);
    return this.#finish(files, [ours, theirs], { message: `Merge ${other}`, ...options });
  }

  /** Puts HEAD on a branch, made at `from` (default: here) if it is not there. */
  async checkout(branch: string, from = 'HEAD'): Promise<void> {
    if ((await this.resolve(`refs/heads/${branch}`)) === null) {
      await this.#move(`refs/heads/${branch}`, (await this.resolve(from)) ?? from);
    }
    await this.git(['symbolic-ref', 'HEAD', `refs/heads/${branch}`]);
    this.#branch = branch;
  }

  /** Moves the present branch to any commit (as `reset --hard`). */
  async reset(to: string): Promise<void> {
    await this.#move(`refs/heads/${this.#branch}`, (await this.resolve(to)) ?? to);
  }

  /** Pushes the present branch; `force` overwrites. Rejects when it is refused. */
  async push(options: { readonly force?: boolean; readonly to?: string } = {}): Promise<void> {
    const to = options.to ?? `refs/heads/${this.#branch}`;
    const ours = await this.resolve('HEAD');
    if (ours === null || (await this.#remoteHasHooks())) {
      await this.git(['push', '--quiet', ...(options.force ? ['--force'] : []), this.remote, `HEAD:${to}`]);
      return;
    }
    const theirs = await readRef(this.remote, to);
    if (theirs === ours) return;
    if (theirs !== null && !options.force && !this.#isKnownAncestor(theirs, ours)) {
      await this.git(['merge-base', '--is-ancestor', theirs, ours]);
    }
    await this.#handOver();
    await moveRef(this.remote, to, { from: theirs, to: ours });
  }

  /** Takes the remote's state of the present branch. */
  async pull(): Promise<Oid> {
    const branch = `refs/heads/${this.#branch}`;
    const tip = await readRef(this.remote, branch);
    if (tip === null) throw new Error(`the remote has no ${branch}`);
    await this.#move(branch, tip);
    return tip;
  }

  /** Makes a lightweight tag, or an annotated (and signed) one with a message. */
  async tag(name: string, options: { readonly message?: string; readonly signingKey?: string } = {}): Promise<void> {
    if (options.message === undefined) return void (await this.git(['tag', name, 'HEAD']));
    const sign = options.signingKey === undefined ? ['-a'] : ['-s', '-u', options.signingKey];
    await this.git(['-c', 'gpg.format=ssh', 'tag', ...sign, '-m', options.message, name, 'HEAD']);
  }

  async pushTag(name: string): Promise<void> {
    const ref = `refs/tags/${name}`;
    const ours = await readRef(this.dir, ref);
    const isNew = (await readRef(this.remote, ref)) === null;
    if (ours === null || !isNew || (await this.#remoteHasHooks())) {
      await this.git(['push', '--quiet', this.remote, ref]);
      return;
    }
    await this.#handOver();
    await moveRef(this.remote, ref, { from: null, to: ours });
  }

  /** Object id of a revision, null if there is none. */
  async resolve(revision: string): Promise<Oid | null> {
    const ref = revision === 'HEAD' ? await headRef(this.dir) : revision;
    if (/^refs\/[\w./-]+$/.test(ref)) return readRef(this.dir, ref);
    const out = await this.git(['rev-parse', '--verify', '--quiet', revision]).catch(() => '');
    return out === '' ? null : asOid(out.trim());
  }

  async blobAt(revision: string, file: string): Promise<Oid | null> {
    return this.resolve(`${revision}:${file}`);
  }

  /** Runs any git command in the clone and answers its stdout. */
  git(args: readonly string[], options: { readonly env?: Env; readonly input?: string | Uint8Array } = {}) {
    return git(
      args,
      { GIT_DIR: this.dir, GIT_INDEX_FILE: path.join(this.dir, 'scratch-index'), ...options.env },
      options.input,
    );
  }

  async #finish(
    files: Readonly<Record<string, FileContent>>,
    parents: readonly Oid[],
    options: CommitOptions,
  ): Promise<Oid> {
    const records: string[] = [];
    for (const [file, content] of Object.entries(files)) {
      // Removing first also settles the stages of a conflict.
      records.push(`0 ${this.#noObject}\t${file}\0`, ...(await this.#entry(file, content)));
    }
    await this.git(['update-index', '-z', '--index-info'], { input: records.join('') });
    const tree = (await this.git(['write-tree'])).trim();
    return this.#commitTree(tree, parents, options, this.#identity(options));
  }

  /** Commits a tree on the present branch. */
  async #commitTree(tree: string, parents: readonly Oid[], options: CommitOptions, env: Env): Promise<Oid> {
    const sign = options.signingKey === undefined ? [] : [`-S${options.signingKey}`];
    const named = parents.flatMap((parent) => ['-p', parent]);
    const args = ['-c', 'gpg.format=ssh', 'commit-tree', ...sign, ...named, '-F', '-', tree];
    const commit = asOid((await this.git(args, { env, input: options.message ?? 'change\n' })).trim());
    this.#parents.set(commit, parents);
    await this.#move(await headRef(this.dir), commit);
    return commit;
  }

  async #move(ref: string, to: string): Promise<void> {
    await moveRef(this.dir, ref, { from: await readRef(this.dir, ref), to: asOid(to) });
  }

  #isKnownAncestor(old: Oid, of: Oid): boolean {
    if (old === of) return true;
    return (this.#parents.get(of) ?? []).some((parent) => this.#isKnownAncestor(old, parent));
  }

  /** Gives the remote all objects made here, a pack before its index. */
  async #handOver(): Promise<void> {
    const entries = await readdir(path.join(this.dir, 'objects'), { recursive: true, withFileTypes: true });
    const files = entries
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => path.relative(this.dir, path.join(parentPath, name)))
      .filter((file) => file !== ALTERNATES && !this.#handedOver.has(file));
    for (const file of files.toSorted((a, b) => Number(a.endsWith('.idx')) - Number(b.endsWith('.idx')))) {
      const place = path.join(this.remote, file);
      await mkdir(path.dirname(place), { recursive: true });
      await link(path.join(this.dir, file), place).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error;
      });
      this.#handedOver.add(file);
    }
  }

  async #remoteHasHooks(): Promise<boolean> {
    const hooks = await readdir(path.join(this.remote, 'hooks')).catch(() => []);
    return hooks.length > 0;
  }

  async #entry(file: string, content: FileContent): Promise<string[]> {
    if (content === null) return [];
    const plain = typeof content === 'string' || content instanceof Uint8Array;
    const mode = plain ? '100644' : content.mode;
    const input = plain ? content : content.content;
    const id = mode === '160000' ? String(input) : (await this.git(['hash-object', '-w', '--stdin'], { input })).trim();
    return [`${mode} ${id} 0\t${file}\0`];
  }

  #identity(options: CommitOptions): Env {
    this.#clock += 60_000;
    const date = `@${Math.floor((options.date?.getTime() ?? this.#clock) / 1000)} +0000`;
    const author = options.author ?? someone;
    const committer = options.committer ?? author;
    return {
      GIT_AUTHOR_NAME: author.name,
      GIT_AUTHOR_EMAIL: author.email,
      GIT_AUTHOR_DATE: date,
      GIT_COMMITTER_NAME: committer.name,
      GIT_COMMITTER_EMAIL: committer.email,
      GIT_COMMITTER_DATE: date,
    };
  }
}

/** Writes a commit object with exactly these bytes (hostile ones too) and answers its id; git checks nothing. */
export async function writeRawCommit(writer: Writer, raw: string | Uint8Array): Promise<Oid> {
  const out = await writer.git(['hash-object', '-t', 'commit', '-w', '--stdin', '--literally'], { input: raw });
  return asOid(out.trim());
}

/** A repo with one commit that holds `files`, pushed. */
export async function seededRemote(
  dir: string,
  files: Readonly<Record<string, FileContent>>,
): Promise<{ remote: string; writer: Writer }> {
  const remote = await createRemote(path.join(dir, 'remote.git'));
  const writer = await Writer.open(remote, path.join(dir, 'writer.git'));
  await writer.commit(files, { message: 'first\n' });
  await writer.push();
  return { remote, writer };
}

/** Makes the remote run `script` (POSIX sh) as its hook `name`. */
export async function installHook(remote: string, name: string, script: string): Promise<void> {
  await mkdir(path.join(remote, 'hooks'), { recursive: true });
  await writeFile(path.join(remote, 'hooks', name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
}

type Env = Readonly<Record<string, string>>;

/** Runs git in a closed environment; rejects with its stderr when it fails. */
export function git(args: readonly string[], env: Env, input?: string | Uint8Array): Promise<string> {
  return execute('git', args, env, input);
}

function execute(command: string, args: readonly string[], env: Env, input?: string | Uint8Array): Promise<string> {
  const closed = {
    PATH: process.env['PATH'] ?? '/usr/bin:/bin',
    HOME: '/nonexistent',
    LC_ALL: 'C',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_CONFIG_SYSTEM: '/dev/null',
    GIT_TERMINAL_PROMPT: '0',
    GIT_COMMITTER_NAME: someone.name,
    GIT_COMMITTER_EMAIL: someone.email,
    ...env,
  };
  return new Promise((resolve, reject) => {
    const child = execFile(command, args, { env: closed, maxBuffer: 1 << 28 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${command} ${args[0] ?? ''}: ${stderr.trim() || error.message}`, { cause: error }));
    });
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input ?? '');
  });
}
