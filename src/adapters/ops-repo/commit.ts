import { type Oid, oid } from '../../domain/ids.ts';
import type { Environment } from './environment.ts';
import { classify, GitFailure } from './failure.ts';
import type { Git } from './git.ts';
import type { SigningKey } from './signing-key.ts';

/** Makes commits without index or work tree: a tree on top of another commit's, then a commit of it. */

export interface FileWrite {
  readonly path: string;
  /** null removes the file. */
  readonly content: Uint8Array | null;
}

/**
 * Writes the tree of `base` (null: the empty one) with these files changed. One process; of a large folder only the tree
 * object itself is read and written. To be called one after the other for a clone.
 */
export async function writeTree(git: Git, base: Oid | null, files: readonly FileWrite[]): Promise<Oid> {
  const out = await git.ok(['fast-import', '--quiet', '--force', '--done', '--date-format=raw'], {
    input: Buffer.concat(importStream(base, files)),
  });
  const line = out.toString('utf8').trim();
  const tree = /^040000 tree ([0-9a-f]+)$/.exec(line)?.[1];
  if (tree !== undefined) return oid(tree);
  // Nothing is left in it.
  if (line.startsWith('missing')) return oid((await git.ok(['mktree'], { input: '' })).toString('utf8').trim());
  throw new GitFailure('other', 'git fast-import', 'named no tree');
}

/** The commit of the stream is scaffolding: `ls` names its tree, and nobody looks at the commit again. */
function importStream(base: Oid | null, files: readonly FileWrite[]): Uint8Array[] {
  const stream: Uint8Array[] = [];
  const line = (text: string): void => void stream.push(Buffer.from(`${text}\n`));
  line('commit refs/edge/scratch');
  line('committer edge-dispatcher <> 0 +0000');
  line('data 0');
  if (base !== null) line(`from ${base}`);
  for (const { path, content } of files) {
    if (content === null) {
      line(`D ${quotedPath(path)}`);
      continue;
    }
    line(`M 100644 inline ${quotedPath(path)}`);
    line(`data ${content.length}`);
    stream.push(content);
    line('');
  }
  line('ls ""');
  line('done');
  return stream;
}

function quotedPath(path: string): string {
  if (/\p{Cc}/u.test(path)) throw new Error('a control character in the path of a file to be written');
  return `"${path.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}

export interface NewCommit {
  readonly tree: Oid;
  readonly parents: readonly Oid[];
  readonly message: string;
  /** `Name <address>`. */
  readonly author: string;
  readonly date: Date;
  /** What it is signed with; absent: it is not. */
  readonly signingKey?: SigningKey | undefined;
}

/** Throws GitFailure; StalledError (ERR_SIGNING_KEY) or TransientError when it can't be signed. */
export async function commitTree(git: Git, commit: NewCommit): Promise<Oid> {
  const input = commit.message.replaceAll('\0', '');
  const { signingKey } = commit;
  await signingKey?.check();
  const { settings, options } = signingArguments(signingKey);
  const parents = commit.parents.flatMap((parent) => ['-p', parent]);
  const args = [...settings, 'commit-tree', ...options, '-F', '-', ...parents, commit.tree];
  const { code, stdout, stderr } = await git.run(args, { env: identity(commit), input });
  if (code === 0) return oid(stdout.toString('utf8').trim());
  // Whether the key is at fault is asked of the key: what git says could be taken for words about a damaged clone.
  await signingKey?.examine();
  throw new GitFailure(classify(stderr, false), `git commit-tree (exit ${code})`);
}

function signingArguments(signingKey: SigningKey | undefined) {
  if (signingKey === undefined) return { settings: [], options: [] };
  const settings = ['-c', 'gpg.format=ssh', '-c', 'gpg.ssh.program=ssh-keygen'];
  return { settings, options: [`-S${signingKey.file}`] };
}

function identity({ author, date: at }: NewCommit): Environment {
  const [, name = '', email = ''] = /^\s*([^<>\n]*?)\s*<([^<>\n]*)>\s*$/.exec(author) ?? [];
  const date = `@${Math.floor(at.getTime() / 1000)} +0000`;
  return {
    GIT_AUTHOR_NAME: name || 'edge-dispatcher',
    GIT_AUTHOR_EMAIL: email,
    GIT_AUTHOR_DATE: date,
    GIT_COMMITTER_NAME: name || 'edge-dispatcher',
    GIT_COMMITTER_EMAIL: email,
    GIT_COMMITTER_DATE: date,
  };
}
