import { describe, expect, it } from 'vitest';
import { readTarget } from '../../../src/cli/sidecar-target.ts';
import type { SidecarRule } from '../../../src/domain/sidecar.ts';

const rule = (formula: string): SidecarRule => ({
  formula,
  repo: 'ops/code',
  labels: ['bug-report'],
  without: [],
  when: null,
  project_toml: 'projects/code.toml',
  cool_down_minutes: 30,
  in_flight: 2,
  runs_per_day: 48,
  comment: false,
});

const known = (formulas: readonly string[], past: Readonly<Record<string, number>> = {}) => ({
  rules: formulas.map(rule),
  runs: (formula: string, issue: number) => past[`${formula} ${issue}`] ?? 0,
});

describe('what is meant by sidecar/…', () => {
  it('is an issue, or with one number more a run of it', () => {
    const rules = known(['reproduce'], { 'reproduce 12': 3 });
    expect(readTarget('sidecar/reproduce-12', rules)).toMatchObject({ formula: 'reproduce', issue: 12, n: null });
    expect(readTarget('sidecar/reproduce-12-3', rules)).toMatchObject({ formula: 'reproduce', issue: 12, n: 3 });
    expect(readTarget('sidecar/reproduce-12-9', rules)).toMatchObject({ formula: 'reproduce', issue: 12, n: 9 });
  });

  it('is read by the formulas there are, also where one of them ends in a number', () => {
    expect(readTarget('sidecar/check-2-12', known(['check-2']))).toMatchObject({
      formula: 'check-2',
      issue: 12,
      n: null,
    });
    expect(readTarget('sidecar/check-2-12', known(['check']))).toMatchObject({ formula: 'check', issue: 2, n: 12 });
    const both = ['check', 'check-2'];
    expect(readTarget('sidecar/check-2-12', known(both))).toMatchObject({ formula: 'check-2', issue: 12, n: null });
    expect(readTarget('sidecar/check-2-1', known(both))).toMatchObject({ formula: 'check', issue: 2, n: 1 });
    expect(readTarget('sidecar/check-2-1-1', known(both))).toMatchObject({ formula: 'check-2', issue: 1, n: 1 });
    const ran = known(both, { 'check 2': 12 });
    expect(readTarget('sidecar/check-2-12', ran)).toMatchObject({ formula: 'check', issue: 2, n: 12 });
  });

  it('may be a run of a formula that has no rule any more', () => {
    const past = known(['reproduce'], { 'older 4': 2 });
    expect(readTarget('sidecar/older-4-2', past)).toMatchObject({ formula: 'older', issue: 4, n: 2, rule: null });
    expect(readTarget('sidecar/older-4', past)).toMatchObject({ formula: 'older', issue: 4, n: null, rule: null });
  });

  it.each([
    ['sidecar/reprduce-12', 'there are: reproduce, verify', 'Did you mean reproduce?'],
    ['sidecar/other-12-1', 'no [[sidecar]] has the formula "other"', 'It is sidecar/<formula>-<issue>'],
    ['sidecar/reproduce', 'names no issue', 'Which one? sidecar/reproduce-<issue>'],
    ['sidecar/reproduce-0', 'no [[sidecar]] has the formula', 'Did you mean reproduce?'],
  ])('is nothing where it is %s, which is told with what there is', (given, message, hint) => {
    const refusal = {
      code: 'ERR_NOT_FOUND',
      message: expect.stringContaining(message),
      hint: expect.stringContaining(hint),
    };
    expect(() => readTarget(given, known(['reproduce', 'verify']))).toThrow(expect.objectContaining(refusal));
  });

  it('is an issue to be named where the formula itself looks like one', () => {
    const hint = 'Which one? sidecar/check-2-<issue>';
    expect(() => readTarget('sidecar/check-2', known(['check-2']))).toThrow(expect.objectContaining({ hint }));
  });

  it('is nothing without any rule, and the configuration is named', () => {
    const message = expect.stringContaining('the configuration has no [[sidecar]]');
    expect(() => readTarget('sidecar/reproduce-12', known([]))).toThrow(expect.objectContaining({ message }));
  });
});
