import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import type { DaemonBench } from './daemon-bench.ts';
import { until } from './until.ts';

/** The state directory of a bench on a file system of a few megabytes, which only its daemons see. */
export interface TinyDisk {
  /** The daemon, with its state there. */
  start(): { readonly child: ChildProcess; readonly ended: Promise<number | null>; stderr(): string };
  /** Not one byte more fits. */
  fill(): void;
  free(): void;
  /** Kills the daemons; what was on the disk is gone. */
  remove(): Promise<void>;
}

const SIZE = '12m';
const CHUNK = Buffer.alloc(64 * 1024, 1);

/**
 * A tmpfs in a mount namespace of its own: for root as it is, for others in a user namespace. Throws where the
 * machine permits neither: a real file system is what is to be full.
 */
export async function tinyDisk(bench: DaemonBench): Promise<TinyDisk> {
  const asRoot = process.getuid?.() === 0;
  const own = asRoot ? ['--mount'] : ['--user', '--map-root-user', '--mount'];
  const script = `mount -t tmpfs -o size=${SIZE},mode=0711 tmpfs "$1" && mkdir -m 0700 "$1/secrets" && echo ready && exec cat`;
  const holder = spawn('unshare', [...own, 'sh', '-c', script, 'sh', bench.stateDir], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const held = new Promise((resolve) => holder.once('close', resolve));
  let said = '';
  holder.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString('utf8');
  });
  await until('the disk is there, which takes root or a user namespace', () => said.includes('ready'));
  const filler = path.join('/proc', String(holder.pid), 'root', bench.stateDir, 'filler');
  const join = ['--target', String(holder.pid), '--mount', ...(asRoot ? [] : ['--user', '--preserve-credentials'])];
  const daemons: { readonly child: ChildProcess; readonly ended: Promise<number | null> }[] = [];
  return {
    start() {
      const program = [process.execPath, path.resolve('dist/main.js'), 'run', '--config', bench.configFile];
      const child = spawn('nsenter', [...join, '--', ...program], {
        cwd: bench.dir,
        env: { PATH: process.env['PATH'] ?? '', NO_COLOR: '1' },
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      let text = '';
      child.stderr.on('data', (chunk: Buffer) => {
        text += chunk.toString('utf8');
      });
      const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
      daemons.push({ child, ended });
      return { child, ended, stderr: () => text };
    },
    fill: () => writeUntilFull(filler),
    free: () => rmSync(filler),
    async remove() {
      for (const { child, ended } of daemons) {
        child.kill('SIGKILL');
        await ended;
      }
      holder.stdin.end();
      await held;
    },
  };
}

function writeUntilFull(file: string): void {
  const handle = openSync(file, 'a');
  try {
    for (let size = CHUNK.length; size >= 1; ) {
      try {
        writeSync(handle, CHUNK, 0, size);
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
        size = Math.floor(size / 2);
      }
    }
  } finally {
    closeSync(handle);
  }
}
