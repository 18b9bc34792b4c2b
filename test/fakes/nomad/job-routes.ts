import { filterOf } from './filter.ts';
import type { Answer, Call } from './http.ts';
import { denied, jsonOf, notFound, Refusal, read, textOf } from './http.ts';
import { withDefaults } from './job-defaults.ts';
import { allocationStub, jobStub, pageOf, summaryOf, waitForIndex } from './reads.ts';
import type { Parts, Route } from './route.ts';
import { inNamespace, need, needSomewhere } from './route.ts';
import type { Job } from './wire.ts';
import { nanoseconds } from './wire.ts';

/** Longest first: ids of children hold slashes. */
export const jobRoutes: readonly Route[] = [
  {
    name: 'dispatch',
    method: /./,
    path: /^\/v1\/job\/(.+)\/dispatch(\/payload)?$/,
    answer: (call, { dispatcher }) => dispatcher.handle(call),
  },
  { name: 'job allocations', method: /GET/, path: /^\/v1\/job\/(.+)\/allocations$/, answer: jobAllocations },
  { name: 'job evaluations', method: /GET/, path: /^\/v1\/job\/(.+)\/evaluations$/, answer: jobEvaluations },
  { name: 'job summary', method: /GET/, path: /^\/v1\/job\/(.+)\/summary$/, answer: jobSummary },
  { name: 'plan', method: /PUT|POST/, path: /^\/v1\/job\/(.+)\/plan$/, answer: plan },
  { name: 'job', method: /GET/, path: /^\/v1\/job\/(.+)$/, answer: job },
  { name: 'stop', method: /DELETE/, path: /^\/v1\/job\/(.+)$/, answer: stop },
  { name: 'register', method: /PUT|POST/, path: /^\/v1\/(?:jobs|job\/(.+))$/, answer: register },
  { name: 'jobs', method: /GET/, path: /^\/v1\/jobs$/, answer: jobs },
];

async function job(call: Call, { state }: Parts): Promise<Answer> {
  need(call, 'read-job');
  const id = call.parts[0] ?? '';
  await waitForIndex(call, state, () => state.job(call.namespace, id)?.ModifyIndex ?? state.index);
  const found = state.job(call.namespace, id);
  if (!found) throw notFound('job', state.index);
  return read(found, found.ModifyIndex);
}

function jobAllocations(call: Call, { state }: Parts): Answer {
  need(call, 'read-job');
  const of = { Namespace: call.namespace, ID: call.parts[0] ?? '' };
  const rows = state.allocationsOf(of).map(allocationStub);
  return read(rows, state.index);
}

function jobEvaluations(call: Call, { state }: Parts): Answer {
  need(call, 'read-job');
  return read(state.evaluationsOf({ Namespace: call.namespace, ID: call.parts[0] ?? '' }), state.index);
}

function jobSummary(call: Call, { state }: Parts): Answer {
  need(call, 'read-job');
  const found = state.job(call.namespace, call.parts[0] ?? '');
  if (!found) throw notFound('job', state.index);
  return read(summaryOf(found, state), state.index);
}

/** A parameterized job waits, any other is placed at once. The same job again changes nothing. */
function register(call: Call, { state, scheduler, namespaces }: Parts): Answer {
  const wanted = jobOf(call);
  if (!call.rights.has('submit-job', wanted.Namespace)) throw denied();
  if (!namespaces.has(wanted.Namespace)) {
    const why = `job "${wanted.ID}" is in nonexistent namespace "${wanted.Namespace}"`;
    throw new Refusal(500, `1 error occurred:\n\t* ${why}\n\n`);
  }
  const before = state.job(wanted.Namespace, wanted.ID);
  const stored = { ...wanted, ...identityOf(before) };
  const isSame = before !== undefined && !before.Stop && specOf(before) === specOf(stored);
  const done = { Warnings: '', EvalID: '', EvalCreateIndex: 0 };
  if (isSame) return registered({ ...done, JobModifyIndex: before.JobModifyIndex, Index: state.index });
  if (stored.ParameterizedJob) {
    const index = scheduler.store(stored);
    return registered({ ...done, JobModifyIndex: index, Index: index });
  }
  const { index, evaluation: made } = scheduler.register(stored);
  return registered({ ...done, EvalID: made.ID, EvalCreateIndex: index, JobModifyIndex: index, Index: index });
}

