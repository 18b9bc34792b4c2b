import { mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { systemClock } from '../../src/adapters/clock.ts';
import { openJournal } from '../../src/adapters/ops-repo/journal.ts';
import { createFileRecords } from '../../src/adapters/records.ts';
import { type DemoRepo, makeDemoRepo } from '../../src/cli/demo-repo.ts';
import { plainGit } from '../../src/cli/plain-git.ts';
import { runProgram } from '../../src/cli/program.ts';
import type { AttemptRecord } from '../../src/domain/attempt-record.ts';
import type { JournalEntry } from '../../src/domain/journal.ts';
import { encodeResult, type Result } from '../../src/domain/result.ts';
import { type FolderCopy, keepFolder } from './folder-copy.ts';
import { temporaryFolder, Writer } from './git-repo.ts';

export interface Said {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly isTTY?: boolean;
  readonly signal?: AbortSignal;
  /** Each piece as it is written. */
  readonly onStdout?: (piece: string) => void;
  readonly onStderr?: (piece: string) => void;
}

const PUSHER = { name: 'edge-dispatcher', email: 'edge-dispatcher@localhost' };

/** The ops repo of the demo with its configuration beside it, and the program called in that folder. */
export class CliBench {
  readonly root: string;
  readonly repo: DemoRepo;
  readonly remove: () => Promise<void>;
  #writer: Writer | undefined;

  private constructor(root: string, repo: DemoRepo, remove: () => Promise<void>) {
    this.root = root;
    this.repo = repo;
    this.remove = remove;
  }

  static async open(): Promise<CliBench> {
    const { dir, remove } = await temporaryFolder('edge-cli-');
    const bench = new CliBench(dir, await copyDemoRepo(dir), remove);
    await writeFile(path.join(dir, 'dispatcher.toml'), bench.config());
    return bench;
  }

  config(changes: { readonly url?: string; readonly stateDir?: string } = {}): string {
    const { url = this.repo.url, stateDir = this.repo.stateDir } = changes;
    return `[dispatcher]
name = "demo"
state_dir = ${JSON.stringify(stateDir)}
poll_seconds = 1
[ops_repo]
url = ${JSON.stringify(url)}
[approval]
medium = ["signed-commit"]
high = ["signed-commit"]
trusted_commit = "${this.repo.trustedCommit}"
[engine]
kind = "subprocess"
[access]
kind = "file"
`;
  }

  /** One command line; `isTTY`: on a terminal of 80 columns. */
  async run(argv: readonly string[], options: RunOptions = {}): Promise<Said> {
    const { isTTY = false, signal = new AbortController().signal } = options;
    const heard = { stdout: options.onStdout, stderr: options.onStderr };
    const said = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
    const into = (stream: 'stdout' | 'stderr') => ({
      write: (text: string | Uint8Array) => {
        said[stream].push(Buffer.from(text));
        heard[stream]?.(Buffer.from(text).toString('utf8'));
      },
      isTTY,
      columns: 80,
    });
    const io = { cwd: this.root, env: {}, stdout: into('stdout'), stderr: into('stderr'), signal };
    const code = await runProgram(argv, io);
    const text = (stream: 'stdout' | 'stderr') => Buffer.concat(said[stream]).toString('utf8');
    return { code, stdout: text('stdout'), stderr: text('stderr') };
  }

  /** Exit code and the one JSON value of a command line. */
  async json(...argv: readonly string[]): Promise<{ readonly code: number; readonly value: unknown }> {
    const { code, stdout, stderr } = await this.run([...argv, '--json']);
    if (stdout === '') throw new Error(`nothing but an error was said (exit ${code}): ${stderr}`);
    return { code, value: JSON.parse(stdout) as unknown };
  }

  /** Pushes files on top of the branch (null: removes), on request signed by Grace, and takes all to Ada's clone. */
  async push(
    files: Readonly<Record<string, string | null>>,
    options: { readonly signed?: boolean } = {},
  ): Promise<void> {
    const signed = options.signed ? { signingKey: path.join(this.root, 'grace-key') } : {};
    this.#writer ??= await Writer.open(this.repo.url, path.join(this.root, 'writer.git'));
    await this.#writer.pull();
    const commit = await this.#writer.commit(files, { author: PUSHER, date: new Date(), ...signed });
    await this.#writer.push();
    await plainGit(this.repo.clone, ['reset', '--quiet', '--hard', commit]);
  }

  async pushResult(result: Result): Promise<void> {
    await this.push({ [`vault/actions/${result.id}.result.json`]: encodeResult(result).toString('utf8') });
  }

  /** Blob of a file as it lies in Ada's clone. */
  blob(name: string): Promise<string> {
    return plainGit(this.repo.clone, ['rev-parse', `HEAD:${name}`]);
  }

  /** Writes an attempt into the journal as the dispatcher `entry.dispatcher` would. */
  async claim(entry: JournalEntry): Promise<void> {
    const journal = await openJournal(
      {
        url: this.repo.url,
        branch: 'main',
        dir: path.join(this.root, 'journal-cache'),
        username: 'edge-bot',
        tokenFile: null,
        sshKeyFile: null,
        knownHostsFile: null,
        author: 'Edge Dispatcher <edge@localhost>',
        timeoutMs: 20_000,
        pushSpacingMs: 0,
        journalRef: 'refs/dispatcher/journal',
        tombstoneDays: 8,
        dispatcher: entry.dispatcher,
        instance: entry.instance,
      },
      systemClock,
    );
    try {
      const answer = await journal.claim(entry, { groupLimit: 10, replaces: null, now: new Date() });
      if (answer !== 'won') throw new Error(`the claim was ${answer}`);
    } finally {
      await journal.close();
    }
  }

  /** This host's note of an attempt. */
  async note(record: AttemptRecord): Promise<void> {
    await createFileRecords(path.join(this.repo.stateDir, 'runs')).save(record);
  }

  /** What a runner of this attempt has left so far. */
  async runDirectory(token: string, files: Readonly<Record<string, string>>): Promise<string> {
    const dir = path.join(this.repo.stateDir, 'runs', token);
    await mkdir(dir, { recursive: true });
    for (const [name, content] of Object.entries(files)) await writeFile(path.join(dir, name), content);
    return dir;
  }

  /** The operator's wishes that lie in state_dir/control. */
  async wishes(): Promise<readonly string[]> {
    return readdir(path.join(this.repo.stateDir, 'control')).catch(() => []);
  }
}

interface KeptDemo {
  readonly repo: DemoRepo;
  readonly root: string;
  readonly files: FolderCopy;
}

let demo: Promise<KeptDemo> | undefined;

/** Made once by the demo's own code, forty processes, and then written from memory; the clone has the remote's objects. */
async function copyDemoRepo(root: string): Promise<DemoRepo> {
  demo ??= makeDemo();
  const made = await demo;
  await made.files.writeTo(root);
  const there = (folder: string) => path.join(root, path.relative(made.root, folder));
  const { url, clone, stateDir, trustedCommit } = made.repo;
  await rm(path.join(there(clone), '.git', 'objects'), { recursive: true, force: true });
  await symlink(path.join(there(url), 'objects'), path.join(there(clone), '.git', 'objects'));
  return { url: there(url), clone: there(clone), stateDir: there(stateDir), trustedCommit };
}

async function makeDemo(): Promise<KeptDemo> {
  const { dir, remove } = await temporaryFolder('edge-cli-');
  try {
    const repo = await makeDemoRepo(dir);
    // Examples, which nobody needs.
    for (const gitDir of [repo.url, path.join(repo.clone, '.git')])
      await rm(path.join(gitDir, 'hooks'), { recursive: true });
    return { repo, root: dir, files: await keepFolder(dir) };
  } finally {
    await remove();
  }
}
