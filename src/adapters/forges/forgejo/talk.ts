import { z } from 'zod';
import type { Oid } from '../../../domain/ids.ts';
import type { CommitStatus } from '../../../ports/forge.ts';
import { Lanes } from '../../lanes.ts';
import type { RepoApi } from './api.ts';
import { COMMENTS, commentsOf } from './comments.ts';
import type { OwnAccount } from './own-account.ts';
import { commentSchema, statusSchema } from './schemas.ts';

type Signal = AbortSignal | undefined;

const STATUSES = '/statuses/{commit}';

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

  async setStatus(commit: Oid, status: CommitStatus, signal: Signal): Promise<void> {
    const { context, state, description, url, over } = status;
    const path = '/commits/{commit}/statuses';
    const known = await this.#api.all({ path, values: { commit }, item: statusSchema, keyOf: ({ id }) => id, signal });
    const newest = (known ?? []).filter((each) => each.context === context).toSorted((a, b) => b.id - a.id)[0];
    const target = url ?? '';
    const isSame = newest?.status === state && newest.description === description && newest.target_url === target;
    if (isSame || (over !== undefined && newest?.status !== over)) return;
    const body = { context, state, description, target_url: target };
    const call = { path: STATUSES, values: { commit }, signal };
    const made = await this.#api.send(['POST', call], body, statusSchema);
    this.#own.learn((await this.#api.repository.required(made, `POST ${STATUSES}`, signal)).creator);
  }

  comment(number: number, marker: string, body: string, signal: Signal): Promise<void> {
    return this.#turns.run(() => this.#comment(number, marker, body, signal), signal);
  }

  async #comment(number: number, marker: string, text: string, signal: Signal): Promise<void> {
    const body = text.includes(marker) ? text : `${marker}\n${text}`;
    const { id: me } = await this.#own.user(signal);
    const call = { path: COMMENTS, values: { number }, signal };
    const all = await commentsOf(this.#api, number, signal);
    const comments = await this.#api.repository.required(all, `GET ${COMMENTS}`, signal);
    // Anybody can write the marker: only a comment that is ours is found, and edited.
    const ours = comments.filter((comment) => comment.user?.id === me && comment.body?.includes(marker) === true);
    const [first] = ours;
    if (first === undefined) {
      const made = await this.#api.send(['POST', call], { body }, commentSchema);
      this.#own.learn((await this.#api.repository.required(made, `POST ${COMMENTS}`, signal)).user);
    } else if (normal(first.body ?? '') !== normal(body)) {
      const edit = { path: '/issues/comments/{id}', values: { id: first.id }, signal };
      // Deleted in the meantime: made anew the next time.
      await this.#api.send(['PATCH', edit], { body }, z.unknown());
    }
  }
}

/** A forge may write ends of lines in its own way. */
const normal = (text: string): string => text.replaceAll('\r\n', '\n').trimEnd();
