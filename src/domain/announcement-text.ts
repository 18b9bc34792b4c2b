import { type AnnouncedFile, type Announcement, type Difference, markerOf } from './announcement.ts';
import { announcedAction, oneLine } from './announcement-action.ts';
import { standingOf } from './announcement-standing.ts';
import { codeSpan } from './markdown.ts';

/** Below the 65,536 characters that a comment may have at the strictest forge. */
const MOST = 60_000;
/** From here on an action has one line. */
const MOST_IN_FULL = 40_000;

/** The comment. Pure: the same announcement, the same text. Whatever others wrote is code (`markdown.ts`). */
export function announcementText(announcement: Announcement): string {
  const { actions, files, root, state } = announcement;
  if (state === 'closed') return `${markerOf(root)}\n\n${CLOSED}\n`;
  const parts = [markerOf(root), `**edge-dispatcher**: ${standingOf(announcement).headline}`];
  let length = parts.join('\n\n').length;
  const add = (part: string, most: number): boolean => {
    if (length + part.length + 2 > most) return false;
    parts.push(part);
    length += part.length + 2;
    return true;
  };
  let left = announcement.omitted;
  for (const file of files) if (!add(fileText(file, state), MOST_IN_FULL)) left += 1;
  let isRoom = true;
  for (const action of actions) {
    isRoom &&= add(announcedAction(action), MOST_IN_FULL);
    if (!isRoom && !add(oneLine(action), MOST)) left += 1;
  }
  if (left > 0) parts.push(`… and ${left} more that this comment has no room for; \`plan\` shows each from a clone.`);
  return `${parts.join('\n\n')}\n`;
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
const DIFFERENCES = 40;

function fileText({ path, kind, standing, message, differences }: AnnouncedFile, state: Announcement['state']): string {
  const gone = standing === 'deleted' && state === 'merged' ? 'is deleted' : FILE_STANDING[standing];
  const lines = [`### ${kind} ${codeSpan(path)}`, '', `- ${gone}`];
  if (message !== null) lines.push(`- ${codeSpan(message, 500)}`);
  lines.push(...differences.slice(0, DIFFERENCES).map(differenceLine));
  if (differences.length > DIFFERENCES) lines.push(`- … and ${differences.length - DIFFERENCES} more differences`);
  return lines.join('\n');
}

function differenceLine({ what, name, before, after }: Difference): string {
  if (before === null)
    return `- **added** ${what} ${codeSpan(name)}${after === null || after === '' ? '' : `: ${codeSpan(after)}`}`;
  if (after === null) return `- **removed** ${what} ${codeSpan(name)}${before === '' ? '' : `: ${codeSpan(before)}`}`;
  return `- **changed** ${what} ${codeSpan(name)}: ${codeSpan(before)} → ${codeSpan(after)}`;
}
