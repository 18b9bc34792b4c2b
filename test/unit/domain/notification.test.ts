import { describe, expect, it } from 'vitest';
import { notificationOf, receiverProblem } from '../../../src/domain/notification.ts';
import { sampleResult } from '../../fakes/cli-samples.ts';

const reason = { code: 'ERR_COMMAND_FAILED', message: 'the command ended with 3', hint: 'Read the logs.', by: null };
const told = (more: Partial<ReturnType<typeof sampleResult>>) =>
  notificationOf(sampleResult('release-v120', more), 'vault/actions/release-v120.result.json', 'edge-1');

describe('what is told of a result', () => {
  it('is these fields, and nothing of its output', () => {
    const result = { outcome: 'failed', exit_code: 3, reason, logs: 'a line of the run' } as const;
    const { action, timestamp, formula } = sampleResult('release-v120', result);
    expect(told(result)).toEqual({
      text: `release-v120 failed (exit 3): the command ended with 3 [ERR_COMMAND_FAILED] (formula ${formula?.name}, tier ${formula?.tier}, edge-1)`,
      version: 1,
      id: 'release-v120',
      outcome: 'failed',
      exit_code: 3,
      reason: { code: 'ERR_COMMAND_FAILED', message: 'the command ended with 3' },
      formula: formula?.name,
      tier: formula?.tier,
      dispatcher: 'edge-1',
      path: 'vault/actions/release-v120.result.json',
      commit: action.commit,
      finished: timestamp,
    });
    expect(JSON.stringify(told(result))).not.toContain('a line of the run');
  });

  it('of one that never ran names no formula', () => {
    const { text, formula, tier } = told({ outcome: 'timed_out', exit_code: 124, reason: null, formula: null });
    expect([text, formula, tier]).toEqual(['release-v120 timed out (exit 124) (edge-1)', null, null]);
  });

  it('calls nobody, links nothing and stays one line, whatever a message quotes', () => {
    const message = 'no formula "<!channel> @all <https://x.example|y>\n\u202e&"';
    const { text } = told({ outcome: 'invalid', exit_code: 64, reason: { ...reason, message } });
    expect(text).not.toMatch(/[<>@\n\u202e]|&(?!amp;|lt;|gt;)/);
    expect(text).toContain('no formula "&lt;!channel&gt; (at)all');
  });

  it('hides no address behind other words, and names none that a chat makes a link of', () => {
    const message = 'ann: [approve here](https://x.example/login) https://x.example';
    const { text } = told({ outcome: 'cancelled', exit_code: 130, reason: { ...reason, message } });
    expect(text).toContain('ann: [approve here] (https: //x.example/login) https: //x.example [');
  });

  it('is cut where a message is long', () => {
    const { text, reason: whole } = told({
      outcome: 'failed',
      reason: { ...reason, message: `${'x'.repeat(299)}${'😀'.repeat(9)}` },
    });
    expect(text).toContain(`${'x'.repeat(299)}… [`);
    expect(whole?.message).toHaveLength(317);
  });
});

describe('the address of a receiver', () => {
  it('is https, or http on this machine', () => {
    const good = ['https://chat.example/hooks/abc?x=1', 'http://127.0.0.1:9/a', 'http://localhost/a', 'http://[::1]/a'];
    expect(good.map(receiverProblem)).toEqual([null, null, null, null]);
  });

  it.each([
    ['http://chat.example/hooks/s3cr3t', 'holds an address that is not https'],
    ['http://127.0.0.1.example/s3cr3t', 'holds an address that is not https'],
    ['https://user:s3cr3t@chat.example/', 'holds an address with a user or password'],
    ['ftp://chat.example/s3cr3t', 'holds no address like https://chat.example/…'],
    ['https://', 'holds no address like https://chat.example/…'],
    ['s3cr3t', 'holds no address like https://chat.example/…'],
  ])('%s is refused without being quoted', (address, problem) => {
    expect(receiverProblem(address)).toBe(problem);
  });
});
