/**
 * Variables that a run gets from the runner, or that change what a program does before its first line. Neither a secret
 * nor a formula's `env` may set them (formats.md, "What a command finds").
 */
const RESERVED = /^(?:PATH|HOME|SHELL|IFS|ENV|BASH_ENV|(?:LD|NODE|EDGE|INPUT|GIT)_.*|PYTHON.*)$/s;

export const reservedNames = 'PATH, HOME, SHELL, IFS, ENV, BASH_ENV, LD_*, NODE_*, PYTHON*, EDGE_*, INPUT_*, GIT_*';

export function isReservedName(name: string): boolean {
  return RESERVED.test(name);
}
