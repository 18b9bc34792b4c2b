import path from 'node:path';
import { defineConfig, type Plugin } from 'rolldown';

/**
 * Two programs, each in few files: a runner starts for every run, and more than half of its start went in finding and
 * opening some hundred and fifty modules. Packages that read files of their own stay what they are.
 */
const bundled = /^(zod|commander|@iarna\/toml|fastest-levenshtein)(\/|$)/;
const isPackage = /^[^./]/;

/** A source finds what lies beside `src/` and `dist/` from its own place: chunks lie elsewhere, so they are told it. */
const ownPlace: Plugin = {
  name: 'own-place',
  transform(code, id) {
    const place = path.relative(path.resolve('src'), id);
    if (place.startsWith('..') || !code.includes('import.meta.url')) return null;
    // No line moves, so the map holds.
    return {
      code: code.replaceAll('import.meta.url', `new URL(${JSON.stringify(place)}, import.meta.url)`),
      map: null,
    };
  },
};

const shared = {
  platform: 'node',
  // Of the TOML library: it says itself that a bundler may leave that one out.
  checks: { eval: false },
} as const;
const mapped = { sourcemap: true, sourcemapExcludeSources: true } as const;

export default defineConfig([
  {
    ...shared,
    input: 'src/main.ts',
    external: (id) => isPackage.test(id) && !bundled.test(id),
    plugins: [ownPlace],
    output: { ...mapped, dir: 'dist' },
  },
  { ...shared, input: 'src/runner/main.ts', output: { ...mapped, file: 'dist/runner/main.js', codeSplitting: false } },
]);
