import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readSecretLine } from '../../../src/adapters/secret-file.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'edge-secret-line-'));
});
afterEach(() => rm(dir, { recursive: true }));

async function read(content: string, mode = 0o600) {
  const file = path.join(dir, 'secret');
  await rm(file, { force: true });
  await writeFile(file, content, { mode });
  const line = await readSecretLine(file);
  return line.ok ? line.secret.reveal() : line;
}

describe('a file with one secret', () => {
  it('gives its first line, and is read anew each time', async () => {
    expect(await read('one\n')).toBe('one');
    expect(await read('  two  \r\nmore\n')).toBe('two');
    expect(await read('three')).toBe('three');
  });

  it('is refused when others may read it, without a word of what is in it', async () => {
    expect(await read('one', 0o640)).toEqual({
      ok: false,
      problem: 'may be read by others than its owner (chmod 600)',
    });
  });

  it('is refused when it is not there, empty, no file or too long', async () => {
    expect(await readSecretLine(path.join(dir, 'none'))).toEqual({ ok: false, problem: 'is not there' });
    expect(await read(' \n')).toEqual({ ok: false, problem: 'is empty' });
    expect(await readSecretLine(dir)).toEqual({ ok: false, problem: 'is no file' });
    expect(await read('x'.repeat(4097))).toEqual({ ok: false, problem: 'holds a line of more than 4 KiB' });
    expect(await read(`${'x'.repeat(4096)}\n`)).toBe('x'.repeat(4096));
  });

  it('may be a link, as mounted secrets are', async () => {
    await read('one');
    await symlink('secret', path.join(dir, 'link'));
    expect((await readSecretLine(path.join(dir, 'link'))).ok).toBe(true);
  });
});
