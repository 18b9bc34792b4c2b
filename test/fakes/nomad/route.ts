import type { Acl } from './acl.ts';
import type { Dispatcher } from './dispatch.ts';
import type { EventStreams } from './events.ts';
import type { Answer, Call } from './http.ts';
import { denied } from './http.ts';
import type { Logs } from './logs.ts';
import type { Scheduler } from './scheduler.ts';
import type { State } from './state.ts';

/** The parts of the server that the routes are answered from. */
export interface Parts {
  readonly acl: Acl;
  readonly state: State;
  readonly scheduler: Scheduler;
  readonly dispatcher: Dispatcher;
  readonly streams: EventStreams;
  readonly logs: Logs;
  readonly namespaces: Map<string, Readonly<Record<string, unknown>>>;
  readonly reads: StaleReads;
}

/** So many of the next reads of an allocation that wait for no index answer it as it was before its last change. */
export interface StaleReads {
  stale: number;
}

export interface Route {
  /** As requests are counted. */
  readonly name: string;
  readonly method: RegExp;
  /** Of the decoded path. */
  readonly path: RegExp;
  answer(call: Call, parts: Parts): Answer | Promise<Answer>;
}

export function isRegionKnown({ query }: Call): boolean {
  return ['', 'global'].includes(query.get('region') ?? '');
}

export function newNamespace(name: string): Readonly<Record<string, unknown>> {
  return {
    Capabilities: null,
    ConsulConfiguration: null,
    CreateIndex: 1,
    Description: '',
    Hash: '',
    Meta: null,
    ModifyIndex: 1,
    Name: name,
    NodePoolConfiguration: null,
    OptionalExtraClaims: null,
    Quota: '',
    RequiredExtraClaims: null,
    VaultConfiguration: null,
  };
}

/** Rights of one namespace; without them nothing else is told. */
export function need(call: Call, capability: string): void {
  if (!call.rights.has(capability, call.namespace)) throw denied();
}

export function inNamespace(call: Call, namespace: string, capability: string): boolean {
  return call.namespace === namespace || (call.namespace === '*' && call.rights.has(capability, namespace));
}

/** `namespace=*`: refused to who may not do it in any namespace; what is in the others is left out. */
export function needSomewhere(call: Call, { namespaces }: Parts, capability: string): void {
  const names = call.namespace === '*' ? [...namespaces.keys()] : [call.namespace];
  if (!names.some((name) => call.rights.has(capability, name))) throw denied();
}
