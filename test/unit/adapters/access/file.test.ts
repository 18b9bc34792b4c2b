import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { accesses } from '../../../../src/adapters/access/index.ts';
import { ticketSchema } from '../../../../src/domain/ticket.ts';
import { StalledError, TransientError } from '../../../../src/errors.ts';
import type { Access } from '../../../../src/ports/access.ts';
import { grantRequest } from '../../../contract/access.contract.ts';
import { makeTools, type TestTools } from '../../../fakes/tools.ts';

const { file } = accesses;

describe('access to secret files', () => {
  let tools: TestTools;
  let access: Access;
  const inside = (name: string): string => path.join(tools.stateDir, name);
  const tickets = (): string[] => readdirSync(inside('runs/tickets')).sort();

  beforeEach(() => {
    tools = makeTools();
    mkdirSync(inside('secrets'), { mode: 0o700 });
    writeFileSync(inside('secrets/ALPHA'), 'alpha', { mode: 0o600 });
    access = file.create(file.options.parse({}), tools);
  });

  afterEach(() => tools.remove());

  describe('states', () => {
    it.each([0o640, 0o604, 0o620, 0o610, 0o777])('denies a file of mode %o, which others may use', async (mode) => {
      chmodSync(inside('secrets/ALPHA'), mode);
      expect((await access.states(['ALPHA'])).get('ALPHA')).toBe('denied');
    });

    it('denies a directory, and calls a name missing that is none', async () => {
      mkdirSync(inside('secrets/FOLDER'), { mode: 0o700 });
      const states = await access.states(['FOLDER', '../secrets/ALPHA', 'alpha', '', '__proto__']);
      expect([...states.values()]).toEqual(['denied', 'missing', 'missing', 'missing', 'missing']);
    });

    it('looks in the directory of the configuration', async () => {
      const elsewhere = file.create({ dir: inside('elsewhere') }, tools);
      expect((await elsewhere.states(['ALPHA'])).get('ALPHA')).toBe('missing');
      mkdirSync(inside('elsewhere'));
      writeFileSync(inside('elsewhere/ALPHA'), '', { mode: 0o400 });
      expect((await elsewhere.states(['ALPHA'])).get('ALPHA')).toBe('present');
    });
  });

  describe('a ticket', () => {
    it('lies on disk for the runner, readable by us only, without a value', async () => {
      const request = grantRequest(['ALPHA'], { wrapSeconds: 60 });
      const { fragment, expiresAt } = await access.grant(request);
      const where = path.join(fragment.address, `${fragment.wrapping_token}.json`);
      expect(ticketSchema.parse(JSON.parse(readFileSync(where, 'utf8')))).toEqual({
        v: 1,
        attempt: request.token,
        blobs: request.blobs,
        expires_at: expiresAt,
        secrets: { ALPHA: inside('secrets/ALPHA') },
      });
      expect([statSync(where).mode & 0o777, statSync(fragment.address).mode & 0o777]).toEqual([0o600, 0o700]);
      expect(fragment.secrets).toEqual({ ALPHA: { path: inside('secrets/ALPHA'), field: '' } });
      expect(fragment.wrapping_token).toMatch(/^[0-9a-f]{64}$/);
    });

    it('is not minted for what is no name of a secret', async () => {
      await expect(access.grant(grantRequest(['../ALPHA']))).rejects.toThrow(StalledError);
      expect(existsSync(inside('runs/tickets'))).toBe(false);
    });

    it('is not verified when the secret is gone since it was asked for', async () => {
      const request = grantRequest(['ALPHA']);
      const grant = await access.grant(request);
      rmSync(inside('secrets/ALPHA'));
      await expect(access.verify(request, grant)).rejects.toThrow('not readable any more: ALPHA');
    });

    it('is not verified when somebody changed it', async () => {
      const request = grantRequest([]);
      const grant = await access.grant(request);
      const where = path.join(grant.fragment.address, `${grant.fragment.wrapping_token}.json`);
      const ticket = ticketSchema.parse(JSON.parse(readFileSync(where, 'utf8')));
      writeFileSync(where, JSON.stringify({ ...ticket, secrets: { ALPHA: inside('secrets/ALPHA') } }));
      await expect(access.verify(request, grant)).rejects.toMatchObject({ code: 'ERR_ACCESS_DENIED' });
    });

    it('is not verified any more once it was redeemed', async () => {
      const request = grantRequest(['ALPHA']);
      const grant = await access.grant(request);
      await access.consume(grant.fragment);
      await expect(access.verify(request, grant)).rejects.toThrow('was used already');
    });

    it('is used when a runner redeemed it by its rename', async () => {
      const { fragment } = await access.grant(grantRequest(['ALPHA']));
      const stem = path.join(fragment.address, fragment.wrapping_token);
      renameSync(`${stem}.json`, `${stem}.used`);
      expect(await access.consume(fragment)).toBe('used');
    });

    it('is unusable after it was found expired', async () => {
      const { fragment } = await access.grant(grantRequest(['ALPHA'], { wrapSeconds: 60 }));
      tools.advance(61);
      expect(await access.consume(fragment)).toBe('expired');
      expect(tickets()).toEqual([`${fragment.wrapping_token}.used`]);
      expect(await access.consume(fragment)).toBe('used');
    });

    it('is used when it is no ticket at all', async () => {
      const { fragment } = await access.grant(grantRequest([]));
      writeFileSync(inside('secrets/x.json'), '{}');
      expect(await access.consume({ ...fragment, wrapping_token: '../../secrets/x' })).toBe('used');
      expect(existsSync(inside('secrets/x.json'))).toBe(true);
    });

    it('is not looked for in the payload of another kind of access', async () => {
      const { fragment } = await access.grant(grantRequest([]));
      await expect(access.consume({ ...fragment, kind: 'vault' })).rejects.toThrow(StalledError);
      expect(await access.consume(fragment)).toBe('consumed');
    });

    it('leaves nothing behind when it is revoked, used or not', async () => {
      const [one, two] = [grantRequest([]), grantRequest([])];
      const [first, second] = [await access.grant(one), await access.grant(two)];
      await access.consume(first.fragment);
      await access.revoke(first.accessor, one.token);
      expect(tickets()).toEqual([`${second.fragment.wrapping_token}.json`]);
      await access.revoke(second.accessor, two.token);
      expect(tickets()).toEqual([]);
    });

    it('is kept a day after its expiry, and swept away then', async () => {
      const { fragment: old } = await access.grant(grantRequest([], { wrapSeconds: 60 }));
      tools.advance(24 * 3600 + 59);
      const { fragment: young } = await access.grant(grantRequest([], { wrapSeconds: 60 }));
      expect(tickets()).toEqual([`${old.wrapping_token}.json`, `${young.wrapping_token}.json`].sort());
      tools.advance(2 * 3600);
      const { fragment: newest } = await access.grant(grantRequest([]));
      expect(tickets()).toEqual([`${young.wrapping_token}.json`, `${newest.wrapping_token}.json`].sort());
    });

    it('of an earlier process is not swept away by a new one before that was asked for it', async () => {
      const { fragment } = await access.grant(grantRequest([], { wrapSeconds: 60 }));
      tools.advance(10 * 24 * 3600);
      const restarted = file.create(file.options.parse({}), tools);
      await restarted.grant(grantRequest([]));
      expect(await restarted.consume(fragment)).toBe('expired');
    });
  });

  describe('trouble', () => {
    it('is an outage when the disk does not take a ticket, and its message holds none', async () => {
      writeFileSync(inside('runs'), '');
      const granting = access.grant(grantRequest(['ALPHA']));
      await expect(granting).rejects.toThrow(TransientError);
      await expect(granting).rejects.toMatchObject({ code: 'ERR_ACCESS_UNAVAILABLE' });
      await expect(granting).rejects.not.toThrow(/[0-9a-f]{64}/);
      expect((await access.check()).map(({ ok }) => ok)).toEqual([true, false]);
    });

    it.each([
      ['a secret is open to others', () => chmodSync(inside('secrets/ALPHA'), 0o644), /chmod 600 .*ALPHA$/],
      ['the directory is open to others', () => chmodSync(inside('secrets'), 0o755), /chmod 700/],
    ])('is shown by the check when %s', async (_, spoil, fix) => {
      spoil();
      const [secrets] = await access.check();
      expect(secrets).toMatchObject({ ok: false, code: 'ERR_ACCESS_DENIED', fix: expect.stringMatching(fix) });
    });

    it('is shown by the check when the directory is none', async () => {
      const odd = file.create({ dir: inside('secrets/ALPHA') }, tools);
      expect((await odd.check())[0]).toMatchObject({ ok: false });
    });

    it('is none when there are no secrets yet', async () => {
      rmSync(inside('secrets'), { recursive: true });
      expect((await access.check()).map(({ ok }) => ok)).toEqual([true, true]);
    });
  });
});
