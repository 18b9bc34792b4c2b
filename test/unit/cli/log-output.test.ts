import { Writable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import type { Io } from '../../../src/cli/io.ts';
import { LogOutput } from '../../../src/cli/log-output.ts';
import { bytesOf } from '../../fakes/until.ts';

function ioOf(isTTY: boolean) {
  const written: Buffer[] = [];
  const stream = { write: (text: string | Uint8Array) => void written.push(Buffer.from(text)), isTTY };
  const io: Io = { cwd: '/', env: {}, stdout: stream, stderr: stream, signal: new AbortController().signal };
  return { io, bytes: () => Buffer.concat(written) };
}

describe('output of a run', () => {
  test('goes into a pipe byte for byte, whatever the bytes are', async () => {
    const { io, bytes } = ioOf(false);
    const output = new LogOutput(io, false);
    const raw = Buffer.from([0xff, 0x00, 0x1b, 0x5b, 0x32, 0x4a, 0x0d, 0x0a, 0xc3]);
    await output.put('stdout', raw);
    await output.end();
    expect(bytes()).toEqual(raw);
  });

  test('can not steer a terminal: colours and line ends pass, all else is shown as what it is', async () => {
    const { io, bytes } = ioOf(true);
    const output = new LogOutput(io, false);
    for (const chunk of ['\u001b[3', '1mred\u001b[0m\r', '\nclear \u001b[2J\u202Eevil\u0007 \rover']) {
      await output.put('stdout', Buffer.from(chunk));
    }
    await output.end();
    const red = '\u001b[31mred\u001b[0m\r\n';
    expect(bytes().toString()).toBe(`${red}clear \\u{001B}[2J\\u{202E}evil\\u{0007} \\u{000D}over\u001b[0m`);
  });

  test('goes on from the store where the engine was left, without a byte twice', async () => {
    const { io, bytes } = ioOf(false);
    const output = new LogOutput(io, false);
    output.begin('t', null);
    await output.put('stdout', Buffer.from('one\ntw'));
    await output.put('stderr', Buffer.from('half\n'));
    output.begin('t', null);
    await output.take('stdout', bytesOf('one\n', 'two\nthree\n'), { isProven: true });
    await output.take('stderr', bytesOf('half\nrest\n'), { isProven: true });
    await output.end();
    expect(bytes().toString()).toBe('one\ntwhalfo\nthree\n\nrest\n');
  });

  test('of another attempt starts anew', async () => {
    const { io, bytes } = ioOf(false);
    const output = new LogOutput(io, false);
    output.begin('first', null);
    await output.put('stdout', Buffer.from('aaaa'));
    output.begin('second', null);
    await output.take('stdout', bytesOf('bb'), { isProven: true });
    expect(bytes().toString()).toBe('aaaabb');
  });

  test('waits for a slow reader', async () => {
    let taken = 0;
    const slow = new Writable({
      highWaterMark: 4,
      write(chunk: Buffer, _encoding, done) {
        setImmediate(() => {
          taken += chunk.length;
          done();
        });
      },
    });
    const { io } = ioOf(false);
    const output = new LogOutput({ ...io, stdout: slow }, false);
    for (let chunk = 0; chunk < 10; chunk += 1) await output.put('stdout', Buffer.alloc(10));
    expect(taken).toBe(100);
  });
});
