import path from 'node:path';
import process from 'node:process';
import { Command } from 'commander';
import { writeDaemonState } from '../adapters/daemon-state.ts';
import { openStateDir } from '../adapters/state-dir.ts';
import type { Config } from '../config.ts';
import { type CheckedService, type Checks, createChecks, isLocal, verdictOf } from '../daemon/checks.ts';
import { createDaemon, type OnceReport } from '../daemon/daemon.ts';
import type { HookTools } from '../daemon/http/hooks.ts';
import { keepTelling } from '../daemon/tell-state.ts';
import type { Check } from '../domain/check.ts';
import type { DaemonState } from '../domain/daemon-state.ts';
import { StalledError, TransientError } from '../errors.ts';
import { createLog, type Logger } from '../log.ts';
import type { Forge } from '../ports/forge.ts';
import type { IssueTracker } from '../ports/issues.ts';
import { notificationsOf, webhookSecretOf } from '../wiring/notify.ts';
import { type Wired, wire } from '../wiring.ts';
import type { CliCommand } from './command.ts';
import { ensureEmbeddedRepo } from './embedded.ts';
import { EXIT, type ExitCode, type GlobalOptions, type Io, paint, printJson, printLine, quoted } from './io.ts';
import { loadSettings } from './settings.ts';
import { VERSION } from './version.ts';

export function runCommand(): CliCommand {
  const command = new Command('run')
    .description('the daemon: watches the ops repo and runs what is approved')
    .option('--once', 'take everything that is pending now to its end, then exit');
  return { command, run: (io, options) => run(io, options) };
}

type RunOptions = GlobalOptions & { readonly once?: boolean };

async function run(io: Io, options: RunOptions): Promise<ExitCode> {
  const { config, warnings } = loadSettings(options, io);
  const { log } = createLog({ stream: io.stderr, noColor: (io.env['NO_COLOR'] ?? '') !== '' });
  for (const { code, path: where, message, hint } of warnings)
    log.warn('configuration', { code, path: where, message, hint });
  const state = await openStateDir(config.dispatcher.state_dir);
  try {
    if (config.source === 'embedded') {
      await ensureEmbeddedRepo(config.ops_repo.url, config.ops_repo.branch);
      log.warn('no configuration: the embedded default is used; whoever can push to its ops repo is trusted', {
        ops_repo: config.ops_repo.url,
        secrets: state.layout.secrets,
      });
    }
    const wired = await wire(config, { log, cacheDir: state.layout.cache });
    try {
      return await start(wired, log, io, options);
    } finally {
      await wired.close();
    }
  } finally {
    await state.release();
  }
}

async function start(wired: Wired, log: Logger, io: Io, options: RunOptions): Promise<ExitCode> {
  const { engine, access, forge, clock } = wired.parts;
  if (!engine.isolated)
    log.warn('commands are not isolated from their runner: this protects against accidents only', {
      engine: engine.kind,
    });
  for (const part of [engine, access].filter(isLocal)) {
    for (const check of await part.check(io.signal)) report(log, check);
  }
  const services = [
    ...(isLocal(engine) ? [] : [{ name: 'engine' as const, check: (signal?: AbortSignal) => engine.check(signal) }]),
    ...(isLocal(access) ? [] : [{ name: 'access' as const, check: (signal?: AbortSignal) => access.check(signal) }]),
    ...(forge === null ? [] : [forgeService(forge, [...(wired.sidecars?.trackers.values() ?? [])])]),
  ];
  const checks = createChecks(services, { clock, log: wired.parts.log });
  const problems = await findProblems(wired, checks, io.signal);
  if (problems.length > 0) return refuse(problems, log, io, options);
  if (options.once !== true) return watch(wired, checks, log, io);
  const told = notificationsOf(wired.config, { log, count: () => undefined });
  const daemon = createDaemon({
    ...wired,
    hold: () => checks.reasons(),
    onResult: (result) => told?.recorded(result),
  });
  try {
    return printReport(io, options, await daemon.once(io.signal));
  } finally {
    await told?.close();
  }
}

/** Its outage holds back the rules that ask it, and these say so themselves. */
function forgeService(forge: Forge, trackers: readonly IssueTracker[]): CheckedService {
  const check = async (signal: AbortSignal | undefined) =>
    (await Promise.all([forge, ...trackers].map((each) => each.check(signal)))).flat();
  return { name: 'forge', holdsClaims: false, check };
}

/** Before the loop (S1.6, R5): what a person has to mend first. A service that is away is none of it: it is waited for. */
async function findProblems(wired: Wired, checks: Checks, signal: AbortSignal): Promise<readonly Check[]> {
  const answers = await Promise.all([lookAtGit(wired, signal), checks.ask(signal)]);
  return signal.aborted ? [] : answers.flat().filter((check) => verdictOf(check) === 'problem');
}

async function lookAtGit({ watcher }: Wired, signal: AbortSignal): Promise<readonly Check[]> {
  try {
    await watcher.look(signal);
  } catch (error) {
    if (error instanceof StalledError) {
      const { code, message, hint } = error;
      return [{ name: 'git', ok: false, code, message, fix: hint }];
    }
    if (!(error instanceof TransientError || signal.aborted)) throw error;
  }
  return [];
}

