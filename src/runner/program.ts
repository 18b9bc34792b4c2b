import type { Formula } from '../domain/formula.ts';
import { give, type Places } from './places.ts';
import { RunnerError } from './runner-error.ts';

/** What is started: program and arguments, and the file that is its stdin; null: stdin is empty. */
export interface Program {
  readonly argv: readonly [string, ...string[]];
  readonly stdin: string | null;
}

/** `agent`: the operator's command for prompts. Throws RunnerError (ERR_COMMAND_NOT_FOUND). */
export function programOf(formula: Formula, agent: readonly string[], places: Places): Program {
  if (formula.script !== null) return scriptProgram(formula.script, places);
  if (formula.prompt !== null) {
    const argv = argvOf(agent, 'no agent command is configured for prompt formulas ([runner] agent)');
    return { argv, stdin: give(places, 'prompt', formula.prompt) };
  }
  return { argv: argvOf(formula.command ?? [], 'the formula names no command'), stdin: null };
}

/** By the #! line, which is read here and not by the system: the file may lie where nothing can be executed. */
function scriptProgram(script: string, places: Places): Program {
  const file = give(places, 'script', script, 0o550);
  const [, interpreter = 'bash', argument] =
    /^#![ \t]*([^ \t\r\n]+)[ \t]*([^\r\n]*?)[ \t]*(?:\r?\n|$)/.exec(script) ?? [];
  const options = argument === undefined || argument === '' ? [] : [argument];
  return { argv: [interpreter, ...options, file], stdin: null };
}

function argvOf(argv: readonly string[], missing: string): Program['argv'] {
  const [program, ...rest] = argv;
  if (program === undefined || program === '') throw new RunnerError('ERR_COMMAND_NOT_FOUND', missing);
  return [program, ...rest];
}
