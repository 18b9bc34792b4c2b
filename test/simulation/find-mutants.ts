import { spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import process from 'node:process';
import { build } from 'rolldown';
import { bundleOf } from './bundle.ts';
import { MUTANTS, type Mutant } from './mutants.ts';

const FOLDER = 'dist-simulation/mutants';

/** Plants one mistake after the other and looks for a seed that shows it. False: one of them was not found. */
export async function findMutants(seeds: number, workers: number, print: (line: string) => void): Promise<boolean> {
  await mkdir(FOLDER, { recursive: true });
  let missed = 0;
  for (const [at, mutant] of MUTANTS.entries()) {
    const found = await find(mutant, `${FOLDER}/${at + 1}.js`, { seeds, workers });
    if (found === null) missed += 1;
    print(
      `${found === null ? 'NOT FOUND ' : 'found     '} ${mutant.name}${found === null ? '' : `\n            ${found}`}`,
    );
  }
  print(`${MUTANTS.length - missed} of ${MUTANTS.length} planted mistakes were found within ${seeds} seeds each`);
  return missed === 0;
}

/** The first line that tells of it. */
async function find(
  mutant: Mutant,
  file: string,
  { seeds, workers }: { readonly seeds: number; readonly workers: number },
): Promise<string | null> {
  await build({ ...bundleOf(mutant), output: { file } });
  const args = [file, '--first', '--seeds', String(seeds), '--workers', String(workers)];
  const child = spawn(process.execPath, ['--no-warnings', ...args], { stdio: ['ignore', 'pipe', 'ignore'] });
  let said = '';
  for await (const chunk of child.stdout) said += String(chunk);
  return said.split('\n').find((line) => line.startsWith('seed ')) ?? null;
}
