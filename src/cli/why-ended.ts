import type { Result } from '../domain/result.ts';
import { resultPathOf } from '../story/catalogue.ts';
import { approvedBy, done, open, STEP_OF, type Step, type StepName, steps, stopped, type Told } from './why-steps.ts';

/** `sidecarsDir`: where results of sidecars lie. */
export function stepsOfResult(result: Result, sidecarsDir: string): readonly Step[] {
  const { times } = result;
  const record = done({
    path: resultPathOf(result.id, result.action.path, sidecarsDir),
    recorded: times.recorded,
    exit_code: result.exit_code,
  });
  if (result.attempt === null) return steps({ ...stepsBeforeClaim(result), 'record-result': record });
  const { action, formula, approval, attempt: tried, run, access, output, artifacts, sidecar } = result;
  return steps({
    'read-action': done({
      path: action.path,
      blob: action.blob,
      commit: action.commit,
      committed: times.committed,
      ...(formula === null ? {} : { formula: formula.name, formula_blob: formula.blob, tier: formula.tier }),
      ...(sidecar === undefined ? {} : { issue: `${sidecar.repo}#${sidecar.issue}`, url: sidecar.url }),
    }),
    'approve-action': approval === null ? open() : done({ rules: approval.required, ...approvedBy(approval.evidence) }),
    'grant-access': access === null ? open() : done({ policies: access.policies, issued: access.issued_at }),
    'claim-attempt': done({
      attempt: tried.number,
      dispatcher: tried.dispatcher,
      token: tried.token,
      earlier: result.attempts.map(({ number, outcome, exit_code }) => ({ attempt: number, outcome, exit_code })),
    }),
    'dispatch-run':
      run === null
        ? open()
        : done({
            engine: run.engine,
            run: run.id,
            node: run.node,
            dispatched: times.dispatched,
            isolated: run.isolated,
            digest_verified: run.digest_verified,
          }),
    'follow-run': endOf(result),
    'revoke-access': access?.revoked_at == null ? open() : done({ revoked: access.revoked_at }),
    'collect-output':
      output === null
        ? open()
        : done({
            output: (['stdout', 'stderr'] as const).map((stream) => ({
              stream,
              bytes: output[stream].bytes,
              complete: output[stream].complete ? 'yes' : 'no',
              uri: output[stream].uri,
            })),
            masked: Object.entries(output.masked).map(([name, times_masked]) => ({
              secret: name,
              times: times_masked,
            })),
            artifacts: artifacts.map(({ path, bytes, uri }) => ({ path, bytes, uri })),
          }),
    'record-result': record,
  });
}

function endOf({ outcome, reason, exit_code, times, run }: Result): Told {
  const facts = { started: times.started, finished: times.finished, exit_code, signal: run?.signal ?? null };
  const followed = done({ outcome, ...facts });
  return reason === null ? followed : { ...followed, code: reason.code, message: reason.message, hint: reason.hint };
}

/** A definite no: what it was said of is known, and that the steps before it held. */
function stepsBeforeClaim({ reason, action }: Result): Partial<Record<StepName, Told>> {
  const file = { path: action.path, blob: action.blob, commit: action.commit };
  if (reason === null) return { 'read-action': open(file) };
  const at = STEP_OF[reason.code] ?? 'read-action';
  if (at === 'read-action') return { 'read-action': stopped('refused', reason, file) };
  // A wish to cancel and a time that has passed stop an action before anybody asks who approved it.
  return { 'read-action': isJudgedAfter(at) ? done(file) : open(file), [at]: stopped('refused', reason) };
}

const isJudgedAfter = (step: StepName) => step === 'approve-action' || step === 'grant-access';
