import { parseTagText, type TagApproval } from '../domain/approval-tag.ts';
import type { Oid } from '../domain/ids.ts';
import type { ApprovalEvidence, RuleVerdict } from '../domain/verdict.ts';
import type { ApprovalRule, ApprovalSubject } from '../ports/approval.ts';
import type { Clock } from '../ports/clock.ts';
import type { ApprovalTag, OpsRepo } from '../ports/ops-repo.ts';
import { createMemory } from './shared/remember.ts';
import { createSetters } from './shared/setter.ts';
import { changeThatSet, judgeSigned, numbering, orUnreadable } from './shared/signed-evidence.ts';

/** Of the tags that name the same bytes so many are judged at a look, because whoever may push could make any number. */
const MOST_AT_ONCE = 50;

/**
 * An approver's signed tag beneath `refs/tags/approve/` whose text names repo, path and blob, and whose commit holds that
 * blob and stands on the change that set it: bytes that went and came back are another change, which an old tag does not
 * approve. The signer may be committer and pusher of the change, but not its author. As long as the tag is on the server
 * it approves: deleted before the claim, it is withdrawn.
 *
 * Never refuses: a tag can still come. What it says of a tag, a change and these keys stays true, so it is found out once,
 * and the next look goes on with the tags that came after it: junk delays, it never hides.
 */
export const signedTag = {
  create({ opsRepo, clock }: { readonly opsRepo: OpsRepo; readonly clock: Clock }): ApprovalRule {
    const setters = createSetters(opsRepo);
    const tags = createTags(opsRepo, clock);
    const roots = createMemory<Oid>(1_000);
    const answers = createAnswers();
    const numberOf = numbering();
    return {
      name: 'signed-tag',
      countsPeople: true,
      async evaluate(subject, signal) {
        signal?.throwIfAborted();
        const setter = await setters.of(subject);
        if (setter === null) return notYet('no commit of the branch sets exactly these bytes at this path');
        const { path, blob, tip, formulaPath, approvers, selfApprove } = subject;
        const wanted = { repo: await roots.recall(tip, () => opsRepo.root(tip)), path, blob };
        const all = await tags.naming(wanted, subject.fresh === true, signal);
        const about = [setter.commit, path, blob, formulaPath, selfApprove, numberOf(approvers)];
        const said = await answers.of(JSON.stringify(about), all, (tag) => judge(tag, setter.commit, subject, opsRepo));
        return verdictOf(said, all.length);
      },
    };
  },
};

type Answer = ApprovalEvidence | string;

interface Answers {
  /** What is known of these tags, and of some more with each call: the first ones first. */
  of(
    about: string,
    tags: readonly ApprovalTag[],
    ask: (tag: ApprovalTag) => Promise<Answer>,
  ): Promise<readonly Answer[]>;
}

/** A tag counts by the name that people are told, so a moved one is another one. */
const nameOf = ({ oid, ref }: ApprovalTag): string => `${oid} ${ref}`;

const MOST_QUESTIONS = 1_000;

/** By question, and forgotten with the tag: however many others there are, they can't push a known answer out. */
function createAnswers(): Answers {
  const known = new Map<string, Map<string, Promise<Answer>>>();

  /** The question that was not asked for the longest time goes first. */
  function ofQuestion(about: string): Map<string, Promise<Answer>> {
    const answers = known.get(about) ?? new Map<string, Promise<Answer>>();
    known.delete(about);
    known.set(about, answers);
    const [oldest] = known.keys();
    if (known.size > MOST_QUESTIONS && oldest !== undefined) known.delete(oldest);
    return answers;
  }

  return {
    of(about, tags, ask) {
      const answers = ofQuestion(about);
      const names = new Set(tags.map(nameOf));
      for (const name of answers.keys()) if (!names.has(name)) answers.delete(name);
      for (const tag of tags.filter((each) => !answers.has(nameOf(each))).slice(0, MOST_AT_ONCE)) {
        const answer = ask(tag);
        answers.set(nameOf(tag), answer);
        answer.catch(() => {
          if (answers.get(nameOf(tag)) === answer) answers.delete(nameOf(tag));
        });
      }
      return Promise.all(tags.flatMap((tag) => answers.get(nameOf(tag)) ?? []));
    },
  };
}

