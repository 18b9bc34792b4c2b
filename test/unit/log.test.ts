import { describe, expect, it } from 'vitest';
import { RefusedError, StalledError, TransientError } from '../../src/errors.ts';
import { createLog, type LogOptions, rateLimited } from '../../src/log.ts';
import type { Log } from '../../src/ports/log.ts';

const SECRET = 'tok3n/with"quotes+and=more';

function open(more: Partial<Omit<LogOptions, 'stream'>> & { isTTY?: boolean } = {}) {
  const written: string[] = [];
  const { isTTY = false, noColor = true, ...rest } = more;
  const stream = { write: (text: string) => written.push(text), isTTY };
  const sink = createLog({ stream, noColor, now: () => new Date('2026-11-21T03:04:05.678Z'), ...rest });
  const lines = () =>
    written
      .join('')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  return { ...sink, written, lines, text: () => written.join('') };
}

describe('a log line', () => {
  it('is one JSON object where no person looks', () => {
    const { log, lines } = open();
    const port: Log = log;
    port.info('run dispatched', { id: 'release-v120', attempt: 1 });
    expect(lines()).toEqual([
      { level: 'info', time: '2026-11-21T03:04:05.678Z', id: 'release-v120', attempt: 1, msg: 'run dispatched' },
    ]);
  });

  it('carries the fields that were bound, and its own', () => {
    const { log, lines } = open();
    log.child({ id: 'a' }).child({ attempt: 2 }).warn('waiting', { code: 'ERR_SLOT' });
    expect(lines()).toMatchObject([{ level: 'warn', id: 'a', attempt: 2, code: 'ERR_SLOT', msg: 'waiting' }]);
  });

  it('is written from the level on that was asked for', () => {
    const { log, lines } = open({ level: 'warn' });
    for (const level of ['debug', 'info', 'warn', 'error'] as const) log[level](level);
    expect(lines().map((line) => line['msg'])).toEqual(['warn', 'error']);
  });

  it('leaves out headers, bodies and what a payload holds, wherever a caller has put them (R14)', () => {
    const { log, text } = open();
    const hidden = { headers: { authorization: 'x-hidden' }, body: 'x-hidden', wrapping_token: 'x-hidden' };
    log.error('request failed', { ...hidden, response: hidden, deep: { request: hidden }, status: 503 });
    expect(text()).not.toContain('x-hidden');
    expect(text()).toContain('"status":503');
  });

  it('holds no character that changes how the text around it is shown, and loses none', () => {
    const name = 'a\u202Eb\u009B31m\u2028c\u{E0041}\n\u001b[2J';
    const { log, written, lines } = open();
    log.info('seen', { name });
    expect(written.join('')).toMatch(/^[\x20-\x7e]+\n$/);
    expect(lines()[0]?.['name']).toBe(name);
  });
});

describe('an error in a log line', () => {
  it('of ours has code, class, hint and message, the codes of its causes, and no stack', () => {
    const refusedByPeer = Object.assign(new Error('connect 10.0.0.1'), { code: 'ECONNREFUSED' });
    const cause = new TransientError('ERR_GIT_UNAVAILABLE', 'git is away', { cause: refusedByPeer });
    const { log, lines } = open();
    log.warn('look failed', { err: new StalledError('ERR_PUSH_FORBIDDEN', 'no right to push', { cause }) });
    expect(lines()[0]?.['err']).toEqual({
      code: 'ERR_PUSH_FORBIDDEN',
      class: 'stalled',
      message: 'no right to push',
      hint: 'Give the dispatcher the right to push to branch and journal ref.',
      causes: ['ERR_GIT_UNAVAILABLE', 'ECONNREFUSED'],
    });
  });

  it('of nobody has its stack, as ERR_INTERNAL', () => {
    const { log, lines } = open();
    log.error('bug', { err: new TypeError('x is not a function', { cause: new RangeError('y') }) });
    expect(lines()[0]?.['err']).toEqual({
      code: 'ERR_INTERNAL',
      class: 'bug',
      name: 'TypeError',
      message: 'x is not a function',
      causes: ['RangeError'],
      stack: expect.stringContaining('log.test.ts'),
    });
  });

  it('of ours with the code ERR_INTERNAL has its stack too', () => {
    const { log, lines } = open();
    log.error('bug', { err: new RefusedError('ERR_INTERNAL', 'odd') });
    expect(lines()[0]?.['err']).toMatchObject({ code: 'ERR_INTERNAL', stack: expect.stringContaining('odd') });
  });

  it('with causes in a circle ends', () => {
    const error = new Error('a');
    error.cause = error;
    const { log, lines } = open();
    log.error('bug', { err: error });
    expect(lines()[0]?.['err']).toMatchObject({ causes: Array.from({ length: 10 }, () => 'Error') });
  });
});

