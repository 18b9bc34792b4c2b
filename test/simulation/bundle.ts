import type { InputOptions, Plugin } from 'rolldown';
import type { Mutant } from './mutants.ts';

/** How the simulation becomes one file; with a mutant, of a program that has its mistake. */
export function bundleOf(mutant: Mutant | null): InputOptions {
  return {
    input: 'test/simulation/main.ts',
    platform: 'node',
    external: (id) => /^[^./]/.test(id),
    plugins: mutant === null ? [] : [planted(mutant)],
  };
}

/** Throws where the piece is not in the file exactly once: a mutant that fits nothing any more shows nothing. */
function planted({ name, file, find, replace }: Mutant): Plugin {
  let isPlanted = false;
  return {
    name: 'planted',
    transform(code, id) {
      if (!id.endsWith(`/${file}`)) return null;
      if (code.split(find).length !== 2) throw new Error(`${name}: its piece is not in ${file} exactly once`);
      isPlanted = true;
      return { code: code.replace(find, () => replace), map: null };
    },
    buildEnd() {
      if (!isPlanted) throw new Error(`${name}: ${file} is no part of the simulation`);
    },
  };
}