function refuse(problems: readonly Check[], log: Logger, io: Io, options: RunOptions): ExitCode {
  for (const { name, code, message, fix } of problems) log.error('not started', { name, code, reason: message, fix });
  if (options.json === true) printJson(io, { checks: problems });
  return EXIT.problems;
}

/** The daemon itself. Only this listens; every other command starts faster without the HTTP library. */
async function watch(wired: Wired, checks: Checks, log: Logger, io: Io): Promise<ExitCode> {
  const { config, parts } = wired;
  const { startHealth } = await import('../daemon/http/health.ts');
  const { CONTENT_TYPE, createMetrics } = await import('../daemon/http/metrics.ts');
  const build = { version: VERSION, engine: parts.engine.kind, access: parts.access.kind };
  const metrics = createMetrics(build, parts.clock, true);
  const told = notificationsOf(config, { log, count: (outcome) => metrics.notified(outcome) });
  const daemon = createDaemon(
    metrics.observe({ ...wired, hold: () => checks.reasons(), onResult: (result) => told?.recorded(result) }),
  );
  const seen = {
    board: daemon.board,
    figures: () => daemon.figures(),
    unready: () => daemon.unready(),
    backoff: () => checks.backoff(),
  };
  const health = await startHealth(config.http.listen, seen.unready, log, {
    metrics: { contentType: CONTENT_TYPE, text: () => metrics.text(seen), guard: await guardOf(config, log) },
    hooks: hooksOf(wired, log, { onHint: () => daemon.hint(), count: (outcome) => metrics.hooked(outcome) }),
  });
  log.info('watching', {
    ops_repo: path.basename(config.ops_repo.url),
    branch: config.ops_repo.branch,
    engine: config.engine.kind,
    ...(config.sidecar.length === 0
      ? {}
      : { sidecars: config.sidecar.map(({ formula, repo }) => `${formula} ${repo}`) }),
    health: health.address,
  });
  const over = new AbortController();
  const until = AbortSignal.any([io.signal, over.signal]);
  const write = (state: DaemonState) => writeDaemonState(config.dispatcher.state_dir, state);
  const kept = [
    checks.keep(until),
    keepTelling(daemon, { clock: parts.clock, log, pid: process.pid, write }, until),
  ] as const;
  try {
    await daemon.run(io.signal);
  } finally {
    over.abort();
    await Promise.all(kept);
    await health.close();
    await told?.close();
  }
  log.info('stopped');
  return EXIT.ok;
}

function hooksOf({ config, parts }: Wired, log: Logger, calls: Pick<HookTools, 'onHint' | 'count'>): HookTools | null {
  const secret = webhookSecretOf(config);
  return secret === null ? null : { secret, branch: config.ops_repo.branch, clock: parts.clock, log, ...calls };
}

async function guardOf(config: Config, log: Logger) {
  const { bearerGuard, readTokenFile } = await import('../daemon/http/bearer.ts');
  const given = config.secrets['http.token'];
  const file = config.http.token_file;
  if (given !== undefined) return bearerGuard(() => Promise.resolve(given.reveal()), log);
  return file === null ? null : bearerGuard(() => readTokenFile(file), log);
}

function report(log: Logger, check: Check): void {
  const { name, message, fix } = check;
  if (check.ok) log.debug('check', { name, message });
  else log.warn('check failed', { name, message, fix });
}

/** How to go on, once. */
function pauseHints({ waiting }: OnceReport): ReadonlySet<string> {
  return new Set(
    waiting.flatMap(({ reason: { code, hint } }) => (code === 'ERR_PAUSED' && hint !== null ? [hint] : [])),
  );
}

function printReport(io: Io, options: GlobalOptions, report: OnceReport): ExitCode {
  if (options.json === true) {
    printJson(io, {
      results: report.results,
      waiting: report.waiting.map(({ id, reason }) => ({ id, reason: reason.code })),
      unreachable: report.unreachable.map(({ code }) => code),
    });
  } else {
    for (const { id, outcome, exit_code } of report.results) {
      printLine(io, `${paint(io, outcome === 'succeeded' ? 'green' : 'red', outcome.padEnd(10))} ${id} (${exit_code})`);
    }
    for (const { id, reason } of report.waiting) {
      printLine(io, `${paint(io, 'yellow', 'waiting'.padEnd(10))} ${id}: ${quoted(reason.message)} [${reason.code}]`);
    }
    for (const hint of pauseHints(report)) printLine(io, `${' '.repeat(11)}${paint(io, 'dim', quoted(hint))}`);
    for (const { code, message } of report.unreachable) printLine(io, `unreachable: ${code} ${quoted(message)}`);
    if (report.results.length + report.waiting.length + report.unreachable.length === 0)
      printLine(io, 'nothing is pending');
  }
  return report.unreachable.length > 0 ? EXIT.unreachable : EXIT.ok;
}
