import type { OnceReport } from '../../daemon/daemon.ts';
import { lookOnce, readResults } from '../demo-daemon.ts';
import { createTeller } from '../demo-teller.ts';
import { EXIT, type ExitCode, type Io, paint, printJson, printLine, quoted } from '../io.ts';
import { type Stage, setStage } from './stage.ts';

/**
 * `demo --forge`: three changes on a fake forge, all reviewed, all merged; only one of them has on the branch what was
 * reviewed. Told in three acts, between which the real daemon looks once.
 */

const PLAIN = 'publish-site';
const PUSHED = 'publish-docs';
const EDITED = 'publish-news';

/** Makes everything in `root`. Exit code 0 only if every action ended, or waited, as the story promises. */
export async function forgeDemo(root: string, io: Io, json: boolean): Promise<ExitCode> {
  const stage = await setStage(root);
  try {
    const acts = await play(stage, io, json);
    const results = await readResults(stage.forge.dir);
    const problems = unlikePromised(acts, results);
    if (json) printJson(io, { results, waiting: acts.merged.waiting, forge: forgeSays(stage), problems });
    else conclude(io, stage, results, problems);
    if ([...acts.opened.unreachable, ...acts.merged.unreachable, ...acts.reviewed.unreachable].length > 0) {
      return EXIT.unreachable;
    }
    return problems.length === 0 ? EXIT.ok : EXIT.problems;
  } finally {
    await stage.server.close();
  }
}

interface Acts {
  readonly opened: OnceReport;
  readonly merged: OnceReport;
  readonly reviewed: OnceReport;
}

/** What an act needs: the stage, somebody who tells, and the ids with the number of each change. */
interface Cast {
  readonly stage: Stage;
  readonly io: Io;
  readonly say: (text: string) => void;
  readonly look: () => Promise<OnceReport>;
  readonly numbers: Map<string, number>;
}

async function play(stage: Stage, io: Io, json: boolean): Promise<Acts> {
  const teller = createTeller(io, json);
  const say = (text: string): void => {
    if (!json) printLine(io, text);
  };
  const look = async (): Promise<OnceReport> => {
    say(paint(io, 'dim', '  The dispatcher looks at the repo and at the forge, once:'));
    const report = await lookOnce(stage.config, stage.stateDir, io, teller);
    for (const { id, reason } of report.waiting) {
      const why = `${paint(io, 'yellow', 'waits')}: ${quoted(reason.message)} (${reason.code})`;
      say(`${' '.repeat(9)}  ${paint(io, 'cyan', id.padEnd(14))} ${why}`);
    }
    return report;
  };
  const cast: Cast = { stage, io, say, look, numbers: new Map() };
  try {
    return { opened: await propose(cast), merged: await approveAndMerge(cast), reviewed: await approveAgain(cast) };
  } finally {
    teller.end();
  }
}

async function propose({ stage, io, say, look, numbers }: Cast): Promise<OnceReport> {
  const { forge } = stage;
  say(paint(io, 'bold', '1. Ada proposes three actions, each as a change of its own.'));
  for (const [id, page] of [
    [PLAIN, 'index.html'],
    [PUSHED, 'docs.html'],
    [EDITED, 'news.html'],
  ] as const) {
    forge.push('ada', id, { files: { [fileOf(id)]: actionText(id, page) }, message: `Ask for ${id}` });
    const { number } = forge.openPull('ada', { head: id, title: `Ask for ${id}` });
    numbers.set(id, number);
    say(`  #${number} ${paint(io, 'cyan', id)}`);
  }
  const report = await look();
  say('  It wrote on each of them what would happen. On #1:');
  tellComments(stage, say, 1);
  return report;
}

async function approveAndMerge({ stage: { forge }, io, say, look, numbers }: Cast): Promise<OnceReport> {
  const numberOf = (id: string) => numbers.get(id) ?? 0;
  const push = (id: string, page: string) => ({
    files: { [fileOf(id)]: actionText(id, page) },
    message: `Change ${id}`,
  });
  say(`\n${paint(io, 'bold', '2. Grace approves all three, and all three are merged.')}`);
  for (const number of numbers.values()) forge.review('grace', number, { state: 'approved', body: 'looks right' });
  forge.merge('ada', numberOf(PLAIN));
  say(`  ${paint(io, 'cyan', PLAIN)}: as she saw it.`);
  forge.push('ada', PUSHED, push(PUSHED, 'secret.html'));
  forge.merge('ada', numberOf(PUSHED));
  say(`  ${paint(io, 'cyan', PUSHED)}: after Ada pushed other bytes to it; the forge still shows the approval.`);
  forge.merge('grace', numberOf(EDITED));
  forge.directPush('edsger', push(EDITED, 'spam.html'));
  say(
    `  ${paint(io, 'cyan', EDITED)}: as she saw it, but then Edsger edited it on main, by a push and without a change.`,
  );
  return look();
}

