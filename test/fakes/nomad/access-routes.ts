import { createHash } from 'node:crypto';
import type { AclPolicy, AclToken } from './acl.ts';
import { grantsOf } from './acl.ts';
import type { Answer, Call } from './http.ts';
import { denied, jsonOf, Refusal, read, textOf } from './http.ts';
import type { Parts, Route } from './route.ts';
import { newNamespace } from './route.ts';

/** Tokens, policies, namespaces, and what the agent says of itself. */
export const accessRoutes: readonly Route[] = [
  { name: 'token self', method: /GET/, path: /^\/v1\/acl\/token\/self$/, answer: tokenSelf },
  { name: 'token', method: /PUT|POST/, path: /^\/v1\/acl\/token$/, answer: createToken },
  { name: 'tokens', method: /GET/, path: /^\/v1\/acl\/tokens$/, answer: management(() => ({ json: [] })) },
  { name: 'policies', method: /GET/, path: /^\/v1\/acl\/policies$/, answer: policies },
  { name: 'policy', method: /GET/, path: /^\/v1\/acl\/policy\/([^/]+)$/, answer: policy },
  { name: 'put policy', method: /PUT|POST/, path: /^\/v1\/acl\/policy\/([^/]+)$/, answer: management(putPolicy) },
  { name: 'namespaces', method: /GET/, path: /^\/v1\/namespaces$/, answer: namespaces },
  { name: 'namespace', method: /GET/, path: /^\/v1\/namespace\/([^/]+)$/, answer: namespace },
  {
    name: 'put namespace',
    method: /PUT|POST/,
    path: /^\/v1\/namespace(?:s|\/([^/]+))?$/,
    answer: management(putNamespace),
  },
  { name: 'agent self', method: /GET/, path: /^\/v1\/agent\/self$/, answer: agentSelf },
  {
    name: 'agent health',
    method: /GET/,
    path: /^\/v1\/agent\/health$/,
    answer: () => ({ json: { client: { message: 'ok', ok: true }, server: { message: 'ok', ok: true } } }),
  },
  { name: 'leader', method: /GET/, path: /^\/v1\/status\/leader$/, answer: () => ({ json: '127.0.0.1:4647' }) },
  { name: 'regions', method: /GET/, path: /^\/v1\/regions$/, answer: () => ({ json: ['global'] }) },
  { name: 'nodes', method: /GET/, path: /^\/v1\/nodes$/, answer: nodes },
  { name: 'system gc', method: /PUT|POST/, path: /^\/v1\/system\/gc$/, answer: management(() => ({ text: '' })) },
  {
    name: 'scheduler configuration',
    method: /PUT|POST/,
    path: /^\/v1\/operator\/scheduler\/configuration$/,
    answer: management(setScheduler),
  },
];

const NEVER = '0001-01-01T00:00:00Z';
const ANONYMOUS = {
  AccessorID: 'anonymous',
  SecretID: '',
  Name: 'Anonymous Token',
  Type: 'client',
  Policies: ['anonymous'],
} as const;
const NO_ACL = { ...ANONYMOUS, AccessorID: 'acls-disabled', Name: 'ACLs disabled token', Policies: null };

type Handler = (call: Call, parts: Parts) => Answer;

function management(answer: Handler): Handler {
  return (call, parts) => {
    if (!call.rights.isManagement) throw denied();
    return answer(call, parts);
  };
}

// Tokens and policies

/** 200 for a valid token or none and 403 for any other: the way to tell a bad token from one without the right. */
function tokenSelf({ rights }: Call, { acl, state }: Parts): Answer {
  if (!acl.enabled) return read(tokenRecord(NO_ACL, NEVER), 0);
  if (rights.problem === 'absent') return read(tokenRecord(ANONYMOUS, NEVER), 0);
  if (rights.token === null) throw denied();
  return read(tokenRecord(rights.token, new Date().toISOString()), state.index);
}

function tokenRecord(token: Omit<AclToken, 'isExpired'>, createTime: string): Readonly<Record<string, unknown>> {
  const { AccessorID, SecretID, Name, Type, Policies } = token;
  const blank = { ExpirationTTL: '', ExpirationTime: null, Roles: null, Global: false, Hash: AccessorID };
  return {
    ...blank,
    AccessorID,
    SecretID,
    Name,
    Type,
    Policies,
    CreateTime: createTime,
    CreateIndex: 1,
    ModifyIndex: 1,
  };
}

