import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { systemClock } from '../../src/adapters/clock.ts';
import type { ForgeFactory } from '../../src/adapters/factory.ts';
import { openOpsRepo } from '../../src/adapters/ops-repo/branch.ts';
import type { Oid } from '../../src/domain/ids.ts';
import { combine, type RuleVerdict } from '../../src/domain/verdict.ts';
import { TransientError, toError } from '../../src/errors.ts';
import type { ApprovalRule } from '../../src/ports/approval.ts';
import type { OpsRepo } from '../../src/ports/ops-repo.ts';
import { askRules } from '../../src/story/ask-rules.ts';
import { allRules } from './approval-rules.ts';
import { BOTS, type Kind, type OpenStage, type Stage } from './forge-stage.ts';
import { actionPath, type Expected, type History, playHistory } from './forge-stage-play.ts';
import { silentLog } from './tools.ts';

/** Plays all histories on a stage and asks the real rules, over the real adapter and a real clone, what they are worth. */

export interface Judged {
  /** `allowed by approver1, approver2` or `waiting: needs-approval`. */
  readonly said: string;
  /** What each rule said, or what went wrong, for people. */
  readonly why: string;
}

const EITHER = { all: [], any: ['forge-review', 'forge-merge'], atLeast: 0, selfApprove: false };
/** The log of a forge is read for some hundred entries, so no more than these are made before they are judged. */
const AT_ONCE = 20;

/** What asks a stage: an adapter of this kind. */
interface Asker {
  readonly kind: Kind;
  readonly factory: ForgeFactory;
}

/** By kind and name of the history. One that can't be made is told so too. */
export async function judgeHistories(
  opened: OpenStage,
  askers: readonly Asker[],
  histories: readonly History[],
): Promise<ReadonlyMap<Kind, ReadonlyMap<string, Judged>>> {
  const dir = await mkdtemp(path.join(tmpdir(), 'edge-forge-clone-'));
  const { stage } = opened;
  const opsRepo = await openClone(dir, opened.remote);
  const courts = askers.map(({ kind, factory }): Court => {
    const forge = factory.create(opened.options(kind, 'edge-bot'), { clock: systemClock, log: silentLog });
    const bots = BOTS.map((name) => stage.login(name));
    const rules = allRules(opsRepo, { forge, clock: systemClock, terms: { forgeAdmins: true, bots } });
    return { kind, stage, opsRepo, rules, judged: new Map() };
  });
  try {
    for (let done = 0; done < histories.length; done += AT_ONCE) {
      const some = histories.slice(done, done + AT_ONCE);
      const failed = new Map<string, Judged>();
      const made: Made[] = [];
      for (const history of some) made.push(await played(stage, history, failed));
      await stage.settle();
      for (const court of courts) await judgeSome(court, made, failed);
    }
  } finally {
    await opsRepo.close();
    await rm(dir, { recursive: true, force: true, maxRetries: 5 });
  }
  return new Map(courts.map(({ kind, judged }) => [kind, judged]));
}

/** As `Judged.said`. */
export function saidOf({ allowed, waiting, refused }: Expected): string {
  if (allowed !== undefined) return `allowed by ${allowed.toSorted().join(', ')}`;
  return waiting === undefined ? `refused: ${refused ?? 'nothing is expected'}` : `waiting: ${waiting}`;
}

const TRIES = 5;

/** Under the name under which it could be made: a race that was lost is run again. */
async function played(stage: Stage, history: History, failed: Map<string, Judged>): Promise<Made> {
  for (let tries = 1; ; tries += 1) {
    const made = tries === 1 ? history : { ...history, name: `${history.name}-${tries}` };
    try {
      await playHistory(stage, made);
      return { history, name: made.name };
    } catch (error) {
      // The others are not to suffer for it.
      await stage.protect('off');
      if (stage.losesRaces && history.lost !== undefined && tries < TRIES) continue;
      failed.set(history.name, { said: 'not made', why: String(error) });
      return { history, name: made.name };
    }
  }
}

interface Made {
  readonly history: History;
  /** Of its action. */
  readonly name: string;
}

