import { z } from 'zod';
import type { Check } from '../../../domain/check.ts';
import { type Code, EdgeError } from '../../../errors.ts';
import type { Tools } from '../../factory.ts';
import { failure } from './answers.ts';
import { capabilitiesOf } from './capabilities.ts';
import type { Answer } from './client.ts';
import { tokenSeconds } from './grants.ts';
import { boundCidrs, creationPath, rolePath } from './names.ts';
import type { VaultOptions } from './options.ts';
import { excessOf, forbiddenPaths, neededRights } from './own-rights.ts';
import { excessOf as excessOfRole, lackOf, roleSchema } from './role.ts';
import type { Secrets } from './secrets.ts';
import type { Session } from './session.ts';

export interface Checked {
  readonly session: Session;
  readonly options: VaultOptions;
  readonly secrets: Secrets;
  readonly tools: Tools;
}

const SKEW_SECONDS = 30;
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/**
 * Everything that the dispatcher needs of the store, and what it must not have there (S1.3, S1.6). Never throws for a bad
 * answer. Where the store is away, or knows no token of ours, the rest is not asked.
 */
export async function checkStore(checked: Checked, signal?: AbortSignal): Promise<readonly Check[]> {
  const server = await checkServer(checked, signal);
  const checks = [checkTransport(checked.options), ...server];
  if (server.some(({ ok, code }) => !ok && code !== 'ERR_CLOCK_SKEW')) return checks;
  const own = await lookUpSelf(checked, signal);
  if ('name' in own) return [...checks, own];
  const rest = await Promise.all([
    checkRights(checked, own.accessor, signal),
    checkRole(checked, signal),
    checkMetadata(checked, signal),
  ]);
  return [...checks, checkToken(checked, own), ...rest];
}

/** No failure: the way may be made safe by others (a mesh, a tunnel). */
function checkTransport({ address }: VaultOptions): Check {
  const name = 'access.vault.transport';
  const { protocol, hostname } = new URL(address);
  if (protocol === 'https:') return good(name, 'TLS');
  if (LOOPBACK.test(hostname)) return good(name, 'http on this machine');
  return good(name, `http to ${hostname}: tokens and secrets travel readable; use https`);
}

const health = z.object({ initialized: z.boolean(), sealed: z.boolean(), standby: z.boolean(), version: z.string() });

async function checkServer({ session, tools }: Checked, signal?: AbortSignal): Promise<readonly Check[]> {
  const name = 'access.vault.server';
  let answer: Answer;
  try {
    const doing = 'ask for its health';
    // Outside of namespaces; standbys and sealed ones say so in the body and by their status.
    answer = await session.client.send({ doing, method: 'GET', path: 'sys/health', global: true, signal }, null);
  } catch (error) {
    return [failed(name, error, signal)];
  }
  const found = health.safeParse(answer.body).data;
  if (found === undefined) return [failed(name, failure('unreadable', 'ask for its health', { mark: answer.status }))];
  const { initialized, sealed, standby, version } = found;
  if (!initialized) return [bad(name, 'the secret store is not initialised', 'Initialise and unseal it.')];
  if (sealed) return [failed(name, failure('sealed', 'use it'))];
  // A standby hands requests on to the active one; where it does not, the next check finds out.
  const state = standby ? 'is a standby' : 'is active';
  return [good(name, `the secret store ${state} (${version})`), ...checkClock(answer.serverTime, tools.clock.now())];
}

function checkClock(theirs: Date | null, ours: Date): readonly Check[] {
  if (theirs === null) return [];
  const name = 'access.vault.clock';
  const skew = Math.round(Math.abs(theirs.getTime() - ours.getTime()) / 1000);
  if (skew <= SKEW_SECONDS) return [good(name, `its clock is within ${SKEW_SECONDS} s of ours`)];
  return [bad(name, `its clock and ours differ by ${skew} s`, 'Synchronise the clocks (NTP).', 'ERR_CLOCK_SKEW')];
}

const selfData = z.object({
  accessor: z.string().default(''),
  policies: z.array(z.string()).nullish(),
  type: z.string(),
  num_uses: z.number(),
  ttl: z.number(),
  renewable: z.boolean().optional(),
});
type Self = z.infer<typeof selfData>;