function createToken(call: Call, { acl }: Parts): Answer {
  needAcl(acl.enabled);
  if (!call.rights.isManagement) throw denied();
  const body = jsonOf(call);
  const secret = crypto.randomUUID();
  acl.addToken(secret, {
    name: textOf(body['Name']),
    type: body['Type'] === 'management' ? 'management' : 'client',
    policies: (body['Policies'] ?? []) as readonly string[],
  });
  const { token } = acl.rightsOf(secret);
  return { json: token && tokenRecord(token, new Date().toISOString()) };
}

/** A client token sees its own policies only. */
function policies(call: Call, { acl, state }: Parts): Answer {
  needAcl(acl.enabled);
  if (['unknown', 'expired'].includes(call.rights.problem)) throw denied();
  const seen = [...acl.policies.values()].filter(({ Name }) => mayRead(call, Name));
  return read(
    seen.map((one) => ({ ...one, Rules: undefined, Hash: hashOf(one), JobACL: null })),
    state.index,
  );
}

function policy(call: Call, { acl, state }: Parts): Answer {
  needAcl(acl.enabled);
  const name = call.parts[0] ?? '';
  if (!mayRead(call, name)) throw denied();
  const found = acl.policies.get(name);
  if (!found) throw new Refusal(404, 'ACL policy not found', state.index);
  return read({ ...found, Hash: hashOf(found), JobACL: null, RulesJSON: rulesJson(found) }, found.ModifyIndex);
}

function putPolicy(call: Call, { acl, state }: Parts): Answer {
  needAcl(acl.enabled);
  const body = jsonOf(call);
  acl.putPolicy(call.parts[0] ?? '', textOf(body['Rules']), textOf(body['Description']), state.index);
  return { text: '', index: state.index };
}

function mayRead({ rights }: Call, name: string): boolean {
  return rights.isManagement || (rights.token?.Policies ?? []).includes(name);
}

function hashOf({ Rules }: AclPolicy): string {
  return createHash('sha256').update(Rules).digest('base64');
}

function rulesJson({ Rules }: AclPolicy): Readonly<Record<string, unknown>> {
  const namespaces = grantsOf(Rules).map(({ name, capabilities }) => ({
    Name: name,
    Capabilities: capabilities,
    Policy: '',
    Variables: null,
  }));
  return {
    Agent: null,
    ExtraKeysHCL: null,
    HostVolumes: null,
    Namespaces: namespaces,
    Node: null,
    NodePools: null,
    Operator: null,
    Plugin: null,
    Quota: null,
    Raw: Rules,
    Sentinel: null,
  };
}

function needAcl(isEnabled: boolean): void {
  if (!isEnabled) throw new Refusal(400, 'ACL support disabled');
}

// Namespaces

function namespaces(call: Call, parts: Parts): Answer {
  if (['unknown', 'expired'].includes(call.rights.problem)) throw denied();
  const seen = [...parts.namespaces.values()].filter((one) => call.rights.sees(String(one['Name'])));
  return read(seen, parts.state.index);
}

function namespace(call: Call, parts: Parts): Answer {
  const name = call.parts[0] ?? '';
  if (!call.rights.sees(name)) throw denied();
  const found = parts.namespaces.get(name);
  if (!found) throw new Refusal(404, 'Namespace not found', parts.state.index);
  return read(found, parts.state.index);
}

function putNamespace(call: Call, parts: Parts): Answer {
  const body = jsonOf(call);
  const name = textOf(body['Name'], call.parts[0]);
  parts.namespaces.set(name, { ...newNamespace(name), ...parts.namespaces.get(name), ...body, Name: name });
  return { text: '', index: parts.state.index };
}

// The agent

function agentSelf({ rights }: Call, { acl }: Parts): Answer {
  if (!rights.reads('agent')) throw denied();
  const config = { ACL: { Enabled: acl.enabled }, Region: 'global', Version: { Version: '2.0.5' } };
  return { json: { config, member: { Name: 'edge-1.global', Status: 'alive' }, stats: {} } };
}

function nodes({ rights }: Call, { state }: Parts): Answer {
  if (!rights.reads('node')) throw denied();
  return read([{ ID: 'b44a406b-7062-a73a-db8d-a1abda7d5cad', Name: 'edge-1', Status: 'ready' }], state.index);
}

function setScheduler(call: Call, { dispatcher }: Parts): Answer {
  dispatcher.registrationsOff = jsonOf(call)['RejectJobRegistration'] === true;
  return { json: { Updated: true } };
}
