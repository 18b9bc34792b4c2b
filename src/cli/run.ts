import path from 'node:path';
import { Command } from 'commander';
import { openStateDir } from '../adapters/state-dir.ts';
import { createDaemon, type OnceReport } from '../daemon/daemon.ts';
import { createLog } from '../log.ts';
import { wire } from '../wiring.ts';
import type { CliCommand } from './command.ts';
import { ensureEmbeddedRepo } from './embedded.ts';
import { EXIT, type ExitCode, type GlobalOptions, type Io, paint, printJson, printLine, quoted } from './io.ts';
import { loadSettings } from './settings.ts';

export function runCommand(): CliCommand {
  const command = new Command('run')
    .description('the daemon: watches the ops repo and runs what is approved')
    .option('--once', 'take everything that is pending now to its end, then exit');
  return { command, run: (io, options) => run(io, options) };
}

async function run(io: Io, options: GlobalOptions & { once?: boolean }): Promise<ExitCode> {
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
      for (const check of await wired.parts.engine.check(io.signal)) report(log, check);
      for (const check of await wired.parts.access.check(io.signal)) report(log, check);
      const daemon = createDaemon(wired);
      if (options.once === true) return printReport(io, options, await daemon.once(io.signal));
      // Only the daemon listens; every other command starts faster without the HTTP library.
      const { startHealth } = await import('../daemon/http/health.ts');
      const health = await startHealth(config.http.listen, () => daemon.unready(), log);
      log.info('watching', {
        ops_repo: path.basename(config.ops_repo.url),
        branch: config.ops_repo.branch,
        engine: config.engine.kind,
        health: health.address,
      });
      try {
        await daemon.run(io.signal);
      } finally {
        await health.close();
      }
      log.info('stopped');
      return EXIT.ok;
    } finally {
      await wired.close();
    }
  } finally {
    await state.release();
  }
}

type Logger = ReturnType<typeof createLog>['log'];

function report(log: Logger, check: { name: string; ok: boolean; message: string; fix: string | null }): void {
  const { name, message, fix } = check;
  if (check.ok) log.debug('check', { name, message });
  else log.warn('check failed', { name, message, fix });
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
    for (const { code, message } of report.unreachable) printLine(io, `unreachable: ${code} ${quoted(message)}`);
    if (report.results.length + report.waiting.length + report.unreachable.length === 0)
      printLine(io, 'nothing is pending');
  }
  return report.unreachable.length > 0 ? EXIT.unreachable : EXIT.ok;
}
