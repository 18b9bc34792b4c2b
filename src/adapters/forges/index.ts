import type { ForgeFactory } from '../factory.ts';
import { forgejo, gitea } from './forgejo.ts';
import { github } from './github.ts';

/** Name in `[forge] kind` → what makes it. */
export const forges = {
  forgejo,
  gitea,
  github,
} as const satisfies Record<string, ForgeFactory>;
