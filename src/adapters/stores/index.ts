import type { StoreFactory } from '../factory.ts';
import { file } from './file.ts';

/** Scheme of `[store] url` → what makes it. */
export const stores = {
  file,
} as const satisfies Record<string, StoreFactory>;
