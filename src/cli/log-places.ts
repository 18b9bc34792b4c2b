import { createHash } from 'node:crypto';
import { lstat } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { stateLayout } from '../adapters/state-dir.ts';
import type { Result } from '../domain/result.ts';
import type { LogStream } from '../ports/engine.ts';
import { type Io, quoted } from './io.ts';
import type { Observed } from './observe.ts';

/** Where the whole of one stream lies, and what is known to be missing of it. */
export interface Place {
  readonly uri: string | null;
  readonly bytes: number;
  /** null: it is still being written. */
  readonly sha256: string | null;
  /** True: proven by the runner's signed last words. */
  readonly complete: boolean;
  /** Bytes that the result counts and that can't be read here. What was never kept is counted by nobody. */
  readonly missing: number;
  /** Why it is not complete or can't be read; null: nothing is the matter. */
  readonly why: string | null;
}
export type Places = Readonly<Record<LogStream, Place>>;

type Kept = NonNullable<Result['output']>[LogStream];

/** What was read of a stream that the result says is kept; null: there was nothing to read. */
export interface Taken {
  readonly bytes: number;
  readonly sha256: string;
}

/** The bytes as they come, and afterwards what they were. */
export function measured(content: AsyncIterable<Uint8Array>) {
  const hash = createHash('sha256');
  let bytes = 0;
  async function* through(): AsyncGenerator<Uint8Array> {
    for await (const chunk of content) {
      hash.update(chunk);
      bytes += chunk.length;
      yield chunk;
    }
  }
  return { content: through(), taken: (): Taken => ({ bytes, sha256: hash.digest('hex') }) };
}

/** Whose machine this is, and `log_bytes` of its [limits]. */
interface Here {
  readonly dispatcher: string;
  readonly logBytes: number;
}

/** Of an ended run: what its result says of a stream, and what was read of it. */
export function keptPlace(kept: Kept, result: Result, taken: Taken | null, here: Here): Place {
  const { uri, bytes, sha256, complete } = kept;
  const isEmpty = bytes === 0 && taken === null;
  const lost = isEmpty || taken?.sha256 === sha256 ? null : whyLost(result, taken, bytes, here);
  const missing = lost === null ? 0 : Math.max(0, bytes - (taken?.bytes ?? 0));
  return {
    uri,
    bytes,
    sha256,
    complete,
    missing,
    why: lost ?? (complete ? null : whyIncomplete(result, bytes, here)),
  };
}

function whyLost({ attempt }: Result, taken: Taken | null, bytes: number, here: Here): string {
  if (taken !== null && taken.bytes < bytes) return `of it only ${count(taken.bytes)} bytes are left`;
  if (taken !== null) return 'what lies there now is something else';
  if (attempt === null || attempt.dispatcher === here.dispatcher) return 'the store does not hold it any more';
  return `it is not on this machine: ${attempt.dispatcher} kept it`;
}

function whyIncomplete({ reason }: Result, bytes: number, { logBytes: limit }: Here): string {
  if (bytes >= limit) return `it was cut at log_bytes (${count(limit)}), and nobody counted what came after`;
  const cause = reason === null ? '' : ` (${reason.code})`;
  return `the runner's last words do not confirm it${cause}, so how much is missing is not known`;
}

/** Of a live run, as far as its output lies on this machine. `shown`: bytes that were shown. */
export async function livePlaces(
  token: string | null,
  shown: (stream: LogStream) => number,
  observed: Observed,
): Promise<Places> {
  const place = async (stream: LogStream): Promise<Place> => {
    const file = token === null ? null : await spoolFile(token, stream, observed);
    const why = file === null ? 'it does not lie on this machine yet' : 'its result is not recorded yet';
    const uri = file === null ? null : pathToFileURL(file).href;
    return { uri, bytes: shown(stream), sha256: null, complete: false, missing: 0, why };
  };
  return { stdout: await place('stdout'), stderr: await place('stderr') };
}

/** The run's own directory, or what was collected of a run elsewhere. */
async function spoolFile(token: string, stream: LogStream, { config }: Observed): Promise<string | null> {
  const { runs, cache } = stateLayout(config.dispatcher.state_dir);
  for (const folder of [path.join(runs, token), path.join(cache, 'spool', token)]) {
    const file = path.join(folder, stream);
    const found = await lstat(file).catch(() => null);
    if (found?.isFile() === true) return file;
  }
  return null;
}

/** One line a stream, on stderr: the output itself is never mixed with it. */
export function tellPlaces(io: Pick<Io, 'stderr'>, places: Places): void {
  for (const stream of ['stdout', 'stderr'] as const) io.stderr.write(`${quoted(lineOf(stream, places[stream]))}\n`);
}

function lineOf(stream: LogStream, { uri, bytes, sha256, complete, missing, why }: Place): string {
  const digest = sha256 === null ? 'so far' : `sha256 ${sha256}`;
  const head = `${complete ? 'full ' : ''}${stream}: ${uri ?? 'not kept as a file'} (${count(bytes)} bytes, ${digest})`;
  const gap = missing === 0 ? '' : `; ${count(missing)} bytes are missing`;
  return why === null ? head : `${head}; ${complete ? '' : 'not complete: '}${why}${gap}`;
}

const count = (bytes: number): string => bytes.toLocaleString('en');
