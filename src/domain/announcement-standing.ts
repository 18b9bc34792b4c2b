import { CODES, type Code } from '../errors.ts';
import type { AnnouncedAction, Announcement } from './announcement.ts';
import { clipped } from './markdown.ts';
import type { Plan } from './plan.ts';
import { printable } from './text.ts';

/** Where a change stands as a whole, in words of ours. */
interface Standing {
  /** Of its commits. */
  readonly state: 'pending' | 'success' | 'failure' | 'error';
  readonly headline: string;
  /** At most 140 characters. */
  readonly description: string;
}

type Word =
  | 'cannot run'
  | 'waits for approval'
  | 'runs once merged'
  | 'waits'
  | 'under way'
  | 'succeeded'
  | 'did not succeed'
  | 'with an end nobody knows'
  | 'replaced by bytes that did not succeed'
  | 'replaced by other bytes'
  | 'withdrawn';

/** The worst first: it decides the state of the whole. */
const STATES: readonly (readonly [Word, Standing['state']])[] = [
  ['with an end nobody knows', 'error'],
  ['cannot run', 'failure'],
  ['did not succeed', 'failure'],
  ['replaced by bytes that did not succeed', 'failure'],
  // Neither good nor bad, but final: what was looked at on this change never runs.
  ['replaced by other bytes', 'error'],
  ['waits for approval', 'pending'],
  ['waits', 'pending'],
  ['under way', 'pending'],
  ['runs once merged', 'pending'],
  ['withdrawn', 'success'],
  ['succeeded', 'success'],
];

const OF_SEVERAL: Partial<Record<Word, string>> = {
  'waits for approval': 'wait for approval',
  'runs once merged': 'run once merged',
  waits: 'wait',
};

const DESCRIPTION = 140;

export function standingOf({ actions, files, state }: Announcement): Standing {
  const words = actions.map(wordOf);
  const worst = STATES.find(([word]) => words.includes(word));
  const counts = STATES.flatMap(([word]) => {
    const count = words.filter((each) => each === word).length;
    return count === 0 ? [] : [`${count} ${count === 1 ? word : (OF_SEVERAL[word] ?? word)}`];
  });
  const gated = gatedStanding(files, state);
  const actionsText = actions.length === 0 ? [] : [`${plural(actions.length, 'action')}: ${counts.join(', ')}`];
  const headline = [...actionsText, ...(gated === null ? [] : [gated.text])].join('; ');
  const named = worst === undefined ? '' : namesOf(actions, worst[0]);
  const short = worst === undefined ? headline : `${worst[0]}: ${named}`;
  return {
    state: stateOf(worst?.[1] ?? null, gated?.state ?? null),
    headline: headline === '' ? 'nothing of this change concerns it any more' : headline,
    description: cut(printable(gated === null || worst === undefined ? short : `${short}; ${gated.text}`)),
  };
}

const ORDER: readonly Standing['state'][] = ['error', 'failure', 'pending', 'success'];

function stateOf(...states: readonly (Standing['state'] | null)[]): Standing['state'] {
  return ORDER.find((state) => states.includes(state)) ?? 'success';
}

/** Far more than a description has room for. */
function namesOf(actions: readonly AnnouncedAction[], word: Word): string {
  const named = actions.filter((action) => wordOf(action) === word).slice(0, DESCRIPTION);
  return clipped(named.map(({ plan }) => clipped(plan.id ?? plan.path, DESCRIPTION)).join(', '), DESCRIPTION);
}

function wordOf({ plan, progress }: AnnouncedAction): Word {
  switch (progress.kind) {
    case 'proposed':
      return proposedWord(plan);
    case 'withdrawn':
      return 'withdrawn';
    case 'replaced': {
      const isBad = progress.by.kind === 'ended' && progress.by.outcome !== 'succeeded';
      return isBad ? 'replaced by bytes that did not succeed' : 'replaced by other bytes';
    }
    case 'waiting':
      return APPROVALS.includes(progress.code) ? 'waits for approval' : 'waits';
    case 'running':
      return 'under way';
    case 'ended':
      if (progress.outcome === 'succeeded') return 'succeeded';
      return ['lost', 'unknown'].includes(progress.outcome) ? 'with an end nobody knows' : 'did not succeed';
  }
}

function proposedWord({ checks, approval }: Plan): Word {
  const bad = checks.flatMap(({ ok, code }) => (ok || code === null ? [] : [code]));
  if (bad.some(isFinal)) return 'cannot run';
  if (approval?.rules.some(({ met }) => !met) !== false) return 'waits for approval';
  return 'runs once merged';
}

const APPROVALS: readonly string[] = [
  'ERR_NEEDS_APPROVAL',
  'ERR_APPROVED_OTHER_BYTES',
  'ERR_CHANGES_REQUESTED',
  'ERR_FORMULA_UNAPPROVED',
  'ERR_FORMULA_CHANGED',
  'ERR_NO_RULE',
] satisfies Code[];
const FOR_EVER: readonly Code[] = ['ERR_ALREADY_RECORDED', 'ERR_FOREIGN_RESULT', 'ERR_FILE_NAME'];

/** Waiting does not mend it. */
function isFinal(code: Code): boolean {
  return ['invalid', 'refused'].includes(CODES[code].class) || FOR_EVER.includes(code);
}

function gatedStanding(files: Announcement['files'], state: Announcement['state']) {
  if (files.length === 0) return null;
  const invalid = files.filter(({ standing }) => standing === 'invalid').length;
  const open = files.filter(({ standing }) => standing === 'proposed' || standing === 'waiting').length;
  const what = plural(files.length, 'gated file');
  if (invalid > 0) return { state: 'failure' as const, text: `${what}, ${invalid} can not be read` };
  if (open > 0) return { state: 'pending' as const, text: `${what}: approval at the high tier is needed` };
  return { state: state === 'merged' ? ('success' as const) : ('pending' as const), text: what };
}

function plural(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

function cut(text: string): string {
  return text.length <= DESCRIPTION ? text : `${clipped(text, DESCRIPTION - 1)}…`;
}
