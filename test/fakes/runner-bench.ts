import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { blobOid } from '../../src/domain/ids.ts';
import { type AccessFragment, encodePayload, type Payload } from '../../src/domain/payload.ts';
import { type Exit, exitSchema, type Host, RUN_FILES } from '../../src/domain/run-directory.ts';
import { TICKET_CREATION_PATH, type Ticket, ticketFile } from '../../src/domain/ticket.ts';
import { splitTrailer, type Trailer } from '../../src/domain/trailer.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');

export interface RunPlan {
  /** TOML of the formula but for name and description. */
  readonly formula: string;
  /** More TOML of the action. */
  readonly action?: string;
  /** Stored values of what the action names; null: not stored. */
  readonly secrets?: Readonly<Record<string, string | Uint8Array | null>>;
  readonly payload?: Partial<Payload>;
  readonly ticket?: Partial<Ticket>;
  readonly host?: Partial<Host>;
}

export interface PreparedRun {
  readonly directory: string;
  readonly payload: Payload;
  /** The unread ticket's file. */
  readonly ticket: string;
  secretFile(name: string): string;
}

/** A run as Nomad starts it: the payload in a file, streams kept by others. */
export interface PreparedJob {
  readonly directory: string;
  readonly payload: Payload;
  readonly payloadFile: string;
}

export interface RunResult {
  readonly code: number | null;
  readonly stdout: string;
  /** Without the trailer. */
  readonly stderr: string;
  readonly trailer: Trailer | null;
  readonly exit: Exit | null;
}

/** The real runner as a process of its own, and run directories as the subprocess engine makes them. */
export class RunnerBench {
  readonly root = mkdtempSync(path.join(tmpdir(), 'runner-bench-'));
  readonly program = isBuilt() ? BUILT : build(this.root);
  readonly #children = new Set<ChildProcess>();

  constructor() {
    // The command's own user has to pass.
    chmodSync(this.root, 0o711);
  }

  prepare(plan: RunPlan): PreparedRun {
    const token = randomBytes(16).toString('hex');
    const directory = path.join(this.root, 'runs', token);
    const secretFile = (name: string): string => path.join(directory, `secret-${name}`);
    mkdirSync(directory, { recursive: true, mode: 0o711 });
    const secrets = Object.entries(plan.secrets ?? {});
    for (const [name, value] of secrets) {
      if (value !== null) writeFileSync(secretFile(name), value, { mode: 0o600 });
    }
    const names = secrets.map(([name]) => name);
    const payload = makePayload(plan, { token, names, tickets: directory });
    const ticket = path.join(directory, ticketFile(payload.access.wrapping_token));
    writeFileSync(ticket, JSON.stringify(makeTicket(plan, payload, secretFile)), { mode: 0o600 });
    const host: Host = { mounts: {}, run_as: null, grace_ms: 2_000, ...plan.host };
    writeFileSync(path.join(directory, RUN_FILES.host), JSON.stringify(host), { mode: 0o600 });
    this.writePayload(directory, payload);
    return { directory, payload, ticket, secretFile };
  }

  writePayload(directory: string, payload: Payload): void {
    writeFileSync(path.join(directory, RUN_FILES.payload), encodePayload(payload), { mode: 0o600 });
  }

  /** A job's payload; `access`: by whom and how its wrapper is minted. */
  async prepareJob(plan: RunPlan, access: (payload: Payload) => Promise<AccessFragment>): Promise<PreparedJob> {
    const token = randomBytes(16).toString('hex');
    const made = makePayload(plan, { token, names: Object.keys(plan.secrets ?? {}), tickets: '/' });
    return this.placeJob({ ...made, access: await access(made) });
  }

  /** Puts the payload's file where nothing else is; of one payload as often as wanted. */
  placeJob(payload: Payload): PreparedJob {
    const directory = path.join(this.root, 'jobs', randomBytes(8).toString('hex'));
    mkdirSync(directory, { recursive: true, mode: 0o755 });
    this.writePayload(directory, payload);
    return { directory, payload, payloadFile: path.join(directory, RUN_FILES.payload) };
  }

  /** Starts a runner as Nomad does. `options` besides `--payload`; `under`: a program that starts it. */
  startJob({ directory, payloadFile }: PreparedJob, options: JobStart = {}): ChildProcess {
    const { args = [], under = [], environment = {} } = options;
    const [file, ...rest] = [...under, process.execPath, this.program, '--payload', payloadFile, ...args] as const;
    return this.#spawn(directory, [file ?? '', ...rest], environment);
  }

  /** Starts a runner as the engine does; `environment` is what it must not hand on. */
  start(directory: string, environment: Record<string, string> = {}): ChildProcess {
    return this.#spawn(directory, [process.execPath, this.program, '--run-dir', directory], environment);
  }

  #spawn(directory: string, [file, ...args]: readonly [string, ...string[]], environment: Environment): ChildProcess {
    const [stdout, stderr] = [RUN_FILES.stdout, RUN_FILES.stderr].map((name) =>
      openSync(path.join(directory, name), 'a', 0o600),
    );
    try {
      const child = spawn(file, args, {
        detached: true,
        env: { PATH: process.env['PATH'], ...environment },
        stdio: ['ignore', stdout, stderr],
      });
      this.#children.add(child);
      child.once('exit', () => this.#children.delete(child));
      return child;
    } finally {
      for (const fd of [stdout, stderr]) if (fd !== undefined) closeSync(fd);
    }
  }

