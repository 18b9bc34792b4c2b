import { statfs } from 'node:fs/promises';
import { z } from 'zod';
import type { Check } from '../../../domain/check.ts';
import type { EngineTools } from '../../factory.ts';
import { Refusal } from './answers.ts';
import { checkJobs } from './checks-jobs.ts';
import { bad, failed, good } from './checks-lines.ts';
import { NOMAD_DEFAULTS, retention } from './checks-retention.ts';
import { CLEAR_TEXT, isClearText } from './checks-transport.ts';
import { type AgentSettings, isNewEnough, MINIMUM, readAgent } from './checks-version.ts';
import type { Answered, NomadClient } from './client.ts';
import { driftFrom } from './dispatch-gate.ts';
import type { NomadOptions } from './options.ts';
import { jobStubs } from './types.ts';

type CheckTools = Pick<EngineTools, 'runner' | 'wanted' | 'stateDir' | 'clock'>;

const SKEW_MS = 30_000;

/**
 * All that the engine needs of Nomad, for `doctor` and the start; takes some seconds when it is denied. Never throws but
 * for an aborted signal; starts and changes nothing.
 */
export async function checkNomad(
  client: NomadClient,
  options: NomadOptions,
  tools: CheckTools,
  signal?: AbortSignal,
): Promise<readonly Check[]> {
  const transport = checkTransport(options);
  const reach = await checkReach(client, tools, signal);
  if (reach.some(({ name, ok }) => name === REACH && !ok)) return [...reach, ...transport];
  const agent = await readAgent(client, signal);
  const [token, jobs] = await Promise.all([
    checkToken(client, signal),
    checkJobs(
      {
        client,
        mounts: usableMounts(options, tools),
        hasSidecars: tools.wanted.sidecar !== null,
        driftOf: driftFrom(options, tools),
      },
      signal,
    ),
  ]);
  // Last: a server that starts says 403 to everybody, and with the answers above that moment is over.
  const acl = await checkAcl(client, signal);
  signal?.throwIfAborted();
  return [...reach, ...transport, token, acl, checkVersion(agent), ...jobs, ...(await checkRetention(agent, tools))];
}

/** A variant that is left over from another driver or volume is no job of ours any more. */
function usableMounts({ driver }: NomadOptions, { wanted }: CheckTools): readonly string[] {
  if (driver === 'raw_exec') return [];
  return Object.entries(wanted.mounts).flatMap(([name, { hostVolume }]) => (hostVolume === null ? [] : [name]));
}

const REACH = 'engine.nomad.reach';

async function checkReach(
  client: NomadClient,
  { clock }: CheckTools,
  signal: AbortSignal | undefined,
): Promise<readonly Check[]> {
  let answer: Answered<string> | null;
  try {
    answer = await client.get('/v1/status/leader', z.string(), { signal, recheck: false });
  } catch (error) {
    signal?.throwIfAborted();
    // A proxy or the Task API may keep this page from us: that there is an answer is enough.
    if (error instanceof Refusal && error.kind === 'denied') return [good(REACH, 'Nomad answers')];
    return [failed(REACH, error, 'Check address and token_file of [engine.nomad].')];
  }
  if (answer === null || answer.value === '') {
    return [bad(REACH, 'ERR_ENGINE_UNAVAILABLE', 'Nomad has no leader', 'Look at the Nomad servers.')];
  }
  return [good(REACH, 'Nomad answers and has a leader'), ...checkClock(answer.date, clock.now())];
}

function checkClock(date: number | null, now: Date): readonly Check[] {
  if (date === null) return [];
  const name = 'engine.nomad.clock';
  const seconds = Math.round(Math.abs(now.getTime() - date) / 1000);
  const message = `the clocks of Nomad and of this host differ by ${seconds} s`;
  if (seconds * 1000 <= SKEW_MS) return [good(name, message)];
  return [bad(name, 'ERR_CLOCK_SKEW', message, 'Synchronise the clocks (NTP).')];
}

function checkTransport({ address }: NomadOptions): readonly Check[] {
  return isClearText(address) ? [good('engine.nomad.transport', CLEAR_TEXT)] : [];
}

const ACL_FIX = 'Turn on ACLs in Nomad, and take the namespace out of the anonymous policy.';

const self = z.object({ AccessorID: z.string(), Type: z.string() });

async function checkToken(client: NomadClient, signal: AbortSignal | undefined): Promise<Check> {
  const name = 'engine.nomad.token';
  const fix =
    'Make a token with the policy edge-dispatcher for token_file of [engine.nomad], and take NOMAD_TOKEN out of the environment.';
  try {
    const answer = await client.get('/v1/acl/token/self', self, { signal });
    if (answer === null) return good(name, 'the token is a workload identity');
    const { AccessorID, Type } = answer.value;
    if (AccessorID === 'acls-disabled') return bad(name, 'ERR_ENGINE_EXCESS', 'Nomad checks no tokens', ACL_FIX);
    if (AccessorID === 'anonymous') return bad(name, 'ERR_ENGINE_DENIED', 'there is no token', fix);
    if (Type !== 'management') return good(name, 'the token is valid');
    return bad(name, 'ERR_ENGINE_EXCESS', 'the token is a management token: it may do everything in Nomad', fix);
  } catch (error) {
    return failed(name, error, fix);
  }
}

/** The jobs hold what was dispatched: nobody without a token may read them. */
async function checkAcl(client: NomadClient, signal: AbortSignal | undefined): Promise<Check> {
  const name = 'engine.nomad.acl';
  const query = { per_page: 1 };
  try {
    await client.get('/v1/jobs', jobStubs, { query, signal, authenticated: false, recheck: false });
    return bad(name, 'ERR_ENGINE_EXCESS', 'the jobs of the namespace can be read without a token', ACL_FIX);
  } catch (error) {
    if (error instanceof Refusal && error.kind === 'denied') return good(name, 'without a token no job can be read');
    return failed(name, error);
  }
}

function checkVersion({ version }: AgentSettings): Check {
  const name = 'engine.nomad.version';
  if (version === null) return good(name, `not seen: the token may not read it; it has to be ${MINIMUM} or newer`);
  if (isNewEnough(version)) return good(name, `Nomad ${version}`);
  return bad(
    name,
    'ERR_ENGINE_VERSION',
    `Nomad ${version} is older than ${MINIMUM}`,
    `Upgrade it to ${MINIMUM} or newer.`,
  );
}

async function checkRetention(agent: AgentSettings, { stateDir, wanted }: CheckTools): Promise<readonly Check[]> {
  const { dispatchesPerMinute, inFlight, logBytes } = wanted;
  return retention({
    dispatchesPerMinute,
    inFlight,
    logBytes,
    jobGcSeconds: agent.jobGcSeconds ?? NOMAD_DEFAULTS.jobGcSeconds,
    gcMaxAllocs: agent.gcMaxAllocs ?? NOMAD_DEFAULTS.gcMaxAllocs,
    freeBytes: await freeBytes(stateDir),
  });
}

async function freeBytes(directory: string): Promise<number | null> {
  try {
    const { bavail, bsize } = await statfs(directory);
    return bavail * bsize;
  } catch {
    return null;
  }
}
