import type { Formula } from '../domain/formula.ts';
import { checkInputs } from '../domain/inputs.ts';
import { SIDECAR_JOB } from '../domain/sidecar.ts';
import { locate } from '../domain/toml.ts';
import type { Problem } from '../errors.ts';
import { warning } from './validate-actions.ts';

/** What keeps a formula from working on issues, if that is what it is for: by its job, or by a rule of `named`. */
export function sidecarProblems(
  { path, formula, text }: { readonly path: string; readonly formula: Formula; readonly text: string },
  named: readonly string[],
): readonly Problem[] {
  const isNamed = named.includes(formula.name);
  if (!isNamed && formula.job !== SIDECAR_JOB) return [];
  const why = isNamed ? 'a [[sidecar]] names it' : `its job is ${SIDECAR_JOB}`;
  const found: Problem[] = [];
  if (!formula.unattended) {
    const place = locate(text, ['unattended']) ?? locate(text, ['job']) ?? locate(text, ['name']);
    found.push(warning('ERR_SIDECAR_FORMULA', path, `${why}, but it is not marked unattended`, { place }));
  }
  for (const { message } of checkInputs(formula.inputs, {}, path).problems) {
    const place = locate(text, ['inputs']);
    found.push(warning('ERR_SIDECAR_FORMULA', path, `${why}, and nobody gives it inputs: ${message}`, { place }));
  }
  return found;
}
