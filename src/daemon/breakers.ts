import { EdgeError } from '../errors.ts';
import type { Log, LogFields } from '../ports/log.ts';
import type { StoryContext } from '../story/context.ts';
import { type Away, Breaker, type ServiceName, type ServiceTools } from './breaker.ts';

/*
 * One breaker a service, around the ports that talk to it. What answers from this machine (reads of the clone, checks,
 * which have a pace of their own) goes by, and so do streams, which survive outages by themselves.
 */

type Ports = Pick<StoryContext, 'opsRepo' | 'journal' | 'engine' | 'access' | 'store' | 'forge'>;
type Port = keyof Ports;
type Service = 'git' | 'journal' | 'engine' | 'access' | 'store' | 'forge';

/**
 * Of each method of a port: `free` is answered without the service, or survives outages by itself; `refused` while the
 * service is left alone; `wide` too, and it is about the service as a whole, so that two that fail are two subjects;
 * `urgent` is never refused: a person's wish, a sign of life, the proof that ends with its wrapper.
 */
type How = 'free' | 'refused' | 'wide' | 'urgent';
type Hows<T> = { readonly [M in keyof T]-?: How };

const HOWS: { readonly [P in Port]: Hows<NonNullable<Ports[P]>> } = {
  opsRepo: {
    refresh: 'refused',
    publish: 'refused',
    obtain: 'refused',
    approvalTags: 'refused',
    acceptHistory: 'free',
    list: 'free',
    changes: 'free',
    entryAt: 'free',
    read: 'free',
    commit: 'free',
    lastChanged: 'free',
    firstParentChanges: 'free',
    introducers: 'free',
    everAdded: 'free',
    isAncestor: 'free',
    mergeBases: 'free',
    root: 'free',
    verifySignature: 'free',
    close: 'free',
  },
  journal: {
    refresh: 'refused',
    claim: 'refused',
    update: 'refused',
    end: 'refused',
    adopt: 'refused',
    adoptGiven: 'refused',
    takeOver: 'refused',
    renew: 'urgent',
    view: 'free',
    age: 'free',
  },
  engine: {
    ready: 'wide',
    find: 'refused',
    look: 'refused',
    dispatch: 'refused',
    artifact: 'refused',
    forget: 'refused',
    cancel: 'urgent',
    kind: 'free',
    isolated: 'free',
    check: 'free',
    watch: 'free',
    logs: 'free',
  },
  access: {
    states: 'wide',
    grant: 'refused',
    verify: 'refused',
    revoke: 'refused',
    consume: 'urgent',
    kind: 'free',
    check: 'free',
    placeOf: 'free',
  },
  store: { put: 'refused', get: 'refused' },
  forge: {
    changeOf: 'refused',
    hasCommit: 'refused',
    change: 'refused',
    openChanges: 'refused',
    reviews: 'refused',
    files: 'refused',
    commits: 'refused',
    history: 'refused',
    pusherOf: 'refused',
    isAdmin: 'refused',
    setStatus: 'refused',
    comment: 'refused',
    kind: 'free',
    url: 'free',
    check: 'free',
  },
};

const NAMES: Readonly<Record<Service, ServiceName>> = {
  git: { service: 'git', name: 'the git server', code: 'ERR_GIT_UNAVAILABLE' },
  journal: { service: 'journal', name: 'the git server of the journal', code: 'ERR_GIT_UNAVAILABLE' },
  engine: { service: 'engine', name: 'the engine', code: 'ERR_ENGINE_UNAVAILABLE' },
  access: { service: 'access', name: 'the secret store', code: 'ERR_ACCESS_UNAVAILABLE' },
  store: { service: 'store', name: 'the store', code: 'ERR_STORE_UNAVAILABLE' },
  forge: { service: 'forge', name: 'the forge', code: 'ERR_FORGE_UNAVAILABLE' },
};

export interface ServiceState {
  readonly service: string;
  /** null: nothing is known against it. */
  readonly away: Away | null;
  /** How long it was away since the start of this process, in milliseconds. */
  readonly awayMs: number;
}

export interface Breakers {
  /** The same port; its calls of the service are refused with LeftAlone while that is away. */
  guard<P extends Port, T extends Ports[P]>(port: P, inner: T): T;
  /** Lines about an outage that is told of already become debug lines. */
  quieten(log: Log): Log;
  states(): readonly ServiceState[];
}

/** `journalApart`: the journal lies on another server than the branch. */
export function createBreakers(tools: ServiceTools, { journalApart = false } = {}): Breakers {
  const services: readonly Service[] = ['git', ...(journalApart ? ['journal' as const] : []), ...OTHERS];
  const breakers = new Map(services.map((service) => [service, new Breaker(NAMES[service], tools)]));
  const serviceOf = (port: Port): Service => {
    if (port === 'opsRepo') return 'git';
    return port === 'journal' && !journalApart ? 'git' : port;
  };
  const isAway = (code: unknown) =>
    [...breakers].some(([service, breaker]) => NAMES[service].code === code && breaker.away() !== null);
  return {
    guard(port, inner) {
      const breaker = breakers.get(serviceOf(port));
      return inner === null || breaker === undefined
        ? inner
        : guarded(inner, { port, hows: new Map(Object.entries(HOWS[port])) }, breaker);
    },
    quieten(log) {
      const quiet = (say: Log['info']) => (message: string, fields?: LogFields) =>
        isAway(codeIn(fields)) ? log.debug(message, fields) : say(message, fields);
      return {
        debug: (message, fields) => log.debug(message, fields),
        info: quiet((message, fields) => log.info(message, fields)),
        warn: quiet((message, fields) => log.warn(message, fields)),
        error: (message, fields) => log.error(message, fields),
      };
    },
    states: () =>
      [...breakers].map(([service, breaker]) => ({ service, away: breaker.away(), awayMs: breaker.awayMs() })),
  };
}

const OTHERS = ['engine', 'access', 'store', 'forge'] as const;

function codeIn(fields: LogFields | undefined): unknown {
  const err = fields?.['err'];
  return err instanceof EdgeError ? err.code : fields?.['code'];
}

interface Guarded {
  readonly port: Port;
  readonly hows: ReadonlyMap<PropertyKey, How>;
}

function guarded<T extends object>(inner: T, { port, hows }: Guarded, breaker: Breaker): T {
  let count = 0;
  return new Proxy(inner, {
    get(target, key) {
      const member: unknown = Reflect.get(target, key, target);
      if (typeof member !== 'function') return member;
      const how = hows.get(key) ?? 'free';
      if (how === 'free') return (...given: unknown[]) => Reflect.apply(member, target, given);
      return (...given: unknown[]) => {
        count += 1;
        const about = how === 'wide' ? String(count) : how === 'urgent' ? '' : nameOf(given[0]);
        const call = { subject: `${port}.${String(key)} ${about}`, isUrgent: how === 'urgent' };
        return breaker.call(call, async () => Reflect.apply(member, target, given));
      };
    },
  });
}

/** What a call is about, by its first argument: a name, a number, or what an object is known by. */
function nameOf(given: unknown): string {
  if (typeof given === 'string' || typeof given === 'number') return String(given);
  if (Array.isArray(given)) return given.join();
  if (typeof given !== 'object' || given === null) return '';
  const names = Object.entries(given).filter(([key]) => ['id', 'path', 'token'].includes(key));
  return names.map(([, value]) => nameOf(value)).join();
}
