import type { LogStream } from '../../../ports/engine.ts';
import { Refusal } from './answers.ts';
import type { NomadClient } from './client.ts';
import { type Frame, FrameSplitter } from './logs-frames.ts';

export interface LogPlace {
  /** Whole id of the allocation: Nomad takes no prefix here. */
  readonly allocation: string;
  readonly task: string;
  readonly stream: LogStream;
  /** In bytes, from the beginning of what Nomad still keeps: rotation moves all offsets. */
  readonly offset: number;
}

/**
 * Why nothing more comes. `end`: that is all there is now; beyond the end too. `gone`: client or server have collected
 * it. `not-started`: the task wrote nothing yet (and never will, where it failed before its start).
 */
export type LogEnd = 'end' | 'gone' | 'not-started';

/**
 * The log of a task from `offset` up to what is there now, in the pieces that Nomad sends; returns why it ended. What has
 * come before an error is good. Safe to repeat. Throws what the client throws, and TransientError for an answer that
 * broke off.
 */
export async function* readLog(
  client: NomadClient,
  { allocation, task, stream, offset }: LogPlace,
  signal?: AbortSignal,
): AsyncGenerator<Frame, LogEnd> {
  const splitter = new FrameSplitter();
  // In plain text, an error that comes after the 200 would look like output.
  const query = { task, type: stream, offset, origin: 'start', plain: false, follow: false };
  try {
    const path = `/v1/client/fs/logs/${encodeURIComponent(allocation)}`;
    for await (const chunk of client.download(path, { query, signal })) yield* splitter.push(chunk);
    splitter.end();
    return 'end';
  } catch (error) {
    return endOf(error);
  }
}

function endOf(error: unknown): LogEnd {
  if (error instanceof Refusal) {
    if (error.kind === 'log-gone' || error.kind === 'not-found') return 'gone';
    if (error.kind === 'not-started') return 'not-started';
  }
  throw error;
}
