import type { AccessFactory } from '../factory.ts';
import { file } from './file.ts';
import { vault } from './vault.ts';

/** Name in `[access] kind` and of the section `[access.<name>]` → what makes it. */
export const accesses = {
  file,
  vault,
} as const satisfies Record<string, AccessFactory>;
