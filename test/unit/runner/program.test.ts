import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Formula, parseFormula } from '../../../src/domain/formula.ts';
import { choosePlaces, makePlaces, type Places } from '../../../src/runner/places.ts';
import { programOf } from '../../../src/runner/program.ts';
import { RunnerError } from '../../../src/runner/runner-error.ts';

let root: string;
let places: Places;

beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'program-'));
  places = choosePlaces({ directory: root, artifacts: null, runAs: null, agentData: null });
  makePlaces(places);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

describe('the program of a formula', () => {
  it('is the command as it stands: no shell, no splitting', () => {
    const argv = ['/bin/echo', 'a b', '$HOME; rm -rf /'];
    expect(programOf(formula(`command = ${JSON.stringify(argv)}`), [], places)).toEqual({ argv, stdin: null });
  });

  it.each([
    ['echo hi', ['bash']],
    ['#!/bin/sh\necho hi', ['/bin/sh']],
    ['#! /usr/bin/env python3\nprint()', ['/usr/bin/env', 'python3']],
    ['#!/usr/bin/env -S deno run --quiet\n1', ['/usr/bin/env', '-S deno run --quiet']],
    ['#!/bin/sh -e  \r\ntrue', ['/bin/sh', '-e']],
    ['#!\necho hi', ['bash']],
    [' #!/bin/sh\necho hi', ['bash']],
  ])('is for the script %j run by its #! line, else by bash', (text, argv) => {
    const file = path.join(places.given, 'script');
    const program = programOf(formula(`script = ${JSON.stringify(text)}`), [], places);
    expect(program).toEqual({ argv: [...argv, file], stdin: null });
    expect(readFileSync(file, 'utf8')).toBe(text);
    expect(statSync(file).mode & 0o222).toBe(0);
  });

  it("is for a prompt the operator's agent, with the text on its stdin", () => {
    const program = programOf(formula('prompt = "do it"'), ['claude', '-p'], places);
    expect(program.argv).toEqual(['claude', '-p']);
    expect(readFileSync(program.stdin ?? '', 'utf8')).toBe('do it');
  });

  it('is for a prompt without an agent none, and says so', () => {
    const attempt = () => programOf(formula('prompt = "do it"'), [], places);
    expect(attempt).toThrow(RunnerError);
    expect(attempt).toThrow(/no agent command is configured/);
  });
});

function formula(body: string): Formula {
  const parsed = parseFormula(Buffer.from(`name = "try"\ndescription = "d"\n${body}\n`), 'try.toml');
  if (parsed.ok) return parsed.value;
  throw new Error(parsed.problems.map(({ message }) => message).join());
}