async function approveAgain({ stage: { forge }, io, say, look, numbers }: Cast): Promise<OnceReport> {
  say(`\n${paint(io, 'bold', `3. Grace looks at what ${PUSHED} has become, and approves that.`)}`);
  forge.review('grace', numbers.get(PUSHED) ?? 0, { state: 'approved', body: 'fine, this page too' });
  return look();
}

function fileOf(id: string): string {
  return `vault/actions/${id}.toml`;
}

function actionText(id: string, page: string): string {
  return `id = "${id}"
formula = "publish"
context = "A page of the web site"
secrets = ["PUBLISH_TOKEN"]
inputs = { page = "${page}" }
`;
}

/** What did not come out as promised; empty: all did. */
function unlikePromised({ merged, reviewed }: Acts, results: Readonly<Record<string, string>>): readonly string[] {
  const waited = merged.waiting.find(({ id }) => id === PUSHED)?.reason.code ?? 'nothing';
  const ended = (id: string) => {
    const result = JSON.parse(results[fileOf(id).replace('.toml', '.result.json')] ?? '{}') as Partial<Ended>;
    return [result.outcome ?? 'no result', result.reason?.code].filter((word) => word !== undefined).join(' ');
  };
  const ranFirst = merged.results
    .map(({ id }) => id)
    .toSorted()
    .join(' ');
  const promised = [
    [PLAIN, ended(PLAIN), 'succeeded'],
    [`${PUSHED}, before the new bytes were approved,`, waited, 'ERR_APPROVED_OTHER_BYTES'],
    [`${PUSHED}, after that,`, ended(PUSHED), 'succeeded'],
    [EDITED, ended(EDITED), 'refused ERR_NO_CHANGE'],
    ['what ended before that', ranFirst, `${EDITED} ${PLAIN}`],
    ['what ended after it', reviewed.results.map(({ id }) => id).join(' '), PUSHED],
  ] as const;
  return promised
    .filter(([, is, should]) => is !== should)
    .map(([what, is, should]) => `${what}: ${is}, not ${should}`);
}

interface Ended {
  readonly outcome: string;
  readonly reason: { readonly code: string } | null;
}

/** What the dispatcher wrote on the forge for people. */
function forgeSays({ forge: { state } }: Stage) {
  const comments = state.comments.map(({ number, by, body }) => ({ number, by: by.login, body }));
  const newest = new Map(state.statuses.map((status) => [`${status.commit} ${status.context}`, status]));
  const statuses = [...newest.values()].map(({ commit, context, state: value, description }) => {
    const pull = state.pulls.find(({ knownHead }) => knownHead === commit);
    const on = pull === undefined ? commit : `#${pull.number}`;
    return { on, context, state: value, description };
  });
  return { comments, statuses };
}

function conclude(io: Io, stage: Stage, results: Readonly<Record<string, string>>, problems: readonly string[]): void {
  const say = (text: string): void => printLine(io, text);
  say(`\n${paint(io, 'bold', 'What stands on the changes now, for people:')}`);
  for (const { number } of stage.forge.state.pulls) {
    tellComments(stage, say, number);
    for (const status of forgeSays(stage).statuses.filter((each) => each.on === `#${number}`)) {
      say(`    status of ${quoted(status.context)}: ${quoted(status.state)}, ${quoted(status.description)}`);
    }
  }
  say(`\n${paint(io, 'bold', 'Whose approval counted, as the results in the repo say:')}`);
  for (const [name, text] of Object.entries(results)) say(`  ${paint(io, 'cyan', name)}\n    ${approvalLine(text)}`);
  for (const problem of problems) say(paint(io, 'red', `not as promised: ${problem}`));
}

/** The mark by which the dispatcher finds its comment again is left out: a forge does not show it. */
function tellComments(stage: Stage, say: (text: string) => void, number: number): void {
  for (const { by, body } of forgeSays(stage).comments.filter((comment) => comment.number === number)) {
    say(`  #${number}, ${quoted(by)}:`);
    const lines = body.split('\n').filter((line) => line !== '' && !line.startsWith('<!--'));
    for (const line of lines) say(`    ${quoted(line)}`);
  }
}

function approvalLine(text: string): string {
  const { outcome, reason, approval } = JSON.parse(text) as Approved;
  const evidence = (approval?.evidence ?? []).map(({ by, rule, what }) => `${by} by ${rule}, ${what}`);
  return quoted([outcome, ...(reason === null ? [] : [reason.code]), ...evidence].join('; '));
}

interface Approved extends Ended {
  readonly approval: {
    readonly evidence: readonly { readonly by: string; readonly rule: string; readonly what: string }[];
  } | null;
}