function plan(call: Call, { state }: Parts): Answer {
  const wanted = jobOf(call);
  if (!call.rights.has('submit-job', wanted.Namespace)) throw denied();
  const before = state.job(wanted.Namespace, wanted.ID);
  const isSame = before !== undefined && specOf(before) === specOf({ ...wanted, ...identityOf(before) });
  const type = before === undefined ? 'Added' : isSame ? 'None' : 'Edited';
  const diff = { Type: type, ID: wanted.ID, Fields: null, Objects: null, TaskGroups: null };
  return { json: { Diff: diff, JobModifyIndex: before?.JobModifyIndex ?? 0, Warnings: '' }, index: state.index };
}

function jobOf(call: Call): Job {
  const body = jsonOf(call)['Job'] as Readonly<Record<string, unknown>> | undefined;
  if (body?.['ID'] === undefined) throw new Refusal(400, 'Job must be specified');
  return {
    ...withDefaults(body, textOf(body['Namespace'], call.namespace)),
    Status: 'running',
    Version: 0,
    SubmitTime: nanoseconds(),
  };
}

function identityOf(before: Job | undefined) {
  return {
    Version: before ? before.Version + 1 : 0,
    CreateIndex: before?.CreateIndex ?? 0,
    ModifyIndex: 0,
    JobModifyIndex: 0,
  };
}

/** What the operator writes, without what the server counts. */
function specOf(of: Job): string {
  const { Version: _v, CreateIndex: _c, ModifyIndex: _m, JobModifyIndex: _j, SubmitTime: _s, Status: _t, ...spec } = of;
  return JSON.stringify(Object.entries(spec).toSorted(([one], [two]) => one.localeCompare(two)));
}

function registered(body: Readonly<Record<string, unknown>>): Answer {
  return { json: { ...body, KnownLeader: false, LastContact: 0, NextToken: '' }, index: Number(body['Index']) };
}

function stop(call: Call, { state, scheduler }: Parts): Answer {
  const isPurge = call.query.get('purge') === 'true';
  const { rights, namespace } = call;
  const may = rights.has('submit-job', namespace) || rights.has(isPurge ? 'purge-job' : 'deregister-job', namespace);
  if (!may) throw denied();
  const found = state.job(namespace, call.parts[0] ?? '');
  const blank = { KnownLeader: false, LastContact: 0, NextToken: '', VolumeEvalID: '', VolumeEvalIndex: 0 };
  if (!found) return { json: { ...blank, EvalCreateIndex: 0, EvalID: '', Index: 0, JobModifyIndex: 0 }, index: 0 };
  if (found.ParameterizedJob && !found.Dispatched && !isPurge) {
    const index = scheduler.store({ ...found, Stop: true, Status: 'dead' });
    return { json: { ...blank, EvalCreateIndex: index, EvalID: '', Index: index, JobModifyIndex: index }, index };
  }
  const { ID, CreateIndex: index } = isPurge ? scheduler.purge(found) : scheduler.stop(found);
  return { json: { ...blank, EvalCreateIndex: index, EvalID: ID, Index: index, JobModifyIndex: index }, index };
}

async function jobs(call: Call, parts: Parts): Promise<Answer> {
  needSomewhere(call, parts, 'list-jobs');
  const { state } = parts;
  await waitForIndex(call, state, () => state.index);
  const prefix = call.query.get('prefix') ?? '';
  const passes = filterOf(call.query.get('filter'));
  const found = [...state.jobs.values()]
    .filter((one) => inNamespace(call, one.Namespace, 'list-jobs') && one.ID.startsWith(prefix) && passes(one))
    .toSorted((one, two) => (jobKey(one) < jobKey(two) ? -1 : 1));
  const page = pageOf(call, found, jobKey);
  const withMeta = call.query.get('meta') === 'true';
  return read(
    page.rows.map((one) => jobStub(one, state, withMeta)),
    state.index,
    page.headers,
  );
}

function jobKey(one: Job): string {
  return `${one.Namespace}.${one.ID}`;
}
