import { z } from 'zod';
import type { Session } from './session.ts';

const answered = z.object({ data: z.record(z.string(), z.array(z.string())) });

/** What one token may do. */
export class Capabilities {
  readonly #of: ReadonlyMap<string, readonly string[]>;

  constructor(of: ReadonlyMap<string, readonly string[]>) {
    this.#of = of;
  }

  /** Exactly this one thing. */
  isOnly(path: string, capability: string): boolean {
    const found = this.#at(path);
    return found.length === 1 && found[0] === capability;
  }

  /** One of these, or everything. A path that the store did not answer for has none. */
  hasAny(path: string, capabilities: readonly string[]): boolean {
    return this.#at(path).some((found) => found === 'root' || capabilities.includes(found));
  }

  /** The store takes blanks away from the ends of a path before it answers. */
  #at(path: string): readonly string[] {
    return this.#of.get(path.trim()) ?? [];
  }
}

/**
 * What the token of this accessor may do at each path, as the store itself decides it. Errors: TransientError,
 * StalledError, also when there is no such token.
 */
export async function capabilitiesOf(
  session: Session,
  accessor: string,
  paths: readonly string[],
  signal: AbortSignal | undefined,
): Promise<Capabilities> {
  const doing = 'ask what a token may do';
  const body = { accessor, paths };
  const request = { doing, method: 'POST', path: 'sys/capabilities-accessor', body, signal } as const;
  const { data } = await session.ask(request, answered);
  return new Capabilities(new Map(Object.entries(data)));
}
