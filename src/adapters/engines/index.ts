import type { EngineFactory } from '../factory.ts';
import { nomad } from './nomad.ts';
import { subprocess } from './subprocess.ts';

/** Name in `[engine] kind` and of the section `[engine.<name>]` → what makes it. */
export const engines = {
  nomad,
  subprocess,
} as const satisfies Record<string, EngineFactory>;
