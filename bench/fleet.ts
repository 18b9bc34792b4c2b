import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { attemptToken, blobOid, isActionId, oid, sha256 } from '../src/domain/ids.ts';
import { entryPath, type JournalEntry } from '../src/domain/journal.ts';
import { type FakeServices, fakeServices } from '../test/fakes/fake-services.ts';
import { GitHttpServer } from '../test/fakes/git-http-server.ts';
import { git } from '../test/fakes/git-repo.ts';
import { scriptedDriver } from '../test/fakes/nomad/scripted-driver.ts';
import { openStage, type Stage } from '../test/fakes/stage.ts';
import { until } from '../test/fakes/until.ts';
import { cost, cpuMs, memory } from './measure.ts';
import { action, finishedActions, importFiles, makeScan } from './ops.ts';
import type { Figure } from './table.ts';

/*
 * The built program as a process of its own, with runs that go on at the fake Nomad (which lives in this process): how
 * long a start takes until each is followed, what it costs to follow them, and how much memory.
 */

const POLL_SECONDS = 1;
/** After a start, until memory and load are those of the long run. */
const SETTLE_MS = 8_000;
const WATCHED_MS = 15_000;
/** Between two looks at whether all are followed. */
const ASKED_MS = 250;

interface Fleet {
  readonly finished: number;
  readonly live: number;
}

interface Measured {
  readonly adoptedMs: number;
  readonly memory: { readonly now: number; readonly highest: number };
  /** Of a second in which nothing happens. */
  readonly cpu: number;
  readonly polls: number;
  readonly scanCpu: number;
}

/** Start-up with 1,000 live runs; then the long run with 5,000, by the number of finished actions. */
export async function benchFleet(): Promise<readonly Figure[]> {
  const start = await measure({ finished: 10, live: 1000 });
  const few = await measure({ finished: 10, live: 5000 });
  const many = await measure({ finished: 10_000, live: 5000 });
  return [
    {
      name: 'start with 1000 live runs on Nomad until all are followed',
      value: start.adoptedMs,
      unit: 'ms',
      target: '5000 ms',
    },
    {
      name: 'start with 5000 live runs and 10000 finished until all are followed',
      value: many.adoptedMs,
      unit: 'ms',
      target: null,
    },
    {
      name: 'memory (RSS) with 5000 live and 10000 finished',
      value: many.memory.now,
      unit: 'MiB',
      target: 'under 150 MiB',
    },
    { name: 'the same at its highest', value: many.memory.highest, unit: 'MiB', target: null },
    {
      name: 'CPU of a second with 5000 live and 10 finished',
      value: few.cpu,
      unit: 'ms',
      target: null,
      baseline: few.scanCpu,
    },
    {
      name: 'CPU of a second with 5000 live and 10000 finished',
      value: many.cpu,
      unit: 'ms',
      target: null,
      baseline: many.scanCpu,
    },
    {
      name: 'the one to the other',
      value: many.cpu / few.cpu,
      unit: 'times',
      target: '1.1 times',
      baseline: many.scanCpu / few.scanCpu,
    },
  ];
}

async function measure(fleet: Fleet): Promise<Measured> {
  const services = await fakeServices(scriptedDriver({ held: true }));
  const stage = await openStage(services, {
    driver: 'raw_exec',
    secretCount: 0,
    formulas: () => ({ nothing: { script: 'true' } }),
    more: '[limits]\nin_flight = 6000\ndispatches_per_minute = 100000\n',
  });
  const server = await GitHttpServer.start({ root: stage.bench.dir });
  try {
    await prepare(fleet, stage, services);
    const metrics = await configure(stage, server);
    const begin = performance.now();
    const daemon = stage.start();
    const pid = daemon.child.pid ?? 0;
    const isDone = async () => {
      // A page of metrics costs the daemon some milliseconds, which are no part of the figure.
      await pause(ASKED_MS);
      return (await running(metrics)) === fleet.live || null;
    };
    await until(`${fleet.live} runs are followed`, isDone, 300_000).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${daemon.stdout().slice(-2000)}${daemon.stderr().slice(-2000)}`);
    });
    const adoptedMs = performance.now() - begin;
    await pause(SETTLE_MS);
    server.forget();
    const before = await cpuMs(pid);
    await pause(WATCHED_MS);
    const cpu = ((await cpuMs(pid)) - before) / (WATCHED_MS / 1000);
    const polls = server.requests.length;
    const held = await memory(pid);
    daemon.child.kill('SIGKILL');
    await daemon.ended;
    const scan = await makeScan(stage.bench.dir, `${server.origin}/${path.basename(stage.bench.remote)}`);
    const scanned = await cost(5, scan);
    return { adoptedMs, memory: held, cpu, polls, scanCpu: scanned.cpu / POLL_SECONDS };
  } finally {
    await server.close();
    await stage.remove();
    await services.close();
  }
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Reached by HTTP, and with a page of metrics: its address. */
async function configure({ bench }: Stage, server: GitHttpServer): Promise<string> {
  const port = await freePort();
  const text = await readFile(bench.configFile, 'utf8');
  const changed = text
    .replace(JSON.stringify(bench.remote), JSON.stringify(`${server.origin}/${path.basename(bench.remote)}`))
    .replace('listen = ""', `listen = "127.0.0.1:${port}"`)
    .replace(/poll_seconds = [0-9.]+/, `poll_seconds = ${POLL_SECONDS}`);
  await writeFile(bench.configFile, changed);
  return `http://127.0.0.1:${port}/metrics`;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() =>
        address === null || typeof address === 'string' ? reject(new Error('no port')) : resolve(address.port),
      );
    });
  });
}

