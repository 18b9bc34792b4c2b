import { styleText } from 'node:util';
import { escapedJson, printable } from '../domain/text.ts';
import type { Problem } from '../errors.ts';

/** What a command may know of the terminal it was called in. */
export interface Io {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdout: { write(text: string | Uint8Array): unknown; readonly isTTY?: boolean; readonly columns?: number };
  readonly stderr: { write(text: string | Uint8Array): unknown; readonly isTTY?: boolean };
  /** Aborted by the first SIGINT or SIGTERM; the second one ends the process. */
  readonly signal: AbortSignal;
}

/** Options that every command has. */
export interface GlobalOptions {
  readonly config?: string;
  readonly json?: boolean;
}

/** Exit codes of formats.md, Command line. */
export const EXIT = { ok: 0, problems: 1, usage: 2, unreachable: 3 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export type Colour = 'green' | 'red' | 'yellow' | 'dim' | 'bold' | 'cyan';

/** One JSON value and nothing else. */
export function printJson(io: Io, value: unknown): void {
  io.stdout.write(`${escapedJson(JSON.stringify(value, null, 2))}\n`);
}

export function printLine(io: Io, text = ''): void {
  io.stdout.write(`${coloured(text)}\n`);
}

/**
 * Text of our own for a terminal, with line ends, tabs and colours. What else it may hold, because somebody forgot to
 * quote a part that is not ours, is escaped.
 */
export function coloured(text: string): string {
  const parts = text.split(OURS);
  return parts.map((part, index) => (index % 2 === 1 ? part : quoted(part))).join('');
}

const OURS = new RegExp(String.raw`(\n|\t|${'\u001b'}\[[0-9;]*m)`);

/** Colour on a terminal only; NO_COLOR is honoured. `text` is our own; text of the repo goes through `quoted` first. */
export function paint(io: Io, colour: Colour, text: string): string {
  const wanted = io.stdout.isTTY === true && (io.env['NO_COLOR'] ?? '') === '';
  return wanted ? styleText(colour, text, { validateStream: false }) : text;
}

/** Text of the repo as a terminal may show it. */
export const quoted = printable;

/** `path:line:column: severity CODE message`, then the hint. */
export function problemLine(io: Io, problem: Problem): string {
  const place = [quoted(problem.path), problem.line, problem.column].filter((part) => part !== undefined).join(':');
  const colour = problem.severity === 'error' ? 'red' : 'yellow';
  const head = `${place}: ${paint(io, colour, problem.severity)} ${problem.code} ${quoted(problem.message)}`;
  return problem.hint === undefined ? head : `${head}\n    ${paint(io, 'dim', quoted(problem.hint))}`;
}
