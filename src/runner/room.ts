import { setTimeout } from 'node:timers/promises';
import { errorCode } from './runner-error.ts';

const POLL_MS = 500;
const LONGEST_MS = 3_600_000;

/** For an error of the system: the disk is full. */
export const isFull = (error: unknown): boolean => /^(?:ENOSPC|EDQUOT)$/.test(errorCode(error) ?? '');

/**
 * Does what needs room on the disk, again and again while that is full: an hour at most, and not once `signal` is aborted.
 * Then throws what `work` threw. Only for work that may be repeated.
 */
export async function whenThereIsRoom<T>(work: () => T | Promise<T>, signal?: AbortSignal): Promise<T> {
  for (const end = performance.now() + LONGEST_MS; ; ) {
    try {
      return await work();
    } catch (error) {
      if (!isFull(error) || signal?.aborted === true || performance.now() >= end) throw error;
      await setTimeout(POLL_MS);
    }
  }
}
