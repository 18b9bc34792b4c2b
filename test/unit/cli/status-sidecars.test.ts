import { describe, expect, it } from 'vitest';
import type { SidecarSummary } from '../../../src/cli/observed-sidecars.ts';
import { printSidecars } from '../../../src/cli/status-sidecars.ts';

const ROW: SidecarSummary = {
  formula: 'reproduce',
  repo: 'owner/code',
  matching: 12,
  in_flight: 1,
  in_flight_limit: 2,
  waiting: 3,
  resting: 8,
  runs_today: 5,
  runs_per_day: 48,
  outage: null,
};

function shown(...rows: readonly Partial<SidecarSummary>[]): readonly string[] {
  let said = '';
  const stdout = { write: (text: string | Uint8Array) => (said += String(text)), columns: 80 };
  const io = { cwd: '/', env: {}, stdout, stderr: stdout, signal: new AbortController().signal };
  printSidecars(
    io,
    rows.map((row) => ({ ...ROW, ...row })),
  );
  return said.split('\n').slice(1, -1);
}

describe('the rows of sidecars in status', () => {
  it('have a column for each figure', () => {
    expect(shown({}, { formula: 'verify', matching: 0, waiting: 0, resting: 0, in_flight: 0, runs_today: 0 })).toEqual([
      'Sidecars (2)             issues  waiting  resting  in flight  within a day',
      '  reproduce  owner/code      12        3        8     1 of 2       5 of 48',
      '  verify     owner/code       0        0        0     0 of 2       0 of 48',
    ]);
  });

  it('tell an outage once, and no figure that only the forge knows', () => {
    const outage = { code: 'ERR_FORGE_UNAVAILABLE', message: 'the forge: it can not be reached', hint: null };
    const away = { outage, matching: null, waiting: null, resting: null };
    const [, first = '', second = '', ...rest] = shown(away, { ...away, repo: 'owner/web' });
    expect([first, second].map((line) => line.replaceAll(/ +/g, ' ').trim())).toEqual([
      'reproduce owner/code - - - 1 of 2 5 of 48',
      'reproduce owner/web - - - 1 of 2 5 of 48',
    ]);
    expect(rest.join(' ').replaceAll(/ +/g, ' ')).toBe(
      ' cannot look at the issues of owner/code, owner/web: the forge: it can not be reached [ERR_FORGE_UNAVAILABLE]',
    );
  });

  it('never cut a long name, and go on below it', () => {
    const repo = 'organisation/repository-of-that-name';
    const [, name, figures] = shown({ repo });
    expect(name).toBe(`  reproduce  ${repo}`);
    expect(figures).toMatch(/^ {30} +12 +3 +8 +1 of 2 +5 of 48$/);
  });
});
