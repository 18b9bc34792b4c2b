import { mkdir, writeFile } from 'node:fs/promises';
import process from 'node:process';

/** One measured figure beside what was hoped for. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** What the requirement asks for; null: none is given. */
  readonly target: string | null;
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function printTable(figures: readonly Figure[]): void {
  const rows = figures.map(({ name, value, unit, target }) => [name, `${round(value)} ${unit}`, target ?? '']);
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  for (const row of rows)
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

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** Milliseconds that the work took, and what it answered. */
export async function timed<T>(work: () => Promise<T>): Promise<{ readonly ms: number; readonly value: T }> {
  const start = performance.now();
  const value = await work();
  return { ms: performance.now() - start, value };
}

const round = (value: number) => (value >= 100 ? Math.round(value) : Math.round(value * 100) / 100);