  /** Prepares, starts, waits. */
  async run(plan: RunPlan, environment: Record<string, string> = {}): Promise<RunResult> {
    const prepared = this.prepare(plan);
    return await this.result(prepared, this.start(prepared.directory, environment));
  }

  async result(
    { directory, payload }: Pick<PreparedRun, 'directory' | 'payload'>,
    child: ChildProcess,
  ): Promise<RunResult> {
    const code = await endOf(child);
    const stderr = readFileSync(path.join(directory, RUN_FILES.stderr));
    const exitFile = path.join(directory, RUN_FILES.exit);
    const exit = existsSync(exitFile) ? exitSchema.parse(JSON.parse(readFileSync(exitFile, 'utf8'))) : null;
    const stdout = readFileSync(path.join(directory, RUN_FILES.stdout), 'utf8');
    return { code, stdout, exit, ...splitStderr(stderr, payload.trailer_key) };
  }

  remove(): void {
    for (const child of this.#children) child.kill('SIGKILL');
    rmSync(this.root, { recursive: true, force: true });
  }
}

type Environment = Readonly<Record<string, string>>;

export interface JobStart {
  readonly args?: readonly string[];
  readonly under?: readonly string[];
  readonly environment?: Environment;
}

const BUILT = path.join(ROOT, 'dist/runner/main.js');

/** `npm test` builds first; who runs this file alone may have newer sources. */
function isBuilt(): boolean {
  if (!existsSync(BUILT)) return false;
  const sources = ['src/runner', 'src/domain'].flatMap((folder) => {
    const names = readdirSync(path.join(ROOT, folder));
    return names.map((name) => path.join(ROOT, folder, name));
  });
  const builtAt = statSync(BUILT).mtimeMs;
  return [...sources, path.join(ROOT, 'src/errors.ts')].every((file) => statSync(file).mtimeMs < builtAt);
}

function build(root: string): string {
  const project = path.join(root, 'tsconfig.json');
  const compilerOptions = {
    noEmit: false,
    // Types are held elsewhere; here it is to be fast.
    noCheck: true,
    rootDir: path.join(ROOT, 'src'),
    outDir: path.join(root, 'dist'),
    typeRoots: [path.join(ROOT, 'node_modules/@types')],
  };
  const files = ['src/runner/main.ts', 'src/domain/iarna-toml.d.ts'].map((file) => path.join(ROOT, file));
  const config = { extends: path.join(ROOT, 'tsconfig.json'), compilerOptions, files, include: [] };
  writeFileSync(project, JSON.stringify(config));
  writeFileSync(path.join(root, 'package.json'), '{ "type": "module" }');
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(root, 'node_modules'));
  execFileSync(process.execPath, [path.join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', project]);
  return path.join(root, 'dist/runner/main.js');
}

export function splitStderr(bytes: Buffer, key: string): { stderr: string; trailer: Trailer | null } {
  const { length, trailer } = splitTrailer(bytes, bytes.length, key);
  return { stderr: bytes.subarray(0, length).toString('utf8'), trailer };
}

export async function endOf(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  return await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code));
  });
}

function makePayload(
  plan: RunPlan,
  { token, names, tickets }: { token: string; names: readonly string[]; tickets: string },
): Payload {
  const id = plan.payload?.id ?? 'try-1';
  const action = Buffer.from(
    `id = ${JSON.stringify(id)}\nformula = "try"\ncontext = "a try"\nsecrets = ${JSON.stringify(names)}\n${plan.action ?? ''}`,
  );
  const formula = Buffer.from(`name = "try"\ndescription = "a try"\n${plan.formula}\n`);
  return {
    v: 1,
    id,
    attempt: 1,
    token,
    action: action.toString('base64'),
    formula: formula.toString('base64'),
    blobs: { action: blobOid(action), formula: blobOid(formula) },
    access: {
      kind: 'file',
      address: tickets,
      namespace: '',
      wrapping_token: randomBytes(32).toString('hex'),
      creation_path: TICKET_CREATION_PATH,
      wrap_expires_at: new Date(Date.now() + 600_000).toISOString(),
      secrets: Object.fromEntries(names.map((name) => [name, { path: name, field: '' }])),
    },
    inputs: {},
    agent: [],
    limits: { log_bytes: 1 << 24, artifact_bytes: 1 << 20 },
    timeout_seconds: 60,
    issued_at: new Date().toISOString(),
    trailer_key: randomBytes(32).toString('hex'),
    ...plan.payload,
  };
}

function makeTicket(plan: RunPlan, payload: Payload, secretFile: (name: string) => string): Ticket {
  const names = Object.keys(plan.secrets ?? {});
  return {
    v: 1,
    attempt: payload.token,
    blobs: payload.blobs,
    expires_at: payload.access.wrap_expires_at,
    secrets: Object.fromEntries(names.map((name) => [name, secretFile(name)])),
    ...plan.ticket,
  };
}

/** A value as TOML: what JSON writes of texts and lists is TOML too. */
export function toml(value: string | readonly string[]): string {
  return JSON.stringify(value);
}

export function script(text: string): string {
  return `script = ${toml(text)}`;
}

/** Whether some process has exactly this command line, its words joined by blanks. */
export function isRunning(commandLine: string): boolean {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.some((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').join(' ').trim() === commandLine;
    } catch {
      return false;
    }
  });
}
