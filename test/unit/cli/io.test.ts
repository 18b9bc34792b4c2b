import { describe, expect, it } from 'vitest';
import { type Io, paint, printJson, printLine } from '../../../src/cli/io.ts';
import { runProgram } from '../../../src/cli/program.ts';

function terminal() {
  const out: string[] = [];
  const err: string[] = [];
  const io: Io = {
    cwd: '/nowhere',
    env: {},
    stdout: { write: (text) => out.push(String(text)), isTTY: true },
    stderr: { write: (text) => err.push(String(text)), isTTY: true },
    signal: new AbortController().signal,
  };
  return { io, stdout: () => out.join(''), stderr: () => err.join('') };
}

const HOSTILE = 'a\u001b]0;owned\u0007\u009b2J\u202eb\u200b';
const ACTS = /(?![\n\t])[\p{Cc}\u200b\u202a-\u202e]/u;

describe('what a command prints', () => {
  it('keeps its own colours and line ends, and lets nothing else act on the terminal', () => {
    const { io, stdout } = terminal();
    printLine(io, `\n${paint(io, 'red', 'no')}\t${HOSTILE}`);
    expect(stdout()).toBe(
      `\n\u001b[31mno\u001b[39m\ta${String.raw`\u{001B}]0;owned\u{0007}\u{009B}2J\u{202E}b\u{200B}`}\n`,
    );
  });

  it('is JSON of the same value that shows nothing but itself', () => {
    const { io, stdout } = terminal();
    printJson(io, { [HOSTILE]: HOSTILE });
    expect(stdout()).not.toMatch(ACTS);
    expect(JSON.parse(stdout())).toEqual({ [HOSTILE]: HOSTILE });
  });

  it.each([
    ['an unknown command', [HOSTILE]],
    ['an unknown option', ['status', `--${HOSTILE}`]],
  ])('says %s without what is in its name', async (_what, argv) => {
    const { io, stderr } = terminal();
    expect(await runProgram(argv, io)).toBe(2);
    expect(stderr()).toContain('owned');
    expect(stderr()).not.toMatch(ACTS);
  });
});
