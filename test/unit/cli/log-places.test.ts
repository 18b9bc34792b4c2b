import { describe, expect, it } from 'vitest';
import { keptPlace, measured, type Place, type Places, tellPlaces } from '../../../src/cli/log-places.ts';
import { sha256 } from '../../../src/domain/ids.ts';
import type { Result } from '../../../src/domain/result.ts';
import { sampleResult } from '../../fakes/cli-samples.ts';
import { bytesOf, textOf } from '../../fakes/until.ts';

const LIMIT = 4096;
const here = { dispatcher: 'demo', logBytes: LIMIT };
const kept = { bytes: 1234, sha256: sha256('whole'), complete: true, uri: 'file:///store/a/1/stdout.log' };
const whole = { bytes: 1234, sha256: sha256('whole') };
const cut = { code: 'ERR_LOST', message: 'the node is gone', hint: null, by: null };

function place(
  changes: Partial<typeof kept>,
  taken: { readonly bytes: number; readonly sha256: string } | null,
  result: Partial<Result> = {},
): Place {
  return keptPlace({ ...kept, ...changes }, sampleResult('a', result), taken, here);
}

function told(stdout: Place): string | undefined {
  const said: string[] = [];
  const places: Places = { stdout, stderr: place({ bytes: 0 }, null) };
  const io = { stderr: { write: (text: string | Uint8Array) => said.push(String(text)) } };
  tellPlaces(io, places);
  return said[0];
}

describe('where the full output lies', () => {
  it('is told with its size and digest', () => {
    expect(place({}, whole)).toEqual({ ...kept, missing: 0, why: null });
    expect(told(place({}, whole))).toBe(
      `full stdout: file:///store/a/1/stdout.log (1,234 bytes, sha256 ${kept.sha256})\n`,
    );
  });

  it('is told with what is missing and why, where the store has lost it or part of it', () => {
    expect(told(place({}, null))).toMatch(/\); the store does not hold it any more; 1,234 bytes are missing\n$/);
    expect(told(place({}, { bytes: 1000, sha256: sha256('part') }))).toMatch(
      /\); of it only 1,000 bytes are left; 234 bytes are missing\n$/,
    );
    expect(place({}, { bytes: 1234, sha256: sha256('other') })).toMatchObject({
      missing: 0,
      why: 'what lies there now is something else',
    });
  });

  it('is told to be elsewhere where another dispatcher kept it', () => {
    const attempt = { number: 1, token: 'f'.repeat(32), dispatcher: 'edge-2', executions: 1 };
    expect(place({}, null, { attempt }).why).toBe('it is not on this machine: edge-2 kept it');
  });

  it('of nothing is nothing to miss', () => {
    expect(place({ bytes: 0 }, null)).toMatchObject({ missing: 0, why: null });
  });

  it('is not called full where the runner did not confirm it, and what is not known is said (R10)', () => {
    const unsure = place({ complete: false }, whole, { reason: cut });
    expect(told(unsure)).toMatch(
      /^stdout: .*\); not complete: the runner's last words do not confirm it \(ERR_LOST\), so how much is missing is not known\n$/,
    );
    const long = { bytes: LIMIT, sha256: sha256('long') };
    expect(place({ ...long, complete: false }, long).why).toBe(
      'it was cut at log_bytes (4,096), and nobody counted what came after',
    );
  });

  it('is measured while it is shown', async () => {
    const { content, taken } = measured(bytesOf('out', ' and out\n'));
    expect(await textOf(content)).toBe('out and out\n');
    expect(taken()).toEqual({ bytes: 12, sha256: sha256('out and out\n') });
  });
});
