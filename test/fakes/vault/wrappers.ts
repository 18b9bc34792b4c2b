import type { Answer } from './answers.ts';

/** A wrapper stays here after its token is gone, so that answers about its accessor stay right. */
export interface Wrapper {
  /** The wrapping token. */
  readonly id: string;
  readonly accessor: string;
  readonly creationPath: string;
  readonly createdAt: number;
  readonly ttl: number;
  readonly answer: Answer;
  state: 'unread' | 'revoked' | 'consumed';
}

/** All wrappers that ever were. */
export class Wrappers {
  readonly #byId = new Map<string, Wrapper>();
  readonly #byAccessor = new Map<string, Wrapper>();

  add(wrapper: Wrapper): void {
    this.#byId.set(wrapper.id, wrapper);
    this.#byAccessor.set(wrapper.accessor, wrapper);
  }

  get(id: string): Wrapper | undefined {
    return this.#byId.get(id);
  }

  byAccessor(accessor: string): Wrapper | undefined {
    return this.#byAccessor.get(accessor);
  }
}
