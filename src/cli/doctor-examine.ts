import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { stateLayout } from '../adapters/state-dir.ts';
import type { Config } from '../config.ts';
import { isLocal } from '../daemon/checks.ts';
import type { Check } from '../domain/check.ts';
import { EdgeError, StalledError, TransientError } from '../errors.ts';
import type { SidecarSettings } from '../story/sidecar/sidecars.ts';
import { type Wired, wire } from '../wiring.ts';
import { bad, type Finding, failed, finding, good, warning } from './doctor-finding.ts';
import { forgeFindings, repoFindings } from './doctor-forge.ts';
import { checkPushes } from './doctor-git.ts';
import { checkStateDir } from './doctor-machine.ts';
import { notifyFindings } from './doctor-notify.ts';
import { ruleFindings, slotFindings, trackerFindings } from './doctor-sidecar.ts';
import { olderResultFindings, signingFindings } from './doctor-signing.ts';
import { rulesFindings, worldFindings } from './doctor-world.ts';
import type { GlobalOptions, Io } from './io.ts';
import { configOf, observe, quietLog, requireOwnStateDir } from './observe.ts';
import { loadSettings } from './settings.ts';

/** Everything that the daemon needs, each asked whatever became of the others. Throws UsageError for the configuration. */
export async function examine(io: Io, options: GlobalOptions): Promise<readonly Finding[]> {
  const config = configOf(io, options);
  const { root } = stateLayout(config.dispatcher.state_dir);
  requireOwnStateDir(root);
  const first = [
    ...configFindings(io, options),
    ...(await checkStateDir(config)),
    ...rulesFindings(config),
    ...(await signingFindings(config.ops_repo)),
    ...(await notifyFindings(config)),
  ];
  const scratch = await mkdtemp(path.join(tmpdir(), 'edge-doctor-'));
  try {
    return [...first, ...(await outsideFindings({ config, io, options, scratch, isUsed: existsSync(root) }))];
  } finally {
    await rm(scratch, { recursive: true, force: true, maxRetries: 3 });
  }
}

interface Visit {
  readonly config: Config;
  readonly io: Io;
  readonly options: GlobalOptions;
  /** Empty folder of our own. */
  readonly scratch: string;
  /** There is a state_dir. Nothing is made where there is none: it might not be the daemon's user who asks. */
  readonly isUsed: boolean;
}

async function outsideFindings(visit: Visit): Promise<readonly Finding[]> {
  const { config, io, options, scratch } = visit;
  let seen = false;
  try {
    return await observe(io, options, async (observed) => {
      seen = true;
      const { tip, descends } = observed.world().tips;
      const pushes = await checkPushes(config, scratch, tip, io.signal);
      const services = await serviceFindings(observed.context, visit);
      const repo = await repoFindings(observed.context.forge, { tip, answers: services }, io.signal);
      const older = await olderResultFindings(observed, io.signal);
      const world = await worldFindings(observed, services, io);
      const issues = await issueFindings(observed.sidecars, io.signal);
      const git = gitFinding(config, tip, descends);
      return [
        git,
        ...pushes,
        ...services,
        ...repo,
        ...issues,
        ...older,
        ...world,
        ...ruleFindings(observed),
        ...slotFindings(observed),
      ];
    });
  } catch (error) {
    const isOutage = error instanceof TransientError || error instanceof StalledError;
    if (seen || !isOutage || io.signal.aborted) throw error;
    return [failed('git.read', error), ...(await withoutGit(visit))];
  }
}

async function withoutGit(visit: Visit): Promise<readonly Finding[]> {
  const { config, io, scratch } = visit;
  const wired = await wire(config, { log: quietLog(io), cacheDir: scratch, looksOnly: true });
  try {
    const services = await serviceFindings(wired.parts, visit);
    return [...services, ...(await issueFindings(wired.sidecars ?? null, io.signal))];
  } finally {
    await wired.close();
  }
}

async function serviceFindings(
  { engine, access, forge }: Pick<Wired['parts'], 'engine' | 'access' | 'forge'>,
  { config, isUsed, io: { signal } }: Visit,
): Promise<readonly Finding[]> {
  const local = [engine, access].filter((part) => isUsed || !isLocal(part));
  const asked = [...local, ...(forge === null ? [] : [forge])];
  const answers = (await Promise.all(asked.map((part) => ask(part.kind, () => part.check(signal))))).flat();
  return [...answers, ...(await forgeFindings(config, answers))];
}

async function issueFindings(sidecars: SidecarSettings | null, signal: AbortSignal): Promise<readonly Finding[]> {
  return sidecars === null ? [] : trackerFindings(sidecars, signal);
}

async function ask(name: string, check: () => Promise<readonly Check[]>): Promise<readonly Finding[]> {
  try {
    return (await check()).map(finding);
  } catch (error) {
    if (error instanceof EdgeError) return [failed(name, error)];
    throw error;
  }
}

function configFindings(io: Io, options: GlobalOptions): readonly Finding[] {
  const { config, warnings } = loadSettings(options, io);
  const from = { file: 'a file', environment: 'the environment', embedded: 'the embedded default' }[config.source];
  const { engine, access } = config;
  return [
    good('configuration', `read from ${from}: engine ${engine.kind}, access ${access.kind}`),
    ...warnings.map(({ code, message, hint }) => warning('configuration', code, message, hint ?? '')),
  ];
}

function gitFinding({ ops_repo }: Config, tip: string, descends: boolean): Finding {
  if (descends) return good('git.read', `branch ${ops_repo.branch} is at ${tip.slice(0, 12)}, the journal can be read`);
  const message = `branch ${ops_repo.branch} was rewritten: ${tip.slice(0, 12)} does not go on from what was seen last`;
  const fix = 'Look at what was force-pushed; to accept it, run `doctor --accept-history`.';
  return bad('git.read', 'ERR_HISTORY_DIVERGED', message, fix);
}
