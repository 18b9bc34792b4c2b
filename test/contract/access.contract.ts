import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ActionId, type AttemptToken, oid } from '../../src/domain/ids.ts';
import { StalledError } from '../../src/errors.ts';
import type { Access, Consumption, GrantRequest } from '../../src/ports/access.ts';

/** One source of secrets, and what a test has to be able to do behind its back. */
export interface AccessHarness {
  readonly access: Access;
  /** Another instance over the same state, as after a restart of the daemon. The first one lives on. */
  reopen(): Access;
  /** Puts a secret there. */
  put(name: string, value: string): Promise<void>;
  /** Leaves the secret there, but lets nobody read it. */
  deny(name: string): Promise<void>;
  /** Lets this much time pass for the store. */
  pass(seconds: number): Promise<void>;
  close(): Promise<void>;
}

export function grantRequest(secrets: readonly string[], change: Partial<GrantRequest> = {}): GrantRequest {
  return {
    id: 'release-v1' as ActionId,
    attempt: 1,
    token: randomBytes(16).toString('hex') as AttemptToken,
    blobs: { action: oid('a'.repeat(40)), formula: oid('b'.repeat(40)) },
    secrets,
    wrapSeconds: 720,
    ...change,
  };
}

/** Where implementations differ. */
export interface AccessTraits {
  /** Whether a test can let time pass for the store; default: true. */
  readonly passes?: boolean;
  /** What redeeming tells of a grant that was revoked; what comes out is dead in any case. Default: used. */
  readonly afterRevoke?: Consumption;
}

