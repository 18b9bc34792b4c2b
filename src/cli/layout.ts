import { type Colour, type Io, paint, printLine, quoted } from './io.ts';

/** Columns for people: nothing is cut off, what is too long goes on in the next line of its column. */
function widthOf(io: Io): number {
  return Math.min(Math.max(io.stdout.columns ?? 80, 40), 120);
}

/** Lines of at most `width` characters, broken at spaces; a word that is longer stays whole. */
export function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

/** The left part of a row: what stands there (its escapes take no room) and how wide it is. */
export interface Margin {
  readonly head: string;
  readonly width: number;
}

export const margin = (width: number): Margin => ({ head: ' '.repeat(width), width });

/** `text` beside a margin, which is empty from the second line on. Escapes what the repo says. */
export function printBeside(io: Io, { head, width }: Margin, text: string, colour?: Colour): void {
  const lines = wrap(quoted(text), Math.max(widthOf(io) - width, 24));
  for (const [index, line] of lines.entries()) {
    const left = index === 0 ? head : ' '.repeat(width);
    printLine(io, `${left}${colour === undefined ? line : paint(io, colour, line)}`.trimEnd());
  }
}

/** How long ago, in one unit. */
export function ago(since: string | null, now: Date): string {
  if (since === null) return '';
  const seconds = Math.max(0, Math.round((now.getTime() - Date.parse(since)) / 1000));
  if (seconds < 100) return `${seconds} s`;
  if (seconds < 100 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

const COLOURS: Readonly<Record<string, Colour>> = {
  succeeded: 'green',
  done: 'green',
  running: 'cyan',
  dispatched: 'cyan',
  claimed: 'cyan',
  ready: 'cyan',
  pending: 'yellow',
  waiting: 'yellow',
  open: 'dim',
};

/** The colour of a state; what ended badly is red. */
export function stateColour(state: string): Colour {
  return COLOURS[state] ?? 'red';
}
