import { blobOid, type Oid } from '../../domain/ids.ts';
import { StalledError, TransientError } from '../../errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type { NewFile, PublishAnswer, TreeEntry } from '../../ports/ops-repo.ts';
import type { Flush } from './group-commit.ts';
import type { BranchCommits } from './publish-commits.ts';

export interface Publication {
  readonly file: NewFile;
  readonly message: string;
}

/**
 * Brings new files into the branch in one commit: look at the newest tip, put what is not there yet on top of it, push it
 * as a plain fast-forward. When somebody else was quicker all of it is done again on what they made; nothing is merged.
 */
export class Publisher {
  readonly #commits: BranchCommits;
  readonly #clock: Clock;

  constructor(commits: BranchCommits, clock: Clock) {
    this.#commits = commits;
    this.#clock = clock;
  }

  /** For GroupCommit. Throws errors of the port for all of the group. */
  async publish(group: readonly Publication[]): Promise<Flush<PublishAnswer>> {
    let last: Oid | null = null;
    let doubts = 0;
    for (let round = 0; ; round += 1) {
      this.#commits.closing.throwIfAborted();
      const tip = await this.#newestTip();
      // A refusal may hide a landing as well: curl itself repeats a request whose answer it lost.
      if (last !== null && (await this.#commits.isIn(tip, last))) {
        return { answers: await this.#answers(group, tip, last), pushed: true };
      }
      const { answers, missing } = await this.#compare(group, tip);
      if (missing.length === 0) return { answers, pushed: false };

      const { commit, answer } = await this.#commits.write(
        missing.map(({ file }) => file),
        tip,
        messageOf(missing),
      );
      if (answer.kind === 'landed') return { answers: await this.#answers(group, commit, commit), pushed: true };
      if (answer.kind === 'refused' && answer.why !== 'moved') throw this.#refusal(answer.why);
      if (answer.kind === 'unknown') doubts += 1;
      if (doubts > MOST_DOUBTS) throw this.#noAnswer();
      last = commit;
      await this.#clock.sleep(pauseMs(round, this.#clock.random()), this.#commits.closing);
    }
  }

  async #newestTip(): Promise<Oid> {
    const tip = await this.#commits.refresh();
    if (tip === null) throw this.#commits.missing();
    return tip;
  }

  /** All are there now. `commit` is what is named for those that it brought. */
  async #answers(group: readonly Publication[], tip: Oid, commit: Oid): Promise<readonly PublishAnswer[]> {
    const { answers } = await this.#compare(group, tip);
    return answers.map((answer) => (answer.kind === 'landed' ? { kind: 'landed', commit } : answer));
  }

  /** Create-only: what lies at the path already decides. Answers of the missing ones are filled in by the next look. */
  async #compare(
    group: readonly Publication[],
    tip: Oid,
  ): Promise<{ readonly answers: readonly PublishAnswer[]; readonly missing: readonly Publication[] }> {
    const paths = group.flatMap(({ file }) => [file.path, ...foldersAbove(file.path)]);
    const there = await this.#commits.entriesAt(tip, [...new Set(paths)]);
    const missing = new Map<string, Publication>();
    const answers = group.map((one): PublishAnswer => {
      const blob = obstacle(one.file.path, there);
      if (blob !== null) return { kind: 'conflict', blob };
      const entry = there.get(one.file.path);
      if (entry === undefined) {
        // A second content for the same path finds the first one there at the next look.
        if (!missing.has(one.file.path)) missing.set(one.file.path, one);
        return { kind: 'landed', commit: tip };
      }
      const ours = blobOid(one.file.content, tip.length === 64 ? 'sha256' : 'sha1');
      if (entry.oid === ours && entry.kind === 'file') return { kind: 'landed', commit: tip };
      return { kind: 'conflict', blob: entry.oid };
    });
    return { answers, missing: [...missing.values()] };
  }

  #refusal(why: 'no-force' | 'forbidden' | 'trouble'): StalledError | TransientError {
    const { place } = this.#commits;
    if (why === 'trouble')
      return new TransientError('ERR_GIT_UNAVAILABLE', `${place}: the server could not store the push`);
    return new StalledError('ERR_PUSH_FORBIDDEN', `${place}: the server's rules refuse the push of results`);
  }

  #noAnswer(): TransientError {
    return new TransientError('ERR_GIT_UNAVAILABLE', `${this.#commits.place}: pushes get no answer and do not land`);
  }
}

/** A server that takes nothing and says nothing is away, after so many tries. */
const MOST_DOUBTS = 3;

/** Short at first, because a busy branch is won by being quick; random, so that two of us don't keep step. */
export function pauseMs(round: number, random: number): number {
  return random * Math.min(20 * 2 ** round, 500);
}

function foldersAbove(path: string): string[] {
  const parts = path.split('/').slice(0, -1);
  return parts.map((_, index) => parts.slice(0, index + 1).join('/'));
}

/** Something that is no folder lies where a folder of the path has to be: it would be overwritten. */
function obstacle(path: string, there: ReadonlyMap<string, TreeEntry>): Oid | null {
  const entries = foldersAbove(path).map((folder) => there.get(folder));
  return entries.find((entry) => entry !== undefined && entry.kind !== 'tree')?.oid ?? null;
}

const messageOf = (missing: readonly Publication[]) => groupMessage(missing.map(({ message }) => message));

const MOST_NAMED = 200;

/** One message as it is; of several their number, their subjects, and each of their trailers once. */
export function groupMessage(messages: readonly string[]): string {
  const [first = '', ...others] = messages;
  if (others.length === 0) return `${first.trimEnd()}\n`;
  const subjects = messages.map((message) => message.trimStart().split('\n')[0] ?? '');
  const named = subjects.slice(0, MOST_NAMED).map((subject) => `- ${subject}`);
  const rest = subjects.length > MOST_NAMED ? [`- and ${subjects.length - MOST_NAMED} more`] : [];
  const trailers = [...new Set(messages.flatMap(trailersOf))];
  return [
    `${messages.length} results`,
    '',
    ...named,
    ...rest,
    ...(trailers.length > 0 ? ['', ...trailers] : []),
    '',
  ].join('\n');
}

/** The last paragraph, if it is not the first and all of it is `Key: value`. */
function trailersOf(message: string): string[] {
  const paragraphs = message.trim().split(/\n[ \t]*\n/);
  const lines = paragraphs.length > 1 ? (paragraphs.at(-1)?.split('\n') ?? []) : [];
  return lines.every((line) => /^[A-Za-z0-9-]+: \S/.test(line)) ? lines : [];
}
