import { describe, expect, it } from 'vitest';
import { createBoard } from '../../../src/daemon/board.ts';
import { reason } from '../../../src/story/reasons.ts';
import { ManualClock } from '../../fakes/manual-clock.ts';
import { StoryBench } from '../../fakes/story-bench.ts';

function setUp() {
  const clock = new ManualClock();
  const lines: unknown[] = [];
  const note = (message: string, fields?: object) => void lines.push([message, fields]);
  const board = createBoard({ clock, log: { debug: note, info: note, warn: note, error: note } });
  return { clock, board, lines };
}

const slot = reason('ERR_SLOT', 'all 4 slots are taken');

describe('the board', () => {
  it('says each change once, however often it is told (R20)', () => {
    const { clock, board, lines } = setUp();
    for (let times = 0; times < 3; times += 1) {
      board.tell('a', 'pending', { ...slot });
      clock.advance(1000);
    }
    expect(lines).toEqual([
      ['waiting', { id: 'a', state: 'pending', code: 'ERR_SLOT', reason: 'all 4 slots are taken' }],
    ]);
    board.tell('a', 'granting', null);
    board.tell('a', 'granting', null);
    expect(lines.slice(1)).toEqual([['goes on', { id: 'a', state: 'granting' }]]);
  });

  it('says since when it is so', () => {
    const { clock, board } = setUp();
    board.tell('a', 'pending', slot);
    clock.advance(5000);
    board.tell('a', 'pending', { ...slot });
    expect(board.line('a')?.since).toBe('2026-03-31T12:00:00.000Z');
    board.tell('a', 'pending', reason('ERR_SLOT', 'another message'));
    expect(board.line('a')).toMatchObject({
      since: '2026-03-31T12:00:05.000Z',
      reason: { message: 'another message' },
    });
  });

  it('forgets what is gone', () => {
    const { board } = setUp();
    board.tell('a', 'pending', slot);
    board.tell('b', 'running', null);
    board.gone('a');
    expect([board.line('a'), board.lines().map(({ id, state }) => [id, state])]).toEqual([
      undefined,
      [['b', 'running']],
    ]);
  });

  it('hands on and logs each result, and takes it off', async () => {
    const bench = new StoryBench();
    bench.engine.behaviours.set('a', { exitCode: 3 });
    bench.addAction('a');
    const told: string[] = [];
    const { log, daemon } = await bench.once({ onResult: ({ id, outcome }) => told.push(`${id} ${outcome}`) });
    expect(told).toEqual(['a failed']);
    expect(daemon.board.lines()).toEqual([]);
    expect(log.at(-1)).toEqual({
      level: 'info',
      message: 'recorded',
      fields: { id: 'a', outcome: 'failed', exit_code: 3, code: 'ERR_COMMAND_FAILED' },
    });
  });
});
