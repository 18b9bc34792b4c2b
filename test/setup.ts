import { syncBuiltinESMExports } from 'node:module';
import process from 'node:process';
import timers from 'node:timers';
import timersPromises from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';

/**
 * Every test process runs in a closed environment (no git configuration, no credentials or addresses of the person at
 * the keyboard) and has to put away what it opened: a test that leaves a server, socket, subprocess or timer fails.
 * Contract tests that can use a real Nomad or Vault get its variables by `inject('realServices')`.
 */

declare module 'vitest' {
  interface ProvidedContext {
    realServices: Readonly<Record<string, string>>;
  }
}

// Vitest asks for a hundred frames of every error, also of those that nobody looks at: a sixth of what some files cost.
Error.stackTraceLimit = 10;

// The environment

const FOREIGN = /^(EDGE|NOMAD|VAULT|BAO|FORGE|GIT|SSH)_/;
for (const name of Object.keys(process.env)) {
  if (FOREIGN.test(name)) delete process.env[name];
}
Object.assign(process.env, {
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_SYSTEM: '/dev/null',
  GIT_TERMINAL_PROMPT: '0',
  LANG: 'C.UTF-8',
  TZ: 'UTC',
});

// What is open

const GRACE_MS = 1_000;
const POLL_MS = 20;
const KINDS = ['TCPServerWrap', 'TCPSocketWrap', 'PipeWrap', 'ProcessWrap', 'FSEventWrap'];
const CONNECTIONS = ['TCPSocketWrap', 'PipeWrap'];

interface Census {
  readonly counts: ReadonlyMap<string, number>;
  readonly timers: ReadonlySet<object>;
}

const pause = timersPromises.setTimeout;
const openTimers = trackTimers();
let beforeFile: Census;
let beforeTest: Census;

beforeAll(() => {
  beforeFile = census();
});

beforeEach(() => {
  beforeTest = census();
});

afterEach(async () => {
  // A server older than the test (beforeAll) may keep idle connections: they are counted at the end of the file.
  const hasServer = (beforeTest.counts.get('TCPServerWrap') ?? 0) > 0;
  await expectPutAway(beforeTest, hasServer ? KINDS.filter((kind) => !CONNECTIONS.includes(kind)) : KINDS, 'This test');
});

afterAll(async () => {
  await expectPutAway(beforeFile, KINDS, 'This test file');
});

async function expectPutAway(before: Census, kinds: readonly string[], who: string): Promise<void> {
  const start = performance.now();
  let left = surplus(before, kinds);
  while (left.length > 0 && performance.now() - start < GRACE_MS) {
    await pause(POLL_MS);
    left = surplus(before, kinds);
  }
  if (left.length > 0) throw new Error(`${who} left open: ${left.join('; ')}`);
}

function census(): Census {
  const counts = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo()) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return { counts, timers: new Set(openTimers().keys()) };
}

function surplus(before: Census, kinds: readonly string[]): string[] {
  const { counts } = census();
  const more = kinds.map((kind) => [kind, (counts.get(kind) ?? 0) - (before.counts.get(kind) ?? 0)] as const);
  const late = [...openTimers()]
    .filter(([timer]) => !before.timers.has(timer))
    .map(([, where]) => `timer made ${lineOf(where)}`);
  return [...more.filter(([, count]) => count > 0).map(([kind, count]) => `${kind} × ${count}`), ...late];
}

/**
 * Counting Timeouts would count vitest's own, which come and go. Vitest took its timer functions before this file was
 * loaded, so what goes through the functions put in place here belongs to the test. Answers with each timer that keeps
 * the process alive, and the line that made it.
 */
function trackTimers(): () => ReadonlyMap<object, Where> {
  const made = new Map<object, Where>();

  for (const name of ['setTimeout', 'setInterval'] as const) {
    const real = timers[name] as (...args: unknown[]) => NodeJS.Timeout;
    const tracked = (...args: unknown[]): NodeJS.Timeout => {
      const timer = real(...args);
      made.set(timer, callerOf(tracked));
      return timer;
    };
    Object.defineProperties(tracked, Object.getOwnPropertyDescriptors(real));
    Object.assign(timers, { [name]: tracked });
    Object.assign(globalThis, { [name]: tracked });
  }

  const realPause = timersPromises.setTimeout;
  timersPromises.setTimeout = async (delay, value, options) => {
    const promise = realPause(delay, value, options);
    if (options?.ref !== false) made.set(promise, callerOf(timersPromises.setTimeout));
    return await promise.finally(() => made.delete(promise));
  };
  syncBuiltinESMExports();

  return () => {
    for (const timer of made.keys()) if (isOver(timer)) made.delete(timer);
    return made;
  };
}

function isOver(timer: object): boolean {
  if (timer instanceof Promise) return false;
  // No public property tells whether a timer fired or was cleared; this one is the same from Node 20 to 24.
  const timeout = timer as NodeJS.Timeout & { readonly _destroyed: boolean };
  return timeout._destroyed || !timeout.hasRef();
}

/** A stack is put into words, with source maps, when it is read: far too dear for each of many thousand timers. */
interface Where {
  readonly stack?: string;
}

function callerOf(callee: (...args: never[]) => unknown): Where {
  const where: Where = {};
  Error.captureStackTrace(where, callee);
  return where;
}

function lineOf({ stack }: Where): string {
  return stack?.split('\n')[1]?.trim() ?? 'somewhere';
}
