import type { Account } from '../../src/domain/change.ts';
import type { Requirement } from '../../src/domain/verdict.ts';
import { TransientError } from '../../src/errors.ts';
import type { ApprovalSubject } from '../../src/ports/approval.ts';
import type { Forge } from '../../src/ports/forge.ts';
import type { Content } from './memory-ops-repo-simple.ts';
import { NOBODY, type Process, StoryBench } from './story-bench.ts';
import { account, mergedChange, stubForge } from './stub-forge.ts';

export const ACTION = 'vault/actions/a.toml';
export const CANCEL = 'vault/actions/a.cancel.toml';
export const REASON = 'reason = "not needed any more"\n';

const NEEDS_JO: Requirement = { ...NOBODY, all: ['jo'] };

/** A branch with cancel files: every tier needs the rule `jo`, which approves the paths that the test says. */
export class CancelBench extends StoryBench {
  readonly approved: Set<string>;
  /** What the low tier needs; that of every action here. */
  low = NEEDS_JO;
  /** What `jo` was asked. */
  readonly asked: ApprovalSubject[] = [];

  constructor(...approved: readonly string[]) {
    super();
    this.approved = new Set(approved);
    this.rules.set('jo', {
      name: 'jo',
      countsPeople: false,
      evaluate: async (subject) => {
        this.asked.push(subject);
        const { path, blob, setBy } = subject;
        if (!this.approved.has(path)) {
          return { kind: 'waiting', code: 'ERR_NEEDS_APPROVAL', message: 'jo has not looked' };
        }
        const what = { what: blob, commit: setBy?.commit ?? '', at: '2026-03-31T12:00:00Z' };
        return { kind: 'met', evidence: [{ rule: 'jo', by: 'Jo', ...what, person: null, formulaBlob: null }] };
      },
    });
  }

  start(): Process {
    return this.process({ settings: { requirements: { low: this.low, medium: NEEDS_JO, high: NEEDS_JO } } });
  }

  /** A daemon that works until it is stopped. */
  daemon() {
    const stop = new AbortController();
    const process = this.start();
    const over = process.daemon.run(stop.signal);
    const end = async (): Promise<void> => {
      stop.abort();
      await this.drive(over);
    };
    return { process, end };
  }

  cancel(content: Content = REASON): void {
    this.repo.commitFiles({ [CANCEL]: content });
  }

  /** Account 7 proposed every action, and this account pushes everything. */
  pushedBy(pusher: Account, answers: Partial<Forge> = {}): void {
    this.forge = stubForge({
      changeOf: async (commit) => mergedChange(account(7, 'jane'), commit),
      files: async () => [ACTION],
      pusherOf: async () => pusher,
      ...answers,
    });
  }

  /** Everything that is pending, to its end or to a reason. */
  async judged(process = this.start()): Promise<Process> {
    await this.drive(process.daemon.once(new AbortController().signal));
    return process;
  }
}

export const jane = account(7, 'jane');
export const max = account(8, 'max');
export const forgeIsAway = () => new TransientError('ERR_FORGE_UNAVAILABLE', 'the forge does not answer');

/** What was said of cancel files that do not count. */
export const doubts = ({ log }: Pick<Process, 'log'>) =>
  log.filter(({ message }) => message === 'a cancel request does not count').map(({ fields }) => fields);
