export interface Counting {
  /** A call was answered. */
  readonly done?: (method: string) => void;
  /** A call, or the reading of what it answered, failed. */
  readonly failed: (error: unknown) => void;
}

/** The same port, with its calls counted. Answers and errors go through unchanged. */
export function counted<T extends object>(port: T, counting: Counting): T {
  return new Proxy(port, {
    get(target, key) {
      const member: unknown = Reflect.get(target, key, target);
      if (typeof member !== 'function' || typeof key !== 'string') return member;
      return (...given: unknown[]) => count(() => Reflect.apply(member, target, given), key, counting);
    },
  });
}

function count(call: () => unknown, method: string, { done, failed }: Counting): unknown {
  const answer = call();
  if (isIterable(answer)) return readCounted(answer, failed);
  if (!(answer instanceof Promise)) return answer;
  return answer.then(
    (value: unknown) => {
      done?.(method);
      return value;
    },
    (error: unknown) => {
      failed(error);
      throw error;
    },
  );
}

function isIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}

async function* readCounted(items: AsyncIterable<unknown>, failed: Counting['failed']): AsyncGenerator<unknown> {
  try {
    yield* items;
  } catch (error) {
    failed(error);
    throw error;
  }
}
