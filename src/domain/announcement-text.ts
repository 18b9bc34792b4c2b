import {
  type AnnouncedAction,
  type AnnouncedFile,
  type Announcement,
  type Difference,
  markerOf,
} from './announcement.ts';
import { announcedAction, oneLine } from './announcement-action.ts';
import { standingOf } from './announcement-standing.ts';
import { APPROVER } from './gated-difference.ts';
import { codeSpan } from './markdown.ts';

/** Below the 65,536 characters that a comment may have at the strictest forge. */
const MOST = 60_000;
/** From here on an action has one line. */
const MOST_IN_FULL = 40_000;

/**
 * The comment. Pure: the same announcement, the same text. Whatever others wrote is code (`markdown.ts`). The policy comes
 * first and has all the room there is: who may approve from now on is what a change could want to hide most.
 */
export function announcementText(announcement: Announcement): string {
  const { actions, files, root, state } = announcement;
  if (state === 'closed') return `${markerOf(root)}\n\n${CLOSED}\n`;
  const headline = `**edge-dispatcher**: ${standingOf(announcement).headline}`;
  const body = new Body(markerOf(root).length + headline.length + NOT_ALL.length, announcement.omitted);
  for (const file of policyFirst(files)) body.addFile(file, state);
  for (const action of actions) body.addAction(action);
  return `${[markerOf(root), `${headline}${body.isWhole ? '' : NOT_ALL}`, ...body.parts()].join(JOINT)}\n`;
}

class Body {
  readonly #parts: string[] = [];
  #length: number;
  /** What is not even named. */
  #left: number;
  #isWhole = true;
  #isRoom = true;

  constructor(length: number, left: number) {
    this.#length = length + JOINT.length * 2;
    this.#left = left;
  }

  /** Nothing was left out or shortened. */
  get isWhole(): boolean {
    return this.#isWhole && this.#isRoom && this.#left === 0;
  }

  addFile(file: AnnouncedFile, state: Announcement['state']): void {
    const most = file.kind === 'policy' ? MOST : MOST_IN_FULL;
    const { text, isWhole } = fileText(file, state, most - this.#length - JOINT.length);
    if (!isWhole) this.#isWhole = false;
    if (!this.#add(text, most)) this.#left += 1;
  }

  addAction(action: AnnouncedAction): void {
    this.#isRoom &&= this.#add(announcedAction(action), MOST_IN_FULL);
    if (!this.#isRoom && !this.#add(oneLine(action), MOST)) this.#left += 1;
  }

  parts(): readonly string[] {
    if (this.#left === 0) return this.#parts;
    const more = `… and ${this.#left} more that this comment has no room for; \`plan\` shows each from a clone.`;
    return [...this.#parts, more];
  }

  #add(part: string, most: number): boolean {
    if (this.#length + part.length + JOINT.length > most) return false;
    this.#parts.push(part);
    this.#length += part.length + JOINT.length;
    return true;
  }
}

const JOINT = '\n\n';
const NOT_ALL = '; **not all of it is shown here: read the files themselves before you approve**';

function policyFirst(files: Announcement['files']): Announcement['files'] {
  const rank = ({ kind }: AnnouncedFile) => (kind === 'policy' ? 0 : 1);
  return files.toSorted((one, other) => rank(one) - rank(other));
}

const CLOSED = '**edge-dispatcher**: the change was closed without a merge, and nothing of it runs.';

const FILE_STANDING: Readonly<Record<AnnouncedFile['standing'], string>> = {
  proposed: 'takes effect when this very change is approved at the high tier by the approvers in force, and merged',
  waiting: 'is not in force: this very change has to be approved at the high tier by the approvers before it',
  'in force': 'is in force',
  invalid: 'can not be read, so it takes no effect, whoever approves it',
  replaced: 'was replaced by a later edit',
  deleted: 'is deleted: that takes effect at once when it is merged, and lowers no gate',
};
/** Of one file, beside those of approvers. */
const DIFFERENCES = 40;
/** UTF-16 units of a value, unless it is an approver. */
const VALUE = 1_000;
/** For the line that says what was left out. */
const SPARE = 40;

interface FileText {
  readonly text: string;
  /** Nothing of it was left out or shortened. */
  readonly isWhole: boolean;
}

/** Differences of approvers come first and are never shortened: one that does not fit at all is counted. */
function fileText(file: AnnouncedFile, state: Announcement['state'], room: number): FileText {
  const { path, kind, standing, message } = file;
  const gone = standing === 'deleted' && state === 'merged' ? 'is deleted' : FILE_STANDING[standing];
  const lines = [`### ${kind} ${codeSpan(path)}`, '', `- ${gone}`];
  if (message !== null) lines.push(`- ${codeSpan(message, 500)}`);
  let length = lines.join('\n').length;
  const approvers = file.differences.filter(({ what }) => what === APPROVER);
  const others = file.differences.filter(({ what }) => what !== APPROVER);
  const shown = [...approvers, ...others.slice(0, DIFFERENCES)];
  let left = file.differences.length - shown.length;
  for (const line of shown.map(differenceLine)) {
    if (length + line.length + 1 > room - SPARE) left += 1;
    else {
      lines.push(line);
      length += line.length + 1;
    }
  }
  if (left > 0) lines.push(`- … and ${left} more differences`);
  return { text: lines.join('\n'), isWhole: left === 0 && !shown.some(isShortened) };
}

function isShortened({ what, before, after }: Difference): boolean {
  return what !== APPROVER && [before, after].some((value) => value !== null && value.length > VALUE);
}

function differenceLine({ what, name, before, after }: Difference): string {
  const most = what === APPROVER ? Infinity : VALUE;
  const whose = `${what} ${codeSpan(name, most)}`;
  const shown = (value: string | null) => (value === null || value === '' ? '' : `: ${codeSpan(value, most)}`);
  if (before === null) return `- **added** ${whose}${shown(after)}`;
  if (after === null) return `- **removed** ${whose}${shown(before)}`;
  return `- **changed** ${whose}: ${codeSpan(before, most)} → ${codeSpan(after, most)}`;
}
