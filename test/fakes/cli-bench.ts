import { mkdir, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { systemClock } from '../../src/adapters/clock.ts';
import { openJournal } from '../../src/adapters/ops-repo/journal.ts';
import { createFileRecords } from '../../src/adapters/records.ts';
import { type DemoRepo, makeDemoRepo } from '../../src/cli/demo-repo.ts';
import { plainGit, writeNewFiles } from '../../src/cli/plain-git.ts';
import { runProgram } from '../../src/cli/program.ts';
import type { AttemptRecord } from '../../src/domain/attempt-record.ts';
import type { JournalEntry } from '../../src/domain/journal.ts';
import { encodeResult, type Result } from '../../src/domain/result.ts';
import { temporaryFolder } from './git-repo.ts';

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

/** The ops repo of the demo with its configuration beside it, and the program called in that folder. */
export class CliBench {
  readonly root: string;
  readonly repo: DemoRepo;
  readonly remove: () => Promise<void>;

  private constructor(root: string, repo: DemoRepo, remove: () => Promise<void>) {
    this.root = root;
    this.repo = repo;
    this.remove = remove;
  }

  static async open(): Promise<CliBench> {
    const { dir, remove } = await temporaryFolder('edge-cli-');
    const bench = new CliBench(dir, await makeDemoRepo(dir), remove);
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
    const { code, stdout } = await this.run([...argv, '--json']);
    return { code, value: JSON.parse(stdout) as unknown };
  }

  /** Ada pushes files (null: removes). */
  async push(files: Readonly<Record<string, string | null>>): Promise<void> {
    const { clone } = this.repo;
    await plainGit(clone, ['pull', '--quiet', '--ff-only', 'origin', 'main']);
    for (const [name, content] of Object.entries(files)) {
      if (content === null) await plainGit(clone, ['rm', '--quiet', '--', name]);
      else await writeNewFiles(clone, { [name]: content });
    }
    await plainGit(clone, ['add', '--all', '.']);
    await plainGit(clone, ['commit', '--quiet', '-m', 'change']);
    await plainGit(clone, ['push', '--quiet', 'origin', 'main']);
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
