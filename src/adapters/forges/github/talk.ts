import { z } from 'zod';
import type { Oid } from '../../../domain/ids.ts';
import type { CommitStatus } from '../../../ports/forge.ts';
import { Lanes } from '../../lanes.ts';
import { accountOf } from './accounts.ts';
import type { RepoApi } from './api.ts';
import type { OwnAccount } from './own-account.ts';
import { commentSchema, statusSchema, type User } from './schemas.ts';

type Signal = AbortSignal | undefined;

const COMMENTS = '/issues/{number}/comments';
const STATUSES = '/statuses/{commit}';
/** Deleted in the meantime, or by another app; where our token has no right at all, making one is refused as well. */
const NOT_OURS: readonly number[] = [403, 404];

/** What is said to people on the forge, and what they write there. */
export class Talk {
  readonly #api: RepoApi;
  readonly #own: OwnAccount;
  /** Two at once would both find no comment. */
  readonly #turns = new Lanes(1);

  constructor(api: RepoApi, own: OwnAccount) {
    this.#api = api;
    this.#own = own;
  }

  /** Set only where it differs: a commit takes no more than 1,000 statuses of one context. */
  async setStatus(
    commit: Oid,
    { context, state, description, url, over }: CommitStatus,
    signal: Signal,
  ): Promise<void> {
    const newest = await this.#newestStatus(commit, context, signal);
    const target = url ?? '';
    const isSame =
      newest?.state === state && (newest.description ?? '') === description && (newest.target_url ?? '') === target;
    if (isSame || (over !== undefined && newest?.state !== over)) return;
    const body = { context, state, description, target_url: target };
    const made = await this.#api.send(['POST', { path: STATUSES, values: { commit }, signal }], body, z.unknown());
    await this.#api.repository.required(made, `POST ${STATUSES}`, signal);
  }

  async #newestStatus(commit: Oid, context: string, signal: Signal) {
    // Newest first. The name of a context has no upper and lower case.
    const call = { path: '/commits/{commit}/statuses', values: { commit }, absent: [404, 422], signal };
    for await (const page of this.#api.pages(call, z.array(statusSchema))) {
      const found = page.find((status) => status.context.toLowerCase() === context.toLowerCase());
      if (found !== undefined) return found;
    }
    return null;
  }

  comment(number: number, marker: string, body: string, signal: Signal): Promise<void> {
    return this.#turns.run(() => this.#comment(number, marker, body, signal), signal);
  }

  async #comment(number: number, marker: string, text: string, signal: Signal): Promise<void> {
    const body = text.includes(marker) ? text : `${marker}\n${text}`;
    const me = await this.#own.id(signal);
    // Anybody can write the marker: only a comment that is ours is edited. An app that does not know itself yet is a bot.
    const isOurs = (user: User) => (me === null ? accountOf(user).isBot : user?.id === me);
    const call = { path: COMMENTS, values: { number }, signal };
    const all = await this.#api.all({ ...call, page: z.array(commentSchema), keyOf: ({ id }) => id });
    const comments = await this.#api.repository.required(all, `GET ${COMMENTS}`, signal);
    const candidates = comments.filter((comment) => isOurs(comment.user) && comment.body?.includes(marker) === true);
    for (const candidate of candidates) {
      if (normal(candidate.body ?? '') === normal(body)) return;
      const edit = { path: '/issues/comments/{id}', values: { id: candidate.id }, absent: NOT_OURS, signal };
      const edited = await this.#api.send(['PATCH', edit], { body }, commentSchema);
      if (edited !== null) return this.#own.learn(edited.user);
    }
    const made = await this.#api.send(['POST', call], { body }, commentSchema);
    this.#own.learn((await this.#api.repository.required(made, `POST ${COMMENTS}`, signal)).user);
  }
}

/** Ends of lines may come back in another way than they were sent. */
const normal = (text: string): string => text.replaceAll('\r\n', '\n').trimEnd();
