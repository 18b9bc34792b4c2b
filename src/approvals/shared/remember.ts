/** Answers that stay true, kept by their question; the oldest go first. */
export interface Memory<T> {
  /** The kept answer, or that of `ask`. Asked once however many want it at a time; a failure is not kept. */
  recall(key: string, ask: () => Promise<T>): Promise<T>;
}

export function createMemory<T>(most = 10_000): Memory<T> {
  const kept = new Map<string, Promise<T>>();
  return {
    recall(key, ask) {
      const known = kept.get(key);
      if (known !== undefined) return known;
      const answer = ask();
      kept.set(key, answer);
      const [oldest] = kept.keys();
      if (kept.size > most && oldest !== undefined) kept.delete(oldest);
      answer.catch(() => {
        if (kept.get(key) === answer) kept.delete(key);
      });
      return answer;
    },
  };
}
