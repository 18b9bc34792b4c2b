import type { Account, Change } from '../../src/domain/change.ts';
import type { Oid } from '../../src/domain/ids.ts';
import type { Forge } from '../../src/ports/forge.ts';

const unused = (): Promise<never> => Promise.reject(new Error('this forge was not told what to answer'));

/** A forge that knows only what the test says. */
export function stubForge(answers: Partial<Forge>): Forge {
  return {
    kind: 'stub',
    url: 'https://forge.example',
    check: unused,
    hasCommit: () => Promise.resolve(true),
    changeOf: unused,
    change: unused,
    openChanges: unused,
    reviews: unused,
    files: unused,
    commits: unused,
    history: unused,
    pusherOf: unused,
    isAdmin: unused,
    setStatus: unused,
    comment: unused,
    ...answers,
  };
}

export function account(id: number | null, login: string): Account {
  return { id, login, isBot: false };
}

/** A merged change into `main`. */
export function mergedChange(author: Account, commit: Oid, base = 'main'): Change {
  return {
    number: 1,
    url: 'https://forge.example/ops/ops/pulls/1',
    title: 'an action',
    author,
    base,
    state: 'merged',
    head: commit,
    source: null,
    merge: { commit, by: author, at: '2026-03-31T12:00:00Z' },
    createdAt: '2026-03-31T11:00:00Z',
  };
}