describe('a registered secret (R14)', () => {
  const encodings: readonly (readonly [string, string])[] = [
    ['raw', SECRET],
    ['in base64', Buffer.from(SECRET).toString('base64')],
    ['in base64 after other bytes', Buffer.from(`user:${SECRET}`).toString('base64')],
    ['in a URL', encodeURIComponent(SECRET)],
    ['in JSON', JSON.stringify({ token: SECRET })],
  ];

  it.each(encodings)('is masked %s, in messages, fields, bound fields and errors', (_, encoded) => {
    const { log, registerSecret, text, lines } = open();
    registerSecret(SECRET, 'git token');
    const error = new StalledError('ERR_GIT_DENIED', `no: ${encoded}`, { hint: encoded });
    log.child({ bound: encoded }).warn(`message ${encoded}`, { field: { deep: [encoded] }, err: error });
    log.error('bug', { err: new Error(encoded) });
    expect(lines()).toHaveLength(2);
    expect(text()).not.toContain(JSON.stringify(encoded).slice(1, -1));
    expect(text().match(/\[masked:git token\]/g)?.length).toBeGreaterThanOrEqual(7);
  });

  it('is masked on a terminal too', () => {
    const { log, registerSecret, text } = open({ isTTY: true });
    registerSecret(SECRET);
    log.warn('x', { a: SECRET, err: new Error(SECRET) });
    expect(text()).not.toContain('tok3n');
  });

  it('is masked however short, and an empty one masks nothing', () => {
    const { log, registerSecret, lines } = open();
    registerSecret('ab"c');
    registerSecret('  \n');
    log.info('say ab"c', { a: 'plain' });
    expect(lines()).toMatchObject([{ msg: 'say [masked]', a: 'plain' }]);
  });

  it('is found without the line end of its file', () => {
    const { log, registerSecret, text } = open();
    registerSecret(`${SECRET}\n`);
    log.info(`Basic ${SECRET}!`);
    expect(text()).not.toContain('tok3n');
  });

  it('that breaks the line when masked has the whole line withheld', () => {
    const { log, registerSecret, lines } = open();
    registerSecret('4711471');
    log.info('counted', { bytes: 47114711 });
    expect(lines()).toEqual([{ level: 'warn', msg: expect.stringContaining('withheld') }]);
  });
});

describe('on a terminal', () => {
  it('a line is short, with its fields behind it', () => {
    const { log, text } = open({ isTTY: true });
    log.info('run dispatched', { id: 'a', note: 'two words', n: 3 });
    expect(text()).toBe('03:04:05 INFO  run dispatched  id=a note="two words" n=3\n');
  });

  it('an error says below what happened and what to do', () => {
    const { log, text } = open({ isTTY: true });
    const cause = new TransientError('ERR_GIT_UNAVAILABLE', 'away');
    log.warn('push failed', { err: new StalledError('ERR_PUSH_FORBIDDEN', 'no right', { hint: 'Ask.', cause }) });
    expect(text()).toBe('03:04:05 WARN  push failed\n  ERR_PUSH_FORBIDDEN: no right (ERR_GIT_UNAVAILABLE)\n  → Ask.\n');
  });

  it('the stack of a bug stands below it', () => {
    const { log, text } = open({ isTTY: true });
    log.error('bug', { err: new Error('odd') });
    expect(text()).toMatch(/ {2}ERR_INTERNAL: odd\n {2}at .*log\.test\.ts/);
  });

  it('there are colours, unless NO_COLOR is set', () => {
    const [coloured, plain] = [open({ isTTY: true, noColor: false }), open({ isTTY: true, noColor: true })];
    for (const { log } of [coloured, plain]) log.warn('x');
    expect(coloured.text()).toContain('\u001b[33mWARN \u001b[0m');
    expect(plain.text()).not.toContain('\u001b');
  });

  it('text of the repo can not move the cursor or turn the line round', () => {
    const { log, text } = open({ isTTY: true });
    log.warn('x\u001b[2J', { name: '\u202Eevil\u001b]0;x', err: new Error('m\r\u009B') });
    expect(text().replaceAll('\n', '')).toMatch(/^[^\p{Cc}\p{Cf}]*$/u);
    expect(text()).toContain('\\u{202E}evil');
  });
});

describe('rateLimited', () => {
  function limited() {
    const sink = open();
    let now = 0;
    const byKey = rateLimited(sink.log, { monotonic: () => now });
    return { ...sink, byKey, pass: (ms: number) => (now += ms) };
  }

  it('says at most one line per service and 30 s, and the next tells how many were not said (R20)', () => {
    const { byKey, pass, lines } = limited();
    for (let second = 0; second < 60; second += 1) {
      byKey('git').warn('git is away', { second });
      pass(1000);
    }
    byKey('git').warn('git is away', { second: 60 });
    expect(lines().map(({ second, unsaid }) => [second, unsaid])).toEqual([
      [0, undefined],
      [30, 29],
      [60, 29],
    ]);
  });

  it('counts each service for itself, and children with their parent', () => {
    const { byKey, lines } = limited();
    byKey('git').warn('a');
    byKey('engine').warn('b');
    byKey('git').child({ id: 'x' }).error('c');
    expect(lines().map((line) => line['msg'])).toEqual(['a', 'b']);
  });
});