function judge(tag: ApprovalTag, setter: Oid, subject: ApprovalSubject, opsRepo: OpsRepo) {
  return orUnreadable(async () => {
    const { commits, authors } = await changeThatSet(setter, subject, opsRepo);
    const { oid: object, ref, commit, taggedAt: at } = tag;
    const name = `tag ${ref.replace(/^refs\/tags\//, '')}`;
    const signed = { rule: 'signed-tag', object, name, what: ref, commit, at };
    const answer = await judgeSigned(signed, authors, subject, opsRepo);
    if (typeof answer === 'string') return answer;
    for (const { oid } of commits) if (await opsRepo.isAncestor(oid, commit)) return answer;
    return `${name} is of a commit without the change that set these bytes`;
  });
}

function verdictOf(answers: readonly Answer[], tags: number): RuleVerdict {
  const evidence = answers.filter((answer) => typeof answer !== 'string');
  if (evidence.length > 0) return { kind: 'met', evidence };
  const reasons = answers.filter((answer) => typeof answer === 'string').slice(0, MOST_TOLD);
  const seen = tags === 0 ? ['no signed tag names these bytes'] : reasons;
  const others = answers.length - reasons.length;
  const more = others > 0 ? [`${others} more tags that name these bytes do not approve them either`] : [];
  const left = tags - answers.length;
  const later = left > 0 ? [`${left} more tags name these bytes and are looked at next`] : [];
  return notYet([...seen, ...more, ...later].join('; '));
}

const MOST_TOLD = 10;

function notYet(message: string): RuleVerdict {
  return { kind: 'waiting', code: 'ERR_NEEDS_APPROVAL', message };
}

/** What the server said is taken for true so long: many subjects are judged in a row. */
const KEPT_MS = 3_000;

interface Tags {
  /** As they came, at first by ref. `fresh`: asked of the server now. */
  naming(approval: TagApproval, fresh: boolean, signal?: AbortSignal): Promise<readonly ApprovalTag[]>;
}

type ByApproval = ReadonlyMap<string, readonly ApprovalTag[]>;

function createTags(opsRepo: OpsRepo, clock: Clock): Tags {
  let kept: { readonly at: number; readonly answer: Promise<ByApproval> } | undefined;
  let last: { readonly tags: readonly ApprovalTag[]; readonly byApproval: ByApproval } | undefined;
  let seen: ReadonlyMap<string, ApprovalTag> = new Map();

  async function ask(signal?: AbortSignal): Promise<ByApproval> {
    const tags = await opsRepo.approvalTags(signal);
    if (last !== undefined && isSame(last.tags, tags)) return last.byApproval;
    seen = inOrder(seen, tags);
    last = { tags, byApproval: grouped([...seen.values()]) };
    return last.byApproval;
  }

  /** Shared by whoever asks meanwhile, so nobody's signal ends it. */
  function recent(): Promise<ByApproval> {
    const at = clock.monotonic();
    if (kept !== undefined && at - kept.at < KEPT_MS) return kept.answer;
    const asked = { at, answer: ask() };
    kept = asked;
    asked.answer.catch(() => {
      if (kept === asked) kept = undefined;
    });
    return asked.answer;
  }

  return {
    async naming(approval, fresh, signal) {
      const byApproval = await (fresh ? ask(signal) : recent());
      return byApproval.get(keyOf(approval)) ?? [];
    },
  };
}

function isSame(before: readonly ApprovalTag[], now: readonly ApprovalTag[]): boolean {
  return (
    before.length === now.length && now.every(({ oid, ref }, i) => before[i]?.oid === oid && before[i].ref === ref)
  );
}

/** Those that were seen before come first: what is pushed later holds none of them up. */
function inOrder(
  before: ReadonlyMap<string, ApprovalTag>,
  now: readonly ApprovalTag[],
): ReadonlyMap<string, ApprovalTag> {
  const there = new Map(now.map((tag) => [nameOf(tag), tag]));
  return new Map([...[...before].filter(([name]) => there.has(name)), ...there]);
}

function grouped(tags: readonly ApprovalTag[]): ByApproval {
  const groups = new Map<string, ApprovalTag[]>();
  for (const tag of tags) {
    const approval = parseTagText(tag.message);
    if (approval === null) continue;
    const group = groups.get(keyOf(approval));
    if (group === undefined) groups.set(keyOf(approval), [tag]);
    else group.push(tag);
  }
  return groups;
}

function keyOf({ repo, path, blob }: TagApproval): string {
  return JSON.stringify([repo, path, blob]);
}
