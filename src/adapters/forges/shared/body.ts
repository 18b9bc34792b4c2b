import type { Response } from 'node-fetch';
import { TransientError } from '../../../errors.ts';
import { Digest } from './digest.ts';

const MIB = 1024 * 1024;
/** Of an answer as it is sent. Most of so long a one are texts that are left out. */
const MOST_READ = 64 * MIB;
const MOST_KEPT = 8 * MIB;
/** So much a slow line brings in the time of one call. */
const PORTION = 8 * MIB;

/**
 * The answer is longer than we read, though the forge is well: whoever asks may ask for less at once. One long comment is
 * enough for it, and anybody can write one.
 */
export class TooLongError extends TransientError {
  /** `name`: method and path template of the request. */
  constructor(name: string) {
    super('ERR_FORGE_UNAVAILABLE', `the forge: ${name}: its answer is too long`);
  }
}

export interface BodyLimits {
  /** Method and path template of the request. */
  readonly name: string;
  /** Bytes; a longer text reads as null. */
  readonly longestText: number;
  /** Of a list whose first item is too long, what comes before its long text is enough. */
  readonly beginningIsEnough: boolean;
}

/** `goesOn` is called after each 8 MiB. Errors: TooLongError, those of the connection. */
export async function readBody(response: Response, limits: BodyLimits, goesOn: () => void): Promise<string> {
  const { name, longestText, beginningIsEnough } = limits;
  const digest = new Digest({ text: longestText, read: MOST_READ, kept: MOST_KEPT });
  let portion = 0;
  for await (const chunk of chunksOf(response)) {
    if (!digest.add(chunk)) {
      const beginning = beginningIsEnough ? digest.beginning() : null;
      if (beginning !== null) return beginning;
      throw new TooLongError(name);
    }
    portion += chunk.length;
    if (portion >= PORTION) {
      portion = 0;
      goesOn();
    }
  }
  return digest.text();
}

/** Read to its end, so that its connection can be used again. */
export async function drain(response: Response): Promise<void> {
  let left = MOST_KEPT;
  for await (const chunk of chunksOf(response)) {
    left -= chunk.length;
    // A new connection costs less.
    if (left < 0) return;
  }
}

async function* chunksOf({ body }: Response): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of body ?? []) yield typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
}
