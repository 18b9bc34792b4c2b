import type { Decisions } from '../../src/ports/decisions.ts';

/** Lasts as long as it is held, however often what uses it starts anew. */
export class MemoryDecisions implements Decisions {
  lines: ReadonlySet<string> = new Set();
  /** What all calls fail with; null: they don't. */
  failure: Error | null = null;

  async load(): Promise<ReadonlySet<string>> {
    if (this.failure !== null) throw this.failure;
    return this.lines;
  }

  async keep(line: string): Promise<void> {
    if (this.failure !== null) throw this.failure;
    this.lines = new Set([...this.lines, line]);
  }

  async retain(lines: ReadonlySet<string>): Promise<void> {
    if (this.failure !== null) throw this.failure;
    this.lines = new Set([...this.lines].filter((line) => lines.has(line)));
  }
}
