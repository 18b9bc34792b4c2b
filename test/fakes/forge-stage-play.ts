import { mergeBase, mergeFiles } from '../../src/cli/demo-forge/git-history.ts';
import type { Files } from '../../src/cli/demo-forge/git-store.ts';
import type { MergeStyle, Permission } from '../../src/cli/demo-forge/records.ts';
import type { Stage, Verdict } from './forge-stage.ts';

/** Plays the steps of a history (test/fixtures/review-histories/README.md) on a stage. */

export interface History {
  readonly name: string;
  readonly about: string;
  readonly steps: readonly Step[];
  readonly expected: Expected;
  /** Where the forge was faster after all than whoever rushed. */
  readonly lost?: Expected;
  /** Kinds of forges on which it can't be made. */
  readonly not?: readonly string[];
}

/** Exactly one of them: whose evidence counts, or the code in small letters. */
export interface Expected {
  readonly allowed?: readonly string[];
  readonly waiting?: string;
  readonly refused?: string;
}

interface PushStep {
  /** Label of the content at the action's path; null: untouched. Default: v1. */
  readonly action?: string | null;
  /** Another file besides. */
  readonly note?: boolean;
  /** Another action besides, with this label. */
  readonly also?: string;
  /** `elsewhere`: the action lies at another path. */
  readonly at?: 'elsewhere';
  readonly move?: 'elsewhere';
  readonly remove?: boolean;
  readonly executable?: boolean;
  /** `main`, or a branch `<name>-<to>`. */
  readonly to?: string;
  /** Branch `<name>-<on>` that a new branch is made from. Default: main. */
  readonly on?: string;
  readonly fork?: boolean;
  /** In place of the newest commit of the branch. */
  readonly force?: boolean;
  readonly message?: string;
  /** Author and committer of the commit. Default: who pushes. */
  readonly as?: string;
  readonly coAuthors?: readonly string[];
  /** The commit is called so from now on. */
  readonly name?: string;
}

interface OpenStep {
  readonly from?: string;
  readonly into?: string;
  readonly fork?: boolean;
  readonly title?: string;
}

interface Vocabulary {
  readonly push: readonly [by: string, what: PushStep];
  readonly 'push-commit': readonly [by: string, commit: string, where: { readonly to: 'main' }];
  /** A merge commit of main and this commit, pushed to main; `as` is its author. */
  readonly 'push-merge': readonly [by: string, commit: string, claims: { readonly as?: string }];
  readonly 'update-branch': readonly [by: string];
  readonly 'delete-branch': readonly [by: string];
  readonly side: readonly [by: string];
  readonly 'push-side-to-main': readonly [by: string];
  readonly 'remember-main': readonly [commit: string];
  readonly open: readonly [by: string, what: OpenStep];
  readonly close: readonly [by: string];
  readonly retarget: readonly [by: string, base: string];
  readonly review: readonly [by: string, verdict: Verdict, what: { readonly commit?: string }];
  /** The forge has to refuse it. */
  readonly 'try-review': readonly [by: string, verdict: Verdict];
  readonly comments: readonly [by: string, count: number];
  readonly draft: readonly [by: string];
  readonly send: readonly [by: string, verdict: Verdict];
  readonly request: readonly [by: string, reviewer: string];
  readonly dismiss: readonly [by: string, reviewer: string];
  readonly undismiss: readonly [by: string, reviewer: string];
  readonly merge: readonly [by: string, style: MergeStyle, what: object];
  readonly 'merge-manually': readonly [by: string, commit: string];
  readonly schedule: readonly [by: string];
  readonly protect: readonly [rules: 'dismiss-stale' | 'one-approval' | 'off'];
  readonly autodetect: readonly [on: boolean];
  readonly user: readonly [name: string, role: Permission];
  readonly permission: readonly [name: string, role: Permission];
  readonly 'delete-user': readonly [name: string];
  /** From here on nothing is waited for: the forge has not taken notice of what is pushed. */
  readonly rush: readonly [];
}

type Step = { readonly [K in keyof Vocabulary]: readonly [K, ...Vocabulary[K]] }[keyof Vocabulary];
type Acts = { readonly [K in keyof Vocabulary]: (play: Play, ...args: Vocabulary[K]) => Promise<void> };

export function actionPath(name: string): string {
  return `vault/actions/${name}.toml`;
}

