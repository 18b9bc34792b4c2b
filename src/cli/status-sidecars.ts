import { type Io, paint, printLine, quoted } from './io.ts';
import { margin, printBeside } from './layout.ts';
import type { SidecarSummary } from './observed-sidecars.ts';

const NAME_COLUMN = 30;
/** `-`: the forge is away, so that nobody knows. */
const COLUMNS: readonly (readonly [string, (one: SidecarSummary) => string])[] = [
  ['issues', ({ matching }) => `${matching ?? '-'}`],
  ['waiting', ({ waiting }) => `${waiting ?? '-'}`],
  ['resting', ({ resting }) => `${resting ?? '-'}`],
  ['in flight', ({ in_flight, in_flight_limit }) => `${in_flight} of ${in_flight_limit}`],
  ['within a day', ({ runs_today, runs_per_day }) => `${runs_today} of ${runs_per_day}`],
];

/** One row a rule, then once for each outage what is away. */
export function printSidecars(io: Io, sidecars: readonly SidecarSummary[]): void {
  if (sidecars.length === 0) return;
  const formula = Math.max(...sidecars.map((one) => one.formula.length));
  const names = sidecars.map((one) => `  ${one.formula.padEnd(formula)}  ${quoted(one.repo)}`);
  const title = `Sidecars (${sidecars.length})`;
  const width = Math.min(Math.max(title.length, ...names.map((name) => name.length)), NAME_COLUMN);
  const row = (cells: readonly string[]) =>
    cells.map((cell, index) => `  ${cell.padStart(COLUMNS[index]?.[0].length ?? 0)}`).join('');
  printLine(
    io,
    `\n${paint(io, 'bold', title)}${' '.repeat(width - title.length)}${row(COLUMNS.map(([name]) => name))}`,
  );
  for (const [index, one] of sidecars.entries()) {
    const name = names[index] ?? '';
    // A long name is never cut: the rest of its row goes on below.
    if (name.length > width) printLine(io, name);
    printLine(io, `${(name.length > width ? '' : name).padEnd(width)}${row(COLUMNS.map(([, cell]) => cell(one)))}`);
  }
  for (const [message, repos] of outagesOf(sidecars)) {
    printBeside(io, margin(2), `cannot look at the issues of ${repos.join(', ')}: ${message}`, 'red');
  }
}

function outagesOf(sidecars: readonly SidecarSummary[]): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, readonly string[]>();
  for (const { outage, repo } of sidecars) {
    if (outage === null) continue;
    const message = `${outage.message} [${outage.code}]`;
    found.set(message, [...new Set([...(found.get(message) ?? []), repo])]);
  }
  return found;
}
