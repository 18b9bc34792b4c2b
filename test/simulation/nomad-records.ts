import type { Allocation, Evaluation, Job } from '../../src/adapters/engines/nomad/types.ts';

/** Records as the real server answers them, with nothing in them yet. */
export const NO_JOB: Job = {
  ID: '',
  Name: '',
  Namespace: 'agents',
  ParentID: '',
  Type: 'batch',
  Status: 'pending',
  StatusDescription: '',
  Stop: false,
  Dispatched: true,
  DispatchIdempotencyToken: '',
  Payload: '',
  Meta: {},
  Version: 0,
  CreateIndex: 0,
  ModifyIndex: 0,
  JobModifyIndex: 0,
  SubmitTime: 0,
};

export const NO_ALLOCATION: Allocation = {
  ID: '',
  JobID: '',
  NodeID: 'node-1',
  NodeName: 'node-1',
  ClientStatus: 'pending',
  ClientDescription: '',
  DesiredStatus: 'run',
  DesiredDescription: '',
  CreateIndex: 0,
  ModifyIndex: 0,
  CreateTime: 0,
  ModifyTime: 0,
  PreviousAllocation: '',
  NextAllocation: '',
  FollowupEvalID: '',
  PreemptedByAllocation: '',
  TaskStates: {},
};

export const NO_EVALUATION: Evaluation = {
  ID: '',
  JobID: '',
  Status: '',
  StatusDescription: '',
  TriggeredBy: '',
  BlockedEval: '',
  FailedTGAllocs: {},
  PlanAnnotations: null,
  CreateIndex: 0,
  ModifyIndex: 0,
};

interface Ended {
  readonly exitCode: number;
  readonly signal: number;
}

export const isOver = ({ ClientStatus }: Allocation) => ['complete', 'failed', 'lost'].includes(ClientStatus);

/** Of the runner; `exit` null: it runs. */
export function taskState(
  state: string,
  startedAt: string,
  exit: (Pick<Ended, 'exitCode' | 'signal'> & { readonly at: string }) | null,
) {
  const event = (Type: string, time: string, Details: Readonly<Record<string, string>> = {}) => {
    return { Type, DisplayMessage: Type, Details, Time: Date.parse(time) * 1e6, FailsTask: false, FailedSibling: '' };
  };
  const details = { exit_code: String(exit?.exitCode), signal: String(exit?.signal), oom_killed: 'false' };
  const events = [event('Started', startedAt), ...(exit === null ? [] : [event('Terminated', exit.at, details)])];
  return { State: state, Failed: false, StartedAt: startedAt, FinishedAt: exit?.at ?? '', Events: events };
}
