import type { Payload, SidecarWork } from '../domain/payload.ts';
import { createRedactor, type Redactor, type Secret } from '../domain/redact.ts';
import type { Host } from '../domain/run-directory.ts';
import { encodeTrailer, type Trailer } from '../domain/trailer.ts';
import { redeem } from './access.ts';
import { type Approved, type Digest, digestOf, readApproved } from './approved.ts';
import { collectArtifacts } from './artifacts.ts';
import { dropBotToken, takeBotToken } from './bot-token.ts';
import { commandEnding, type Ending, ownEnding, unstartedEnding } from './ending.ts';
import { buildEnvironment, type EnvironmentParts, inputsFileContent } from './environment.ts';
import { type CommandEnd, execute } from './execute.ts';
import { placeMounts } from './mounts.ts';
import { oomKills } from './oom.ts';
import { OutputStream, writeWhole } from './output.ts';
import { choosePlaces, give, makePlaces, type Places, removePlaces } from './places.ts';
import { programOf } from './program.ts';
import { checkProgramFiles } from './program-files.ts';
import { whenThereIsRoom } from './room.ts';
import { RunnerError, toRunnerError } from './runner-error.ts';
import { readSecrets } from './secrets.ts';
import type { Stop } from './stop.ts';

/** Where the run is: the machine's part, which no payload may choose. */
export interface Site {
  /** Shared with the subprocess engine; null: elsewhere, and nothing is kept of the run but output and artifacts. */
  readonly directory: string | null;
  /** A directory to be made for collected artifacts; null: the run directory's, where there is one. */
  readonly artifacts: string | null;
  /** null: mounts lie at /mounts/<name>. */
  readonly mounts: Host['mounts'] | null;
  readonly runAs: Host['run_as'];
  readonly graceMs: number;
  /** PEM file of the authority that signed the secret store's certificate; null: the usual ones. */
  readonly vaultCaFile: string | null;
  /** Address of the only Vault whose word counts; null: whichever store the payload names. */
  readonly vault: string | null;
  /** Its namespace; empty: the root one. Whoever administers another one could approve there what he likes. */
  readonly vaultNamespace: string;
  /** File with the token of the sidecars' bot. With it, or with `agentData`, this is the job of sidecars. */
  readonly botToken: string | null;
  /** What the runs of sidecars share: each gets a directory of its own in it. */
  readonly agentData: string | null;
}

/** One attempt while it goes on. */
interface Attempt {
  readonly payload: Payload;
  readonly site: Site;
  readonly stop: Stop;
  readonly digest: Digest;
  readonly places: Places;
}

/** What the attempt may have: redeemed, compared with what was approved, and read. */
interface Granted extends Approved {
  readonly secrets: readonly Secret[];
}

/** Our own two streams, and what was masked in them. */
interface Output {
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly redactor: Redactor;
}

/** Takes an attempt from its payload to its trailer, and leaves nothing of it but output and artifacts. */
export async function run(payload: Payload, site: Site, stop: Stop): Promise<Ending> {
  stop.setDeadline(payload.timeout_seconds);
  const places = choosePlaces(site);
  const attempt: Attempt = { payload, site, stop, digest: digestOf(payload), places };
  const granted = await settle(() => redeemAndRead(attempt));
  const output = openOutput(granted instanceof RunnerError ? [] : granted.secrets, payload);
  const ended = granted instanceof RunnerError ? granted : await settle(() => runGranted(attempt, granted, output));
  const ending = ended instanceof RunnerError ? endingOf(ended, stop) : ended;
  await writeEnd(attempt, ending, output);
  removePlaces(places);
  if (site.botToken !== null) dropBotToken(site.botToken);
  return ending;
}

/** Who was waiting for the secret store when the run was told to stop has nothing to say against the store. */
function endingOf(error: RunnerError, { cause }: Stop): Ending {
  return cause !== null && error.reason === 'ERR_VAULT_UNAVAILABLE' ? unstartedEnding(cause) : ownEnding(error);
}

/** The wrapper is redeemed before anything else is judged, so that there is one who judges. */
async function redeemAndRead({ payload, site, stop, digest }: Attempt): Promise<Granted> {
  checkStore(payload, site);
  const redemption = await redeem(payload.access, { caFile: site.vaultCaFile, stop: stop.signal });
  const read = await settle(async () => {
    checkSite(payload, site);
    const approved = readApproved(payload, digest, redemption);
    const secrets = await readSecrets(approved, redemption);
    if (site.botToken !== null) secrets.push(takeBotToken(site.botToken, approved.formula, site.runAs));
    return { ...approved, secrets };
  });
  // Also after a failure; of two, the first is told.
  const closed = await settle(() => redemption.close());
  if (read instanceof RunnerError) throw read;
  if (closed instanceof RunnerError) throw closed;
  await checkProgramFiles(read.formula.files);
  return read;
}