/** What it says of commits stays true, so that all adapters are told what was asked of git once. */
async function openClone(dir: string, { url, tokenFile, username }: OpenStage['remote']): Promise<OpsRepo> {
  const opsRepo = await openOpsRepo(
    {
      url,
      branch: 'main',
      dir: path.join(dir, 'ops.git'),
      acceptedTipFile: path.join(dir, 'accepted-tip'),
      username,
      tokenFile,
      sshKeyFile: null,
      knownHostsFile: null,
      author: 'Edge Dispatcher <edge@localhost>',
      timeoutMs: 20_000,
      pushSpacingMs: 0,
      path: process.env['PATH'] ?? '/usr/bin:/bin',
    },
    systemClock,
  );
  return Object.assign(opsRepo, {
    entryAt: once(opsRepo.entryAt.bind(opsRepo)),
    introducers: once(opsRepo.introducers.bind(opsRepo)),
    lastChanged: once(opsRepo.lastChanged.bind(opsRepo)),
    list: once(opsRepo.list.bind(opsRepo)),
  });
}

/** Asks once for the same arguments. */
function once<A extends readonly unknown[], T>(ask: (...args: A) => Promise<T>): (...args: A) => Promise<T> {
  const known = new Map<string, Promise<T>>();
  return (...args) => {
    const key = JSON.stringify(args);
    const answer = known.get(key) ?? ask(...args);
    known.set(key, answer);
    return answer;
  };
}

interface Court {
  readonly kind: Kind;
  readonly stage: Stage;
  readonly opsRepo: OpsRepo;
  readonly rules: ReadonlyMap<string, ApprovalRule>;
  readonly judged: Map<string, Judged>;
}

async function judgeSome(court: Court, all: readonly Made[], failed: ReadonlyMap<string, Judged>): Promise<void> {
  const { opsRepo, judged } = court;
  const { tip } = await opsRepo.refresh();
  const entries = new Map((await opsRepo.list(tip, ['vault/actions'])).map((entry) => [entry.path, entry.oid]));
  const setters = await opsRepo.lastChanged(
    tip,
    all.map(({ name }) => actionPath(name)),
  );
  for (const [name, why] of failed) judged.set(name, why);
  const made = all.filter(({ history: { name, not = [] } }) => !failed.has(name) && !not.includes(court.kind));
  await Promise.all(
    made.map(async ({ name, history }) => {
      const file = actionPath(name);
      const [blob, setBy] = [entries.get(file), setters.get(file)];
      if (blob === undefined || setBy === undefined) {
        judged.set(history.name, { said: 'nothing is there', why: `${file} does not lie at the tip` });
      } else judged.set(history.name, await judge(court, { path: file, blob, setBy, tip }));
    }),
  );
}

interface Asked {
  readonly path: string;
  readonly blob: Oid;
  readonly tip: Oid;
  readonly setBy: { readonly commit: Oid; readonly committedAt: string };
}

async function judge({ stage, rules }: Court, asked: Asked): Promise<Judged> {
  const subject = { ...asked, formulaPath: null, approvers: [], selfApprove: false };
  const ask = () => askRules(EITHER, rules, subject);
  // An outage is asked again, as the story does.
  const again = (error: unknown) => (error instanceof TransientError ? ask() : Promise.reject(toError(error)));
  const answers = await ask().catch(again).catch(String);
  if (typeof answers === 'string') return { said: 'no answer', why: answers };
  const verdict = combine(EITHER, answers, { formulaInForce: null });
  const why = [...answers].map(([rule, answer]) => `${rule}: ${JSON.stringify(told(answer))}`).join('\n');
  if (verdict.kind !== 'allowed') {
    const code = verdict.code.replace('ERR_', '').toLowerCase().replaceAll('_', '-');
    return { said: `${verdict.kind}: ${code}`, why };
  }
  const by = new Set(verdict.evidence.map((each) => stage.nameOf(each.by)));
  return { said: `allowed by ${[...by].toSorted().join(', ')}`, why };
}

function told(answer: RuleVerdict): unknown {
  return answer.kind === 'met' ? answer.evidence.map(({ by, commit }) => [by, commit]) : answer;
}
