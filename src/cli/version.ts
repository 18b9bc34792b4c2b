import { readFileSync } from 'node:fs';
import { z } from 'zod';

/** From package.json, which lies beside `dist/` and `src/` alike. */
export const VERSION = z
  .object({ version: z.string() })
  .parse(JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))).version;
