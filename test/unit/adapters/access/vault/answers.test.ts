import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { failure, kindOf } from '../../../../../src/adapters/access/vault/answers.ts';
import { StalledError, TransientError } from '../../../../../src/errors.ts';

interface Exchange {
  readonly note: string;
  readonly request: { readonly method: string; readonly path: string };
  readonly response: { readonly status: number; readonly body: unknown };
}

function recorded(name: string): readonly Exchange[] {
  const file = new URL(`../../../../fixtures/recordings/openbao/${name}.json`, import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { exchanges: Exchange[] }).exchanges;
}

const every = ['kv', 'mint', 'revoke', 'sealed', 'setup', 'wrapping'].flatMap(recorded);

function kindAt(name: string, note: string): string {
  const found = recorded(name).filter((exchange) => exchange.note === note);
  expect(found).toHaveLength(1);
  return found.map(({ response }) => kindOf(response.status, response.body)).join();
}

describe('kinds of answers', () => {
  it.each([
    ['mint', 'wrapped: no auth block, wrap_info with both accessors', 'ok'],
    ['mint', 'without X-Vault-Wrap-TTL: refused by min_wrapping_ttl', 'no-right'],
    ['mint', 'policy outside the glob', 'refused'],
    ['mint', 'no token', 'bad-token'],
    ['mint', 'unknown token', 'bad-token'],
    ['kv', 'data, run token: DELETED', 'deleted'],
    ['kv', 'subkeys, daemon: DESTROYED', 'deleted'],
    ['kv', 'metadata, daemon: MISSING', 'absent'],
    ['kv', 'data in a mount that does not exist, root', 'no-mount'],
    ['kv', 'metadata of a path outside, daemon', 'no-right'],
    ['revoke', 'revoke-accessor', 'ok'],
    ['revoke', 'revoke-accessor again', 'ok'],
    ['revoke', 'lookup-accessor of a revoked one', 'refused'],
    ['revoke', 'read with an expired token', 'bad-token'],
    ['revoke', 'read with the revoked token', 'bad-token'],
    ['sealed', 'unwrap', 'sealed'],
    ['sealed', 'metadata with an unknown token', 'sealed'],
    ['wrapping', 'second unwrap', 'refused'],
    ['wrapping', 'unwrap without token', 'no-right'],
  ])('tells, in %s, what was answered to: %s', (name, note, kind) => {
    expect(kindAt(name, note)).toBe(kind);
  });

  it('knows every recorded answer by its status, whatever the path', () => {
    const kinds = every.map(({ response }) => [response.status, kindOf(response.status, response.body)] as const);
    const pairs = new Set(kinds.map(([status, kind]) => `${status} ${kind}`));
    expect([...pairs].sort()).toEqual([
      '200 ok',
      '204 ok',
      '400 refused',
      '403 bad-token',
      '403 no-right',
      '404 absent',
      // A path of version 1 of the engine, which is a hint and not a word on the secret.
      '404 broken',
      '404 deleted',
      '404 no-mount',
      // The body of health, which names no errors.
      '503 broken',
      '503 sealed',
    ]);
  });

  it.each([
    [307, null, 'standby'],
    [302, null, 'standby'],
    [472, null, 'standby'],
    [473, null, 'standby'],
    [429, 'Your IP is issuing too many concurrent connections', 'busy'],
    [412, { errors: ['required index state not present'] }, 'broken'],
    [408, null, 'broken'],
    [500, { errors: ['internal error'] }, 'broken'],
    [502, '<html>', 'broken'],
    [503, { errors: ['no active node'] }, 'broken'],
    [403, { errors: ['2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n'] }, 'bad-token'],
    [403, '<html>', 'no-right'],
    [405, { errors: ['1 error occurred:\n\t* unsupported operation\n\n'] }, 'refused'],
    [404, { errors: ['1 error occurred:\n\t* unsupported path\n\n'] }, 'no-mount'],
    [404, { errors: ['namespace not found'] }, 'no-mount'],
    [404, { errors: [] }, 'absent'],
    [404, { errors: ['no such page'] }, 'broken'],
    [404, {}, 'broken'],
    [404, null, 'broken'],
    [404, 'default backend - 404', 'broken'],
  ])('tells what %i with %j means', (status, body, kind) => {
    expect(kindOf(status, body)).toBe(kind);
  });
});

describe('failures', () => {
  it.each(['sealed', 'standby', 'busy', 'broken', 'silent', 'unreachable', 'unreadable'] as const)(
    'takes %s for an outage (promise 5)',
    (kind) => {
      expect(failure(kind, 'do it')).toBeInstanceOf(TransientError);
      expect(failure(kind, 'do it').code).toBe('ERR_ACCESS_UNAVAILABLE');
    },
  );

  it.each(['no-right', 'bad-token', 'absent', 'deleted', 'no-mount', 'refused'] as const)(
    'lets a person mend %s',
    (kind) => {
      expect(failure(kind, 'do it')).toBeInstanceOf(StalledError);
      expect(failure(kind, 'do it').code).toBe('ERR_ACCESS_DENIED');
    },
  );

  it('says what was being done, and by which status it failed', () => {
    expect(failure('broken', 'mint a token', { mark: 502 }).message).toBe(
      'the secret store: can not mint a token: it has a fault of its own (502)',
    );
  });
});
