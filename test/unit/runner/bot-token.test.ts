import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { takeBotToken } from '../../../src/runner/bot-token.ts';

const TOKEN = '3f9c2a7be0d14c55a8e6b1f2';
const MASKED = { unmasked: false };
/** Nobody, and not us. */
const STRANGER = { uid: 65_533, gid: 65_533 };
/** The kernel lets nobody delete it; it is ours and for our eyes only, and says `00000000`. */
const UNDELETABLE = '/proc/self/personality';

let directory: string;
let file: string;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'bot-token-'));
  file = path.join(directory, 'bot-token');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe("the bot's token", () => {
  it('is a secret of its own name, without one final newline, and its file is gone (S2.1)', () => {
    writeFileSync(file, `${TOKEN}\n`);
    chmodSync(file, 0o400);
    expect(takeBotToken(file, MASKED, null)).toEqual({ name: 'EDGE_BOT_TOKEN', value: TOKEN });
    expect(existsSync(file)).toBe(false);
  });

  it.each([
    ['ERR_SECRET_EMPTY', '', 'is empty in'],
    ['ERR_SECRET_EMPTY', '\n', 'is empty in'],
    ['ERR_SECRET_UNMASKABLE', 'hunter2', 'EDGE_BOT_TOKEN is shorter than 8 bytes'],
    ['ERR_SECRET_UNMASKABLE', `${TOKEN}\0`, 'EDGE_BOT_TOKEN holds a NUL'],
    ['ERR_SECRET_UNMASKABLE', Buffer.from([0xff, ...Buffer.from(TOKEN)]), 'EDGE_BOT_TOKEN is not UTF-8 text'],
  ])('ends the run with %s where the file holds %j', (reason, content, message) => {
    writeFileSync(file, content);
    const take = () => takeBotToken(file, MASKED, null);
    expect(take).toThrow(expect.objectContaining({ reason, message: expect.stringContaining(message) }));
    expect(existsSync(file)).toBe(false);
  });

  it('may be short where the formula says unmasked', () => {
    writeFileSync(file, 'hunter2');
    expect(takeBotToken(file, { unmasked: true }, null).value).toBe('hunter2');
  });

  it('that was not rendered is told from one that is no file of its own', () => {
    expect(() => takeBotToken(file, MASKED, null)).toThrow(expect.objectContaining({ reason: 'ERR_SECRET_MISSING' }));
    const elsewhere = path.join(directory, 'elsewhere');
    writeFileSync(elsewhere, TOKEN);
    symlinkSync(elsewhere, file);
    const link = () => takeBotToken(file, MASKED, null);
    expect(link).toThrow(expect.objectContaining({ reason: 'ERR_SECRET_DENIED' }));
    expect(existsSync(elsewhere)).toBe(true);
    rmSync(file);
    mkdirSync(file);
    expect(link).toThrow(expect.objectContaining({ reason: 'ERR_SECRET_DENIED' }));
  });

  it("that stays on the disk is taken only where its mode keeps the command's user out", () => {
    const take = (name: string, user: typeof STRANGER | null) => takeBotToken(name, { unmasked: true }, user);
    expect(take(UNDELETABLE, STRANGER).value).toBe('00000000');
    const owner = { uid: process.getuid?.() ?? 0, gid: STRANGER.gid };
    for (const attempt of [
      () => take(UNDELETABLE, null),
      () => take(UNDELETABLE, owner),
      () => take('/proc/self/comm', STRANGER),
    ]) {
      expect(attempt).toThrow(expect.objectContaining({ reason: 'ERR_RUNNER' }));
      expect(attempt).toThrow('and the command could read it; nothing was started');
    }
  });
});