async function lookUpSelf({ session }: Checked, signal?: AbortSignal): Promise<Self | Check> {
  try {
    const doing = 'look up our own token';
    const request = { doing, method: 'GET', path: 'auth/token/lookup-self', signal } as const;
    return (await session.ask(request, z.object({ data: selfData }))).data;
  } catch (error) {
    return failed('access.vault.token', error, signal);
  }
}

function checkToken({ session }: Checked, own: Self): Check {
  const name = 'access.vault.token';
  if (own.policies?.includes('root') === true) {
    const fix = 'Give it a token with the policy service-dispatcher and nothing else.';
    return bad(name, 'the dispatcher has a root token', fix, 'ERR_ACCESS_EXCESS');
  }
  if (own.type !== 'service' || own.num_uses !== 0) {
    return bad(name, 'our token can not make others: it is a batch token, or counted', 'Give it a service token.');
  }
  if (own.ttl > 0 && own.renewable !== true && !session.token.canBeMadeAnew) {
    return good(
      name,
      `our token ends in ${own.ttl} s and can not be renewed: a new one has to be in token_file by then`,
    );
  }
  return good(name, session.token.canBeMadeAnew ? 'our token comes from a login' : 'our token lives on by renewal');
}

async function checkRights(
  { session, options, secrets, tools }: Checked,
  accessor: string,
  signal?: AbortSignal,
): Promise<Check> {
  const name = 'access.vault.rights';
  try {
    const listed = await secrets.catalogue(signal).catch((error: unknown) => failed(name, error, signal));
    const forbidden = forbiddenPaths(options, 'name' in listed ? [] : listed, tools.wanted.sidecar);
    const needed = neededRights(options);
    const paths = [...forbidden.values, ...forbidden.rights, ...needed.map(([path]) => path)];
    const found = await capabilitiesOf(session, accessor, paths, signal);
    const excess = excessOf(forbidden, found);
    if (excess.length > 0) {
      const what = `the dispatcher's own token may use what it must not: ${some(excess)}`;
      return bad(name, what, 'Take these rights away; `deploy` writes the right policy.', 'ERR_ACCESS_EXCESS');
    }
    const less = needed.filter(([path, right]) => !found.hasAny(path, [right])).map(([path]) => path);
    if (less.length === 0 && 'name' in listed) return listed;
    if (less.length === 0) return good(name, 'our token may do what it needs and reads no secret');
    return bad(name, `our token has no right to: ${some(less)}`, 'Run `deploy`; give our token service-dispatcher.');
  } catch (error) {
    return failed(name, error, signal);
  }
}

async function checkRole({ session, options, tools }: Checked, signal?: AbortSignal): Promise<Check> {
  const name = 'access.vault.role';
  try {
    const doing = `read the role ${options.role}`;
    const request = { doing, method: 'GET', path: rolePath(options), signal } as const;
    const role = (await session.ask(request, z.object({ data: roleSchema }))).data;
    const excess = excessOfRole(role);
    const fix = 'Run `deploy`: it sets the role right.';
    if (excess.length > 0) return bad(name, `the role gives too much: ${excess.join('; ')}`, fix, 'ERR_ACCESS_EXCESS');
    const lack = lackOf(role, tokenSeconds(tools.wanted.wrapSeconds), boundCidrs(options));
    if (lack.length > 0) return bad(name, `the role gives too little: ${lack.join('; ')}`, fix);
    return good(name, `${creationPath(options)} makes what a run may have, and no more`);
  } catch (error) {
    return failed(name, error, signal);
  }
}

async function checkMetadata({ secrets }: Checked, signal?: AbortSignal): Promise<Check> {
  const name = 'access.vault.metadata';
  try {
    const { length } = await secrets.catalogue(signal);
    return good(name, `${length} secrets can be listed`);
  } catch (error) {
    return failed(name, error, signal);
  }
}

const SOME = 5;
const some = (paths: readonly string[]): string =>
  paths.length <= SOME ? paths.join(', ') : `${paths.slice(0, SOME).join(', ')} and ${paths.length - SOME} more`;

function failed(name: string, error: unknown, signal?: AbortSignal): Check {
  signal?.throwIfAborted();
  if (!(error instanceof EdgeError)) throw error;
  return bad(name, error.message, error.hint, error.code);
}

const good = (name: string, message: string): Check => ({ name, ok: true, code: null, message, fix: null });

function bad(name: string, message: string, fix: string, code: Code = 'ERR_ACCESS_DENIED'): Check {
  return { name, ok: false, code, message, fix };
}