/** A store of somebody else's would say of any bytes that they are approved. Throws RunnerError (ERR_DIGEST). */
function checkStore({ access }: Payload, { vault, vaultNamespace }: Site): void {
  const isOurs = access.kind === 'vault' && access.address === vault && access.namespace === vaultNamespace;
  if (vault === null || isOurs) return;
  throw new RunnerError('ERR_DIGEST', 'the payload names another secret store than this job; nothing was started');
}

/** The job of sidecars holds an identity that nobody approved for an action. Throws RunnerError (ERR_DIGEST). */
function checkSite({ sidecar }: Payload, { botToken, agentData }: Site): void {
  if (sidecar !== undefined || (botToken === null && agentData === null)) return;
  throw new RunnerError(
    'ERR_DIGEST',
    'the payload is of an action, and this is the job of sidecars; nothing was started',
  );
}

async function runGranted(attempt: Attempt, granted: Granted, output: Output): Promise<Ending> {
  const { payload, places, site, stop } = attempt;
  const { held, program, environment } = await prepare(attempt, granted);
  if (stop.cause !== null) return unstartedEnding(stop.cause);
  const killsBefore = oomKills();
  const { stdout, stderr } = output;
  const execution = { program, environment, places, stdout, stderr, stop: stop.signal, graceMs: site.graceMs };
  const end = await execute(execution);
  const ending = commandEnding(end, end.isStopped ? stop.cause : null);
  const artifacts = await collectArtifacts({
    work: held.work,
    patterns: granted.formula.artifacts,
    secrets: granted.secrets,
    maxBytes: payload.limits.artifact_bytes,
    target: held.artifacts,
    stop: collectionLimit(end, stop),
  });
  return { ...ending, oom: wasOutOfMemory(end, killsBefore), artifacts };
}

/** All that lies on the disk before the command starts. In a run directory it may be done again: it begins with nothing. */
async function prepare(attempt: Attempt, granted: Granted) {
  const { payload, places, site, stop } = attempt;
  const make = () => ({
    held: makePlaces(places),
    program: programOf(granted.formula, payload.agent, places),
    environment: environmentOf(attempt, granted),
  });
  return site.directory === null ? make() : whenThereIsRoom(make, stop.signal);
}

function environmentOf({ payload, places, site }: Attempt, granted: Granted): Record<string, string> {
  const mounts = placeMounts(granted.action.mounts, site.mounts, places);
  const inputsFile = give(places, 'inputs.json', inputsFileContent(payload.inputs));
  const sidecar = payload.sidecar === undefined ? null : sidecarParts(payload, payload.sidecar, places);
  return buildEnvironment({ ...granted, payload, home: places.home, inputsFile, mounts, sidecar });
}

function sidecarParts({ action: project }: Payload, work: SidecarWork, places: Places): EnvironmentParts['sidecar'] {
  const projectFile = give(places, 'project.toml', Buffer.from(project, 'base64'));
  return { work, projectFile, agentData: places.agentData };
}

/** Whoever stopped the command waits; and nobody waits for ever. */
function collectionLimit(end: CommandEnd, stop: Stop): AbortSignal {
  const limit = AbortSignal.timeout(COLLECTION_MS);
  return end.isStopped ? limit : AbortSignal.any([limit, stop.signal]);
}
const COLLECTION_MS = 60_000;

/** Killed, not by us, and the kernel counted: a shell reports its child's KILL as 137. */
function wasOutOfMemory({ code, signal, isStopped }: CommandEnd, killsBefore: number | null): boolean {
  const isKilled = signal === 'SIGKILL' || code === 137;
  const kills = oomKills();
  return isKilled && !isStopped && kills !== null && killsBefore !== null && kills > killsBefore;
}

function openOutput(secrets: readonly Secret[], { limits }: Payload): Output {
  const redactor = createRedactor(secrets);
  const stdout = new OutputStream(STDOUT, limits.log_bytes, redactor);
  return { stdout, stderr: new OutputStream(STDERR, limits.log_bytes, redactor), redactor };
}
const STDOUT = 1;
const STDERR = 2;

/** The trailer is the very last of stderr, and not counted in it. */
async function writeEnd({ payload, digest }: Attempt, ending: Ending, output: Output): Promise<void> {
  const { stdout, stderr, redactor } = output;
  await stdout.end();
  await stderr.end();
  if (ending.message !== null) await stderr.line(ending.message);
  const trailer: Trailer = {
    v: 1,
    exit: ending.exit,
    signal: ending.signal,
    reason: ending.reason,
    started: ending.startedAt,
    finished: new Date().toISOString(),
    digest,
    masked: redactor.masked(),
    stdout: stdout.summary(),
    stderr: stderr.summary(),
    artifacts: ending.artifacts,
  };
  await writeWhole(STDERR, Buffer.from(encodeTrailer(trailer, payload.trailer_key)));
}

async function settle<T>(task: () => Promise<T>): Promise<T | RunnerError> {
  try {
    return await task();
  } catch (error) {
    return toRunnerError(error);
  }
}