/** The cases that every implementation of ports/access.ts passes. */
export function accessContract(
  name: string,
  makeHarness: () => Promise<AccessHarness>,
  { passes = true, afterRevoke = 'used' }: AccessTraits = {},
): void {
  describe(`the access ${name}`, () => {
    let harness: AccessHarness;
    let access: Access;

    beforeEach(async () => {
      harness = await makeHarness();
      access = harness.access;
      await harness.put('ALPHA', 'the value of alpha');
      await harness.put('BETA', 'the value of beta');
    });

    afterEach(() => harness.close());

    it('finds nothing wrong with its own surroundings', async () => {
      const checks = await access.check();
      expect(checks.length).toBeGreaterThan(0);
      expect(checks.filter((check) => !check.ok)).toEqual([]);
    });

    it('tells present, missing and denied secrets apart (S1.4, R7)', async () => {
      await harness.deny('BETA');
      const states = await access.states(['ALPHA', 'BETA', 'GAMMA']);
      expect(Object.fromEntries(states)).toEqual({ ALPHA: 'present', BETA: 'denied', GAMMA: 'missing' });
    });

    it('tells the states of no names', async () => {
      expect((await access.states([])).size).toBe(0);
    });

    it('grants exactly the named secrets (S1.1)', async () => {
      const request = grantRequest(['BETA', 'ALPHA']);
      const grant = await access.grant(request);
      await access.verify(request, grant);
      expect(Object.keys(grant.fragment.secrets).sort()).toEqual(['ALPHA', 'BETA']);
      expect(grant.policies).toEqual(['edge-run', 'runner-ALPHA', 'runner-BETA']);
      expect(grant.fragment.kind).toBe(access.kind);
    });

    it('gives no secret policy for no secrets (S1.1)', async () => {
      const request = grantRequest([]);
      const grant = await access.grant(request);
      await access.verify(request, grant);
      expect(grant.fragment.secrets).toEqual({});
      expect(grant.policies).toEqual(['edge-run']);
    });

    it('says until when the grant can be redeemed', async () => {
      const grant = await access.grant(grantRequest(['ALPHA'], { wrapSeconds: 720 }));
      expect(Date.parse(grant.expiresAt) - Date.parse(grant.issuedAt)).toBe(720_000);
      expect(grant.fragment.wrap_expires_at).toBe(grant.expiresAt);
    });

    it('names the token by an accessor that gives nothing away, and no value of a secret (S1.3)', async () => {
      const grant = await access.grant(grantRequest(['ALPHA']));
      const { fragment, ...public_ } = grant;
      expect(JSON.stringify(public_)).not.toContain(fragment.wrapping_token);
      expect(JSON.stringify(grant)).not.toContain('the value of alpha');
    });

    it('mints another token each time', async () => {
      const request = grantRequest(['ALPHA']);
      const [one, two] = [await access.grant(request), await access.grant(request)];
      expect(one.accessor).not.toBe(two.accessor);
      expect(one.fragment.wrapping_token).not.toBe(two.fragment.wrapping_token);
    });

    it.each([
      ['more secrets than asked for', ['ALPHA']],
      ['fewer secrets than asked for', ['ALPHA', 'BETA', 'GAMMA']],
      ['other secrets than asked for', ['ALPHA', 'GAMMA']],
    ])('does not verify a grant of %s (promise 2)', async (_, asked) => {
      const request = grantRequest(['ALPHA', 'BETA']);
      const grant = await access.grant(request);
      await expect(access.verify({ ...request, secrets: asked }, grant)).rejects.toThrow(StalledError);
    });

    it('does not verify a grant for another attempt', async () => {
      const request = grantRequest(['ALPHA']);
      const grant = await access.grant(request);
      const { token } = grantRequest([]);
      await expect(access.verify({ ...request, token }, grant)).rejects.toThrow(StalledError);
    });

    it('does not verify a grant whose payload names other secrets', async () => {
      const request = grantRequest(['ALPHA']);
      const grant = await access.grant(request);
      const secrets = { ...grant.fragment.secrets, BETA: { path: '/elsewhere', field: '' } };
      const altered = { ...grant, fragment: { ...grant.fragment, secrets } };
      await expect(access.verify(request, altered)).rejects.toThrow(StalledError);
    });

    it.each([[['ALPHA']], [[]]])('lets exactly one of many redeem a grant of %j (promise 3, R5)', async (secrets) => {
      const { fragment } = await access.grant(grantRequest(secrets));
      const instances = [access, harness.reopen(), harness.reopen()];
      const everybody = Array.from({ length: 8 }, () => instances).flat();
      const answers = await Promise.all(everybody.map((each) => each.consume(fragment)));
      expect(answers.filter((answer) => answer === 'consumed')).toHaveLength(1);
      expect(answers.filter((answer) => answer === 'used')).toHaveLength(23);
    });

    it('remembers after a restart that a grant was redeemed', async () => {
      const { fragment } = await access.grant(grantRequest(['ALPHA']));
      expect(await access.consume(fragment)).toBe('consumed');
      expect(await harness.reopen().consume(fragment)).toBe('used');
    });

    it.each(passes ? [121] : [])('tells an expired grant from a used one, %i s later (R16)', async (seconds) => {
      const { fragment } = await access.grant(grantRequest(['ALPHA'], { wrapSeconds: 120 }));
      await harness.pass(seconds);
      expect(await access.consume(fragment)).toBe('expired');
    });

    it('lets nobody redeem a grant that was revoked', async () => {
      const request = grantRequest(['ALPHA']);
      const { fragment, accessor } = await access.grant(request);
      await access.revoke(accessor, request.token);
      expect(await access.consume(fragment)).toBe(afterRevoke);
    });

    it('revokes twice, also what was redeemed, and says when it was gone', async () => {
      const request = grantRequest(['ALPHA']);
      const { fragment, accessor } = await access.grant(request);
      await access.consume(fragment);
      const first = await access.revoke(accessor, request.token);
      const second = await harness.reopen().revoke(accessor, request.token);
      expect(new Date(first).toISOString()).toBe(first);
      expect(Date.parse(second)).toBeGreaterThanOrEqual(Date.parse(first));
    });

    it('does not revoke the grant of another attempt', async () => {
      const request = grantRequest(['ALPHA']);
      const { fragment, accessor } = await access.grant(request);
      await expect(access.revoke(accessor, grantRequest([]).token)).rejects.toThrow(StalledError);
      expect(await access.consume(fragment)).toBe('consumed');
    });
  });
}
