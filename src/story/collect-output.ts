import type { AttemptRecord } from '../domain/attempt-record.ts';
import { LOG_EXCERPT_BYTES, type Result } from '../domain/result.ts';
import type { Run } from '../domain/run.ts';
import { splitTrailer, TRAILER_MAX_BYTES, type Trailer } from '../domain/trailer.ts';
import type { LogStream } from '../ports/engine.ts';
import type { StoryContext } from './context.ts';

export interface Collected {
  readonly trailer: Trailer | null;
  readonly output: Result['output'];
  readonly artifacts: Result['artifacts'];
  /** Tail of stdout, then of stderr; at most 4 KiB. */
  readonly logs: string;
}

/**
 * Step 8: what did it say and leave behind? Both streams go to the store whole; they are complete only if they agree
 * with the runner's signed trailer. Safe to repeat. Errors: TransientError of the engine or the store.
 */
export async function collectOutput(run: Run, record: AttemptRecord, context: StoryContext): Promise<Collected> {
  const prefix = `${record.entry.id}/${record.entry.attempt}`;
  const keep = (stream: LogStream, bytes: AsyncIterable<Uint8Array>) =>
    context.store.put(`${prefix}/${stream}.log`, bytes);
  const tails = { stdout: new Tail(LOG_EXCERPT_BYTES), stderr: new Tail(LOG_EXCERPT_BYTES) };
  const stdout = await keep('stdout', tails.stdout.of(context.engine.logs(run, 'stdout', 0)));
  const { length, trailer } = await findTrailer(run, record, context);
  const stderr = await keep('stderr', tails.stderr.of(firstBytes(context.engine.logs(run, 'stderr', 0), length)));
  const agrees = (kept: { bytes: number; sha256: string }, said: Trailer['stdout'] | undefined) =>
    said !== undefined && !said.cut && said.bytes === kept.bytes && said.sha256 === kept.sha256;
  return {
    trailer,
    output: {
      stdout: { ...pick(stdout), complete: agrees(stdout, trailer?.stdout) },
      stderr: { ...pick(stderr), complete: agrees(stderr, trailer?.stderr) },
      masked: trailer?.masked ?? {},
    },
    artifacts: await keepArtifacts(run, trailer, prefix, context),
    logs: excerpt(tails.stdout.text(), tails.stderr.text()),
  };
}

const pick = ({ bytes, sha256, uri }: { bytes: number; sha256: string; uri: string }) => ({ bytes, sha256, uri });

/** Reads stderr once to its end for its last bytes: the trailer is looked for there and nowhere else. */
async function findTrailer(run: Run, record: AttemptRecord, context: StoryContext) {
  const tail = new Tail(TRAILER_MAX_BYTES);
  let total = 0;
  for await (const chunk of tail.of(context.engine.logs(run, 'stderr', 0))) total += chunk.length;
  return splitTrailer(tail.bytes(), total, record.trailer_key);
}

async function keepArtifacts(
  run: Run,
  trailer: Trailer | null,
  prefix: string,
  context: StoryContext,
): Promise<Result['artifacts']> {
  const kept: Result['artifacts'] = [];
  for (const artifact of trailer?.artifacts ?? []) {
    const content = artifact.withheld === undefined ? await context.engine.artifact(run, artifact.path) : null;
    const stored = content === null ? null : await context.store.put(`${prefix}/artifacts/${artifact.path}`, content);
    const whole = stored !== null && stored.sha256 === artifact.sha256;
    const why = artifact.withheld ?? (stored === null ? 'not collected' : whole ? undefined : 'changed on its way');
    kept.push({
      path: artifact.path,
      bytes: artifact.bytes,
      sha256: artifact.sha256,
      uri: whole ? stored.uri : null,
      ...(why === undefined ? {} : { withheld: why }),
    });
  }
  return kept;
}

async function* firstBytes(source: AsyncIterable<Uint8Array>, length: number): AsyncIterable<Uint8Array> {
  let left = length;
  for await (const chunk of source) {
    if (left <= 0) return;
    yield chunk.length <= left ? chunk : chunk.subarray(0, left);
    left -= chunk.length;
  }
}

/** The last bytes of what flows by. */
class Tail {
  readonly #limit: number;
  #kept: Buffer = Buffer.alloc(0);

  constructor(limit: number) {
    this.#limit = limit;
  }

  async *of(source: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
    for await (const chunk of source) {
      this.#kept = Buffer.concat([this.#kept, chunk]);
      if (this.#kept.length > this.#limit) this.#kept = this.#kept.subarray(this.#kept.length - this.#limit);
      yield chunk;
    }
  }

  bytes(): Buffer {
    return this.#kept;
  }

  text(): string {
    return this.#kept.toString('utf8');
  }
}

/** At most LOG_EXCERPT_BYTES in UTF-8: stderr may have half of it, stdout the rest. */
export function excerpt(stdout: string, stderr: string): string {
  const half = LOG_EXCERPT_BYTES / 2;
  const errorBytes = Math.min(Buffer.byteLength(stderr), Math.max(half, LOG_EXCERPT_BYTES - Buffer.byteLength(stdout)));
  const error = lastBytes(stderr, errorBytes);
  return lastBytes(stdout, LOG_EXCERPT_BYTES - Buffer.byteLength(error)) + error;
}

/** Cut at a character: a broken one would come out longer than it went in. */
function lastBytes(text: string, limit: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= limit) return text;
  let start = bytes.length - limit;
  while (start < bytes.length && (bytes[start] ?? 0) >> 6 === 0b10) start += 1;
  return bytes.subarray(start).toString('utf8');
}