/** Errors name the history and the step that can't be made. */
export async function playHistory(stage: Stage, history: History): Promise<void> {
  const play = new Play(stage, history);
  try {
    for (const step of history.steps) await playStep(play, step);
  } finally {
    if (play.isRushed) await stage.settle();
  }
}

async function playStep(play: Play, step: Step): Promise<void> {
  const [what, ...args] = step;
  // Each act takes what its own kind of step holds.
  const act = ACTS[what] as ((play: Play, ...args: readonly unknown[]) => Promise<void>) | undefined;
  if (act === undefined) throw new Error(`${play.name}: no such step: ${what}`);
  try {
    await act(play, ...args);
  } catch (error) {
    throw new Error(`${play.name}: ${JSON.stringify(step)} can't be made: ${String(error)}`, { cause: error });
  }
}

/** What is known in the middle of a history. */
class Play {
  readonly stage: Stage;
  readonly name: string;
  readonly commits = new Map<string, string>();
  isScheduled = false;
  isAutodetecting = false;
  isRushed = false;
  #change: number | null = null;
  #notes = 0;

  constructor(stage: Stage, { name }: History) {
    this.stage = stage;
    this.name = name;
  }

  /** The one that was opened last. */
  get change(): number {
    if (this.#change === null) throw new Error('nothing was opened yet');
    return this.#change;
  }

  set change(number: number) {
    this.#change = number;
  }

  branch(which: string | undefined, forkOf?: string): string {
    if (which === 'main') return 'main';
    const branch = which === undefined ? this.name : `${this.name}-${which}`;
    return forkOf === undefined ? branch : `${forkOf}:${branch}`;
  }

  async tip(branch: string): Promise<string> {
    const tip = await this.stage.tip(branch);
    if (tip === null) throw new Error(`there is no branch ${branch}`);
    return tip;
  }

  commitNamed(name: string): string {
    const commit = this.commits.get(name);
    if (commit === undefined) throw new Error(`no commit is called ${name}`);
    return commit;
  }

  nextNote(): string {
    this.#notes += 1;
    return `notes/${this.name}-${this.#notes}.md`;
  }

  /** People look at what the forge shows, and it shows what it has taken notice of. */
  async settled(): Promise<void> {
    if (!this.isRushed) await this.stage.settle(this.change);
  }
}

const ACTS: Acts = {
  async push(play, by, what) {
    const branch = play.branch(what.to, what.fork === true ? by : undefined);
    const { git } = play.stage;
    const newest = await play.stage.tip(branch);
    const tip = newest ?? (await play.tip(play.branch(what.on ?? 'main')));
    const parents = what.force === true ? (git.commit(tip)?.parents ?? []) : [tip];
    const files = changed(play, git.files(parents[0] ?? tip), what);
    const commit = commitOf(play, what.as ?? by, { files, parents, message: messageOf(play, what) });
    if (what.name !== undefined) play.commits.set(what.name, commit);
    await play.stage.push(by, branch, commit, what.force);
  },
  async 'push-commit'(play, by, commit, { to }) {
    await play.stage.push(by, to, play.commitNamed(commit));
  },
  async 'push-merge'(play, by, commit, { as = by }) {
    const made = mergedOf(play, as, await play.tip('main'), play.commitNamed(commit));
    await play.stage.push(by, 'main', made);
    if (play.isAutodetecting) await play.stage.untilMerged(play.change);
  },
  async 'update-branch'(play, by) {
    const branch = play.branch(undefined);
    await play.stage.push(by, branch, mergedOf(play, by, await play.tip(branch), await play.tip('main')));
  },
  async 'delete-branch'(play, by) {
    await play.stage.deleteBranch(by, play.branch(undefined));
  },
  async side(play, by) {
    await play.stage.push(by, play.branch('side'), await play.tip('main'));
  },
  async 'push-side-to-main'(play, by) {
    await play.stage.push(by, 'main', await play.tip(play.branch('side')));
  },
  async 'remember-main'(play, commit) {
    play.commits.set(commit, await play.tip('main'));
  },
  async open(play, by, { from, into = 'main', fork, title = play.name }) {
    const head = play.branch(from, fork === true ? by : undefined);
    play.change = await play.stage.open(by, { head, base: play.branch(into), title });
  },
  async retarget(play, by, base) {
    await play.stage.retarget(by, play.change, play.branch(base));
  },
  async close(play, by) {
    await play.stage.close(by, play.change);
  },
  async review(play, by, verdict, { commit }) {
    await play.settled();
    const named = commit === undefined ? undefined : play.commitNamed(commit);
    await play.stage.review(by, play.change, verdict, named);
    if (play.isScheduled) await play.stage.untilMerged(play.change);
  },
  async 'try-review'(play, by, verdict) {
    await play.settled();
    const taken = play.stage.review(by, play.change, verdict).then(
      () => true,
      () => false,
    );
    if (await taken) throw new Error('the forge takes it');
  },
  async comments(play, by, count) {
    await play.stage.comments(by, play.change, count);
  },
  async draft(play, by) {
    await play.settled();
    await play.stage.draft(by, play.change);
  },
  async send(play, by, verdict) {
    await play.settled();
    await play.stage.send(by, play.change, verdict);
  },
  async request(play, by, reviewer) {
    await play.stage.request(by, play.change, reviewer);
  },
  async dismiss(play, by, reviewer) {
    await play.stage.dismiss(by, play.change, reviewer);
  },
  async undismiss(play, by, reviewer) {
    await play.stage.dismiss(by, play.change, reviewer, true);
  },
  async merge(play, by, style) {
    await play.settled();
    await play.stage.merge(by, play.change, style);
  },
  async 'merge-manually'(play, by, commit) {
    await play.settled();
    await play.stage.mergeManually(by, play.change, play.commitNamed(commit));
  },
  async schedule(play, by) {
    await play.settled();
    await play.stage.schedule(by, play.change);
    play.isScheduled = true;
  },
  protect: ({ stage }, rules) => stage.protect(rules),
  async autodetect(play, on) {
    await play.stage.autodetect(on);
    play.isAutodetecting = on;
  },
  user: ({ stage }, name, role) => stage.addUser(name, role),
  permission: ({ stage }, name, role) => stage.permission(name, role),
  'delete-user': ({ stage }, name) => stage.deleteUser(name),
  async rush(play) {
    await play.settled();
    await play.stage.rush(play.change);
    play.isRushed = true;
  },
};

/** The same label is the same bytes, wherever it lies. */
function content({ name }: Play, label: string): string {
  return `# History ${name}, content ${label}.
id = "${name}"
formula = "release"
context = "${label}"
secrets = []
`;
}

function changed(play: Play, before: Files, what: PushStep): Files {
  const files = new Map(before);
  const { git } = play.stage;
  const put = (path: string, text: string, mode = '100644') => files.set(path, { mode, oid: git.writeBlob(text) });
  const [here, elsewhere] = [actionPath(play.name), actionPath(`${play.name}-elsewhere`)];
  const place = what.at === 'elsewhere' ? elsewhere : here;
  const label = what.action === undefined ? 'v1' : what.action;
  if (what.remove === true) files.delete(place);
  else if (label !== null) put(place, content(play, label), what.executable === true ? '100755' : '100644');
  if (what.move !== undefined) files.delete(elsewhere);
  if (what.also !== undefined) put(actionPath(`${play.name}-also`), content(play, what.also));
  if (what.note === true) {
    const note = play.nextNote();
    put(note, `${note}\n`);
  }
  return files;
}

function messageOf({ name, stage }: Play, { message, coAuthors = [], ...what }: PushStep): string {
  const named = coAuthors.map((who) => stage.identity(who));
  const trailers = named.map((who) => `\nCo-authored-by: ${who.name} <${who.email}>`);
  return `${message ?? `${name}: ${Object.keys(what).join(' ') || 'add it'}`}\n${trailers.join('')}`;
}

interface Made {
  readonly files: Files;
  readonly parents: readonly string[];
  readonly message: string;
}

function commitOf({ stage }: Play, by: string, { files, parents, message }: Made): string {
  const [who, at] = [stage.identity(by), stage.seconds()];
  const times = { authoredAt: at, committedAt: at };
  const tree = stage.git.writeTree(files);
  return stage.git.writeCommit({ tree, parents, author: who, committer: who, ...times, message });
}

function mergedOf(play: Play, by: string, first: string, second: string): string {
  const { git } = play.stage;
  const base = mergeBase(git, first, second);
  const files = mergeFiles(base === null ? new Map() : git.files(base), git.files(first), git.files(second));
  if (files === null) throw new Error('the two sides conflict');
  return commitOf(play, by, { files, parents: [first, second], message: `${play.name}: merge` });
}
