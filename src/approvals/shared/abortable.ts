import { toError } from '../../errors.ts';

/** The answer, or the reason of the signal as soon as that is aborted; the work itself goes on for others. */
export async function abortable<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  const stop = new AbortController();
  const aborted = new Promise<never>((_, reject) => {
    const give = () => reject(toError(signal.reason));
    signal.addEventListener('abort', give, { once: true, signal: stop.signal });
    if (signal.aborted) give();
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    stop.abort();
    work.catch(() => undefined);
  }
}
