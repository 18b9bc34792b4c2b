import { defineConfig } from 'rolldown';
import { bundleOf } from './bundle.ts';

/** `npm run simulate`: one program, because a hundred thousand worlds want to start soon. */
export default defineConfig({ ...bundleOf(null), output: { file: 'dist-simulation/main.js', sourcemap: true } });
