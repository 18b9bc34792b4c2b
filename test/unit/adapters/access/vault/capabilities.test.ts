import { describe, expect, it } from 'vitest';
import { Capabilities } from '../../../../../src/adapters/access/vault/capabilities.ts';

describe('what a token may do', () => {
  it('is nothing at a path that the store did not answer for', () => {
    const none = new Capabilities(new Map());
    expect([none.isOnly('kv/data/a', 'deny'), none.hasAny('kv/data/a', ['read'])]).toEqual([false, false]);
  });

  it('is found for a secret whose name ends with a blank, which the store takes away from the path', () => {
    const found = new Capabilities(new Map([['kv/data/edge/runner/a', ['deny']]]));
    expect(found.isOnly('kv/data/edge/runner/a ', 'deny')).toBe(true);
  });
});
