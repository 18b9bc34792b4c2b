import { mkdir, writeFile } from 'node:fs/promises';
import process from 'node:process';

/** One measured figure beside what was hoped for. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** What the requirement asks for; null: none is given. */
  readonly target: string | null;
  /** The same of plain git in the same run, in the same unit; absent: plain git has no such thing. */
  readonly baseline?: number;
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function printTable(figures: readonly Figure[]): void {
  const head = ['figure', 'measured', 'target', 'plain git'];
  const rows = figures.map(({ name, value, unit, target, baseline }) => [
    name,
    `${round(value)} ${unit}`,
    target ?? '',
    baseline === undefined ? '' : `${round(baseline)} ${unit}`,
  ]);
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  for (const row of all)
    print(
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    );
}

export async function writeJson(name: string, figures: readonly Figure[]): Promise<string> {
  await mkdir('bench-results', { recursive: true });
  const file = `bench-results/${name}.json`;
  await writeFile(
    file,
    `${JSON.stringify({ at: new Date().toISOString(), node: process.version, figures }, null, 2)}\n`,
  );
  return file;
}

/** Milliseconds that the work took, and what it answered. */
export async function timed<T>(work: () => Promise<T>): Promise<{ readonly ms: number; readonly value: T }> {
  const start = performance.now();
  const value = await work();
  return { ms: performance.now() - start, value };
}

const round = (value: number) => (value >= 100 ? Math.round(value) : Math.round(value * 100) / 100);
