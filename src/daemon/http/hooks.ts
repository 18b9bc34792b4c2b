import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { SecretText } from '../../domain/secret-text.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Log } from '../../ports/log.ts';
import { spaced } from './hook-hints.ts';
import { isSigned, signatureOf } from './hook-signature.ts';

/*
 * `POST /hooks/push`: the forge says that something happened. It is a hint to look now, and never more than that: what
 * it says is not believed, only whether it may concern us. So one that is dropped costs a poll interval, and one that
 * is sent again costs a look.
 */

/**
 * - `hint`: we look.
 * - `ignored`: signed, but none of our business.
 * - `forged`: not signed with the secret.
 * - `refused`: too large, too many at once, or there is no secret to compare with.
 */
export const HOOK_OUTCOMES = ['hint', 'ignored', 'forged', 'refused'] as const;
export type HookOutcome = (typeof HOOK_OUTCOMES)[number];

export interface HookTools {
  /** What the forge signs with, read again for each request; `problem`: why it can't be had. */
  readonly secret: () => Promise<
    { readonly ok: true; readonly secret: SecretText } | { readonly ok: false; readonly problem: string }
  >;
  /** The branch of the ops repo. */
  readonly branch: string;
  readonly onHint: () => void;
  readonly clock: Clock;
  readonly log: Log;
  readonly count: (outcome: HookOutcome) => void;
}

const BODY_BYTES = 1024 * 1024;
const AT_ONCE = 16;
/** Between two looks that hooks ask for. */
const APART_MS = 1000;
/** One line in the log in this time. */
const QUIET_MS = 30_000;

const NO_SECRET = [503, 'there is no secret to compare with'] as const;

/** To be called before the server listens. */
export function addHooks(server: FastifyInstance, tools: HookTools): void {
  const closed = new AbortController();
  const hint = spaced(tools.onHint, APART_MS, tools.clock, closed.signal);
  const complain = createComplaints(tools);
  /** `reason`: for the log alone. */
  const refuse = (reply: FastifyReply, [status, error]: readonly [number, string], reason = error) => {
    const outcome = status === 401 ? 'forged' : 'refused';
    tools.count(outcome);
    complain(outcome, reason);
    return reply.code(status).send({ error });
  };
  let open = 0;
  // A scope of its own, since here a body is bytes whatever it calls itself.
  void server.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser(
      '*',
      { parseAs: 'buffer', bodyLimit: BODY_BYTES },
      async (_: unknown, body: Buffer) => body,
    );
    scope.addHook('onClose', async () => closed.abort());
    scope.addHook('onRequest', async (request, reply) => {
      // Before the body is read, which nobody has to be trusted for.
      if (signatureOf(request.headers) === null) return refuse(reply, [401, 'there is no signature']);
      if (open >= AT_ONCE) return refuse(reply.header('retry-after', '1'), [503, 'too many at once']);
      open += 1;
      reply.raw.once('close', () => {
        open -= 1;
      });
    });
    scope.setErrorHandler((error: { readonly statusCode?: number }, _request, reply) => {
      const status = error.statusCode ?? 500;
      return refuse(reply, [status, status === 413 ? 'the body is too large' : 'it can not be read']);
    });
    scope.post('/hooks/push', async ({ headers, body }, reply) => {
      const bytes = Buffer.isBuffer(body) ? body : Buffer.alloc(0);
      const line = await tools.secret();
      if (!line.ok) return refuse(reply, NO_SECRET, `webhook_secret_file of [http] ${line.problem}`);
      const signature = signatureOf(headers);
      if (signature === null || !isSigned(bytes, signature, line.secret.reveal())) {
        return refuse(reply, [401, 'the signature is wrong']);
      }
      if (!concernsUs(headers, bytes, tools.branch)) {
        tools.count('ignored');
        return reply.code(204).send();
      }
      tools.count('hint');
      hint();
      return reply.code(202).send({ status: 'looking' });
    });
  });
}

/**
 * Pushes to the branch, and of tags, which may be approvals; changes and their reviews. Comments and statuses are left
 * out, since we write them ourselves. An event without a name counts as a push.
 */
function concernsUs(headers: IncomingHttpHeaders, body: Buffer, branch: string): boolean {
  const given = headers['x-forgejo-event'] ?? headers['x-gitea-event'] ?? headers['x-github-event'] ?? 'push';
  const event = String(given);
  if (event !== 'push') return CHANGES.test(event);
  const ref = refOf(body);
  return ref === null || ref === `refs/heads/${branch}` || ref.startsWith('refs/tags/');
}

const CHANGES = /^pull_request(?:_review|_approved|_rejected|_comment)?$/;

/** null: it does not say (a form in place of JSON, say), so that it may be any. */
function refOf(body: Buffer): string | null {
  try {
    const push: unknown = JSON.parse(body.toString('utf8'));
    const ref: unknown = typeof push === 'object' && push !== null && 'ref' in push ? push.ref : null;
    return typeof ref === 'string' ? ref : null;
  } catch {
    return null;
  }
}

function createComplaints({ clock, log }: HookTools) {
  const said = new Map<HookOutcome, { at: number; unsaid: number }>();
  return (outcome: HookOutcome, reason: string): void => {
    const now = clock.monotonic();
    const before = said.get(outcome);
    if (before !== undefined && now - before.at < QUIET_MS) {
      before.unsaid += 1;
      return;
    }
    said.set(outcome, { at: now, unsaid: 0 });
    const unsaid = before === undefined || before.unsaid === 0 ? {} : { unsaid: before.unsaid };
    log.warn('a webhook was not accepted', { outcome, reason, ...unsaid });
  };
}