async function running(metrics: string): Promise<number> {
  const page = await fetch(metrics).then(
    (response) => response.text(),
    () => '',
  );
  return Number(/^edge_dispatcher_attempts\{[^}]*"running"[^}]*\} (\d+)/m.exec(page)?.[1] ?? 0);
}

/** What an earlier process of this dispatcher left: actions, claims, notes, and runs at the engine. */
async function prepare({ finished, live }: Fleet, { bench }: Stage, services: FakeServices): Promise<void> {
  const ids = Array.from({ length: live }, (_, index) => `live-${index}`);
  const actions = new Map(ids.map((id) => [`vault/actions/${id}.toml`, action(id, 'nothing')]));
  await importFiles(bench.remote, new Map([...finishedActions(finished, 'nothing'), ...actions]));
  const root = oid((await git(['rev-list', '--max-parents=0', 'main'], { GIT_DIR: bench.remote })).trim());
  const runs = path.join(bench.stateDir, 'runs');
  await mkdir(runs, { recursive: true });
  const entries = new Map<string, string>();
  for (const [file, text] of actions) {
    const entry = claim(path.basename(file, '.toml'), text, { root, services });
    entries.set(entryPath(entry.id), `${JSON.stringify(entry, null, 2)}\n`);
    await writeFile(path.join(runs, `${entry.token}.json`), JSON.stringify(note(entry, file)), { mode: 0o600 });
  }
  await importFiles(bench.remote, entries, 'refs/dispatcher/journal');
}

interface At {
  readonly root: ReturnType<typeof oid>;
  readonly services: FakeServices;
}

function claim(id: string, text: string, { root, services }: At): JournalEntry {
  if (!isActionId(id)) throw new Error('no id of an action');
  const blob = blobOid(Buffer.from(text), 'sha1');
  const token = attemptToken({ repo: root, id, blob, attempt: 1 });
  const payload = randomBytes(1500);
  const child = services.fakeNomad.foreignChild({
    parent: 'vault-runner',
    token,
    payload: payload.toString('base64'),
    meta: { action_id: id, attempt: '1', formula: 'nothing', mounts: '', secrets_csv: '' },
  });
  return {
    id,
    blob,
    formula_blob: blob,
    attempt: 1,
    token,
    dispatcher: 'stage',
    instance: 'the one before',
    claimed_at: new Date().toISOString(),
    timeout_seconds: 3600,
    state: 'dispatched',
    engine: 'nomad',
    group: null,
    payload_sha256: sha256(payload),
    run_id: child.ID,
    accessors: [],
  };
}

function note(entry: JournalEntry, file: string) {
  const now = new Date().toISOString();
  return {
    v: 1,
    entry,
    claimed: true,
    request: null,
    unstarted: false,
    trailer_key: randomBytes(16).toString('hex'),
    grant: {
      accessor: randomBytes(12).toString('hex'),
      policies: ['edge-run'],
      issued_at: now,
      expires_at: now,
      revoked_at: null,
    },
    action: { path: file, blob: entry.blob, commit: entry.blob, sha256: null, committed_at: now },
    formula: { name: 'nothing', blob: entry.formula_blob, tier: 'low' },
    approval: null,
    dispatched_at: now,
    attempts: [],
  };
}
