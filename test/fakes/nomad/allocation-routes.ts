import { filterOf } from './filter.ts';
import type { Answer, Call } from './http.ts';
import { denied, notFound, Refusal, read } from './http.ts';
import { allocationStub, pageOf, waitForIndex } from './reads.ts';
import type { Parts, Route, StaleReads } from './route.ts';
import { inNamespace, isRegionKnown, need, needSomewhere } from './route.ts';
import type { Allocation } from './wire.ts';

/** Allocations, evaluations, and the stream of their events. */
export const allocationRoutes: readonly Route[] = [
  { name: 'allocations', method: /GET/, path: /^\/v1\/allocations$/, answer: allocations },
  { name: 'allocation', method: /GET/, path: /^\/v1\/allocation\/([^/]+)$/, answer: allocation },
  { name: 'evaluations', method: /GET/, path: /^\/v1\/evaluations$/, answer: evaluations },
  { name: 'evaluation', method: /GET/, path: /^\/v1\/evaluation\/([^/]+)$/, answer: evaluation },
  { name: 'event stream', method: /GET/, path: /^\/v1\/event\/stream$/, answer: eventStream },
];

async function allocations(call: Call, parts: Parts): Promise<Answer> {
  needSomewhere(call, parts, 'read-job');
  const { state } = parts;
  await waitForIndex(call, state, () => state.index);
  const passes = filterOf(call.query.get('filter'));
  const prefix = call.query.get('prefix') ?? '';
  const found = [...state.allocations.values()]
    .filter((one) => inNamespace(call, one.Namespace, 'read-job') && one.ID.startsWith(prefix) && passes(one))
    .toSorted((one, two) => one.CreateIndex - two.CreateIndex || (one.ID < two.ID ? -1 : 1));
  const page = pageOf(call, found, (one) => `${one.CreateIndex}.${one.ID}`);
  const rows = page.rows.map(allocationStub);
  const hasTasks = call.query.get('task_states') !== 'false';
  return read(hasTasks ? rows : rows.map((row) => ({ ...row, TaskStates: null })), state.index, page.headers);
}

async function allocation(call: Call, { state, reads }: Parts): Promise<Answer> {
  const id = call.parts[0] ?? '';
  if (call.rights.problem === 'unknown' || call.rights.problem === 'expired') throw denied();
  if (id.length !== 36) throw new Refusal(500, 'alloc lookup failed: index error: UUID must be 36 characters');
  await waitForIndex(call, state, () => state.allocations.get(id)?.ModifyIndex ?? state.index);
  const newest = state.allocations.get(id);
  if (!newest) throw notFound('alloc', state.index);
  if (!call.rights.has('read-job', newest.Namespace)) throw denied();
  const found = seen(call, newest, state.before.get(id), reads);
  return read(found, found.ModifyIndex);
}

function seen(call: Call, newest: Allocation, before: Allocation | undefined, reads: StaleReads): Allocation {
  if (before === undefined || reads.stale === 0 || call.query.has('index')) return newest;
  reads.stale -= 1;
  return before;
}

function evaluations(call: Call, { state }: Parts): Answer {
  need(call, 'read-job');
  const status = call.query.get('status') ?? '';
  const ofJob = call.query.get('job') ?? '';
  const passes = filterOf(call.query.get('filter'));
  const found = [...state.evaluations.values()]
    .filter((one) => one.Namespace === call.namespace && (status === '' || one.Status === status))
    .filter((one) => (ofJob === '' || one.JobID === ofJob) && passes(one));
  const page = pageOf(call, found, (one) => `${one.CreateIndex}.${one.ID}`);
  return read(page.rows, state.index, page.headers);
}

function evaluation(call: Call, { state }: Parts): Answer {
  need(call, 'read-job');
  const found = state.evaluations.get(call.parts[0] ?? '');
  if (!found) throw notFound('eval', state.index);
  return read(found, found.ModifyIndex);
}

// Events

const TOPICS = ['Job', 'Allocation', 'Evaluation', 'Deployment', 'Service'];

function eventStream(call: Call, { streams }: Parts): null {
  const index = call.query.get('index');
  if (index !== null && !/^-?\d+$/.test(index)) {
    throw new Refusal(400, `Unable to parse index: strconv.Atoi: parsing "${index}": invalid syntax`);
  }
  const asked = call.query.getAll('topic');
  const wrong = asked.find((topic) => topic.split(':').length > 2);
  if (wrong !== undefined) {
    const why = `Invalid key value pair for topic, topic: ${wrong}`;
    throw new Refusal(400, `Invalid topic query: error parsing topics: ${why}`);
  }
  const topics = (asked.length > 0 ? asked : ['*']).map((topic) => {
    const [name = '', key = '*'] = topic.split(':');
    return [name, key] as const;
  });
  const isKnown = topics.every(([name]) => TOPICS.includes(name));
  const allowed =
    isRegionKnown(call) && (call.rights.isManagement || (isKnown && call.rights.has('read-job', call.namespace)));
  streams.subscribe(call.response, { topics, namespace: call.namespace, from: Number(index ?? 0) }, allowed);
  return null;
}
