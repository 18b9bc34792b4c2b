import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { tokenFilter } from '../../src/adapters/engines/nomad/find.ts';
import { sidecarJobSection } from '../../src/domain/config-sidecar.ts';
import { type AttemptToken, sha256 } from '../../src/domain/ids.ts';
import { encodePayload } from '../../src/domain/payload.ts';
import { StalledError, TransientError } from '../../src/errors.ts';
import type { AttemptRef, DispatchRequest } from '../../src/ports/engine.ts';
import { scriptedDriver } from '../fakes/nomad/scripted-driver.ts';
import { type NomadParts, startNomadParts } from '../fakes/nomad-parts.ts';
import { until } from '../fakes/until.ts';

const PAYLOAD = Buffer.from('payload with hvs.WRAPPER');
const tokenOf = (number: number): AttemptToken => number.toString(16).padStart(32, '0') as AttemptToken;
const TOKEN = tokenOf(0xabc);

const request = (more: Partial<DispatchRequest> = {}, mounts = ''): DispatchRequest => ({
  token: TOKEN,
  job: 'vault-runner',
  meta: { action_id: 'release', attempt: '1', formula: 'publish', mounts, secrets_csv: 'NPM_TOKEN' },
  payload: PAYLOAD,
  timeoutSeconds: 60,
  ...more,
});
const refOf = (token: AttemptToken = TOKEN, payload: Uint8Array = PAYLOAD): AttemptRef => ({
  token,
  payloadSha256: sha256(payload),
});

let parts: NomadParts;

describe('a dispatch to Nomad', () => {
  beforeEach(async () => {
    parts = await startNomadParts();
  });
  afterEach(() => parts.close());

  it('makes one child with payload and meta, which is found again by its token', async () => {
    const run = await parts.dispatcher.dispatch(request());
    expect(run).toEqual({ token: TOKEN, id: parts.nomad.child(TOKEN).ID, node: null });
    expect(parts.nomad.child(TOKEN)).toMatchObject({
      ParentID: 'vault-runner',
      Payload: PAYLOAD.toString('base64'),
      Meta: request().meta,
    });
    expect(await parts.finder.find(refOf())).toEqual(run);
  });

  it('goes to the variant of the job that has the mounts (S3)', async () => {
    parts.register('vault-runner', ['ssh', 'gpg']);
    const run = await parts.dispatcher.dispatch(request({}, 'gpg,ssh'));
    expect(run.id).toMatch(/^vault-runner-gpg-ssh\/dispatch-/);
    expect(await parts.finder.find(refOf())).toEqual(run);
  });

  it('of a sidecar says what it works on, and no other job takes that (S2.1)', async () => {
    await parts.close();
    parts = await startNomadParts({}, sidecarJobSection.parse({}));
    parts.register('sidecar', ['gpg', 'ssh']);
    const meta = { ...request({}, 'gpg,ssh').meta, issue_number: '7', project_toml: 'projects/code.toml' };
    const run = await parts.dispatcher.dispatch(request({ job: 'sidecar', meta }));
    expect(run.id).toMatch(/^sidecar-gpg-ssh\/dispatch-/);
    expect(parts.nomad.child(TOKEN)).toMatchObject({ ParentID: 'sidecar-gpg-ssh', Meta: meta });
    expect(await parts.finder.find(refOf())).toEqual(run);
    const withoutIssue = parts.dispatcher.dispatch(request({ job: 'sidecar', token: tokenOf(2) }, 'gpg,ssh'));
    await expect(withoutIssue).rejects.toMatchObject({ code: 'ERR_JOB_DRIFT' });
    const noSidecar = parts.dispatcher.dispatch(request({ token: tokenOf(3), meta: { ...meta, mounts: '' } }));
    await expect(noSidecar).rejects.toMatchObject({ code: 'ERR_JOB_DRIFT' });
  });

  it('again, also at the same time, answers with the same child (R4)', async () => {
    const runs = await Promise.all([1, 2, 3].map(() => parts.dispatcher.dispatch(request())));
    expect(new Set(runs.map(({ id }) => id))).toEqual(new Set([parts.nomad.child(TOKEN).ID]));
    expect(parts.nomad.children(TOKEN)).toHaveLength(1);
    expect(parts.nomad.executions(TOKEN)).toBe(1);
  });

  it('is not sent while another one of its token is under way: one of the two would be a ghost (R4)', async () => {
    const release = parts.nomad.faults.hang({ pattern: /dispatch\?.*0abc/ });
    const both = [parts.dispatcher.dispatch(request()), parts.dispatcher.dispatch(request())];
    await until('the first is sent', () => parts.nomad.count('dispatch') === 1);
    await parts.dispatcher.dispatch(request({ token: tokenOf(1) }));
    expect(parts.nomad.count('dispatch')).toBe(2);
    release();
    const [one, two] = await Promise.all(both);
    expect(two).toEqual(one);
  });

  it('asks again when Nomad names a child that was never stored (R4)', async () => {
    parts.nomad.ghostChild();
    const run = await parts.dispatcher.dispatch(request());
    expect(run.id).toBe(parts.nomad.child(TOKEN).ID);
    expect(parts.nomad.executions(TOKEN)).toBe(1);
  });

  it('does not ask for ever when every child is a ghost', async () => {
    parts.nomad.faults.answer(404, 'job not found', { pattern: /GET .*dispatch-/, times: 1_000 });
    await expect(parts.dispatcher.dispatch(request())).rejects.toThrow(TransientError);
    expect(parts.nomad.count('dispatch')).toBeLessThan(10);
  });

  it('whose answer was lost is an outage, and the run is found or dispatched again as one (R4)', async () => {
    parts.nomad.faults.loseAnswer({ pattern: /POST .*\/dispatch/ });
    await expect(parts.dispatcher.dispatch(request())).rejects.toThrow(TransientError);
    const found = await parts.finder.find(refOf());
    expect(await parts.dispatcher.dispatch(request())).toEqual(found);
    expect(parts.nomad.executions(TOKEN)).toBe(1);
  });

  it('whose token stands for another payload already is a security event (R21)', async () => {
    const run = await parts.dispatcher.dispatch(request());
    await expect(parts.dispatcher.dispatch(request({ payload: Buffer.from('other') }))).rejects.toMatchObject({
      code: 'ERR_FOREIGN_RUN',
      message: `${run.id} stands under the token of this attempt, but its payload is not what was sent`,
    });
  });

  it('does not wait for another token', async () => {
    const release = parts.nomad.faults.hang({ pattern: /dispatch\?.*0abc/ });
    const slow = parts.dispatcher.dispatch(request());
    const other = await parts.dispatcher.dispatch(request({ token: tokenOf(1) }));
    expect(other.id).toBe(parts.nomad.child(tokenOf(1)).ID);
    release();
    expect((await slow).token).toBe(TOKEN);
  });

  it('names neither token of ours nor payload in any error (R14)', async () => {
    const texts: string[] = [];
    for (const break_ of [
      () => parts.nomad.faults.answer(500, `Payload exceeds maximum size; ${PAYLOAD.toString('base64')}`),
      () => parts.nomad.faults.answer(400, PAYLOAD.toString()),
      () => parts.nomad.faults.cut(),
      () => parts.nomad.faults.noLeader(),
      () => parts.nomad.faults.answer(404, 'job not found', { pattern: /GET .*dispatch-/, times: 5 }),
    ]) {
      break_();
      const error: unknown = await parts.dispatcher.dispatch(request()).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(Error);
      texts.push(JSON.stringify(error, Object.getOwnPropertyNames(error)));
    }
    expect(texts.join('\n')).not.toMatch(/hvs\.WRAPPER|cGF5bG9hZ|10000000-0000/);
  });
});

describe('the job that is dispatched', () => {
  beforeEach(async () => {
    parts = await startNomadParts();
  });
  afterEach(() => parts.close());

  it('has to be registered', async () => {
    const missing = parts.dispatcher.dispatch(request({ job: 'other' }));
    await expect(missing).rejects.toMatchObject({ code: 'ERR_JOB_MISSING', message: 'job other is not registered' });
    expect(parts.nomad.count('dispatch')).toBe(0);
  });

  it('has to be as it was deployed, without restarts (R5)', async () => {
    const group = parts.nomad.job('vault-runner').TaskGroups[0];
    parts.nomad.alterJob('vault-runner', () => ({
      TaskGroups: [{ ...group, RestartPolicy: { Attempts: 3, Mode: 'delay' } }],
    }));
    await expect(parts.dispatcher.dispatch(request())).rejects.toMatchObject({
      code: 'ERR_JOB_DRIFT',
      message: expect.stringContaining('RestartPolicy.Attempts') as string,
    });
    expect(parts.nomad.count('dispatch')).toBe(0);
  });

  it('is looked at once a minute, and again after a refusal', async () => {
    const looks = () => parts.nomad.requests.filter(({ url }) => url.startsWith('/v1/job/vault-runner?')).length;
    await Promise.all([1, 2, 3].map((number) => parts.dispatcher.dispatch(request({ token: tokenOf(number) }))));
    expect(looks()).toBe(1);
    parts.tools.advance(61);
    await parts.dispatcher.dispatch(request());
    expect(looks()).toBe(2);
    parts.nomad.faults.answer(500, 'Specified job "vault-runner" is stopped', { pattern: /dispatch/ });
    await expect(parts.dispatcher.dispatch(request())).rejects.toMatchObject({ code: 'ERR_JOB_MISSING' });
    await parts.dispatcher.dispatch(request());
    expect(looks()).toBe(3);
  });

  it.each([
    [500, 'parameterized job not found', 'ERR_JOB_MISSING'],
    [500, 'Dispatch request included unpermitted metadata keys: [mounts]', 'ERR_JOB_DRIFT'],
    [500, 'Payload exceeds maximum size; 16385 > 16384', 'ERR_PAYLOAD_SIZE'],
    [403, 'Job registration, dispatch, and scale are disabled by the scheduler configuration', 'ERR_ENGINE_DENIED'],
  ])('that Nomad refuses with %i %s stalls with %s', async (status, text, code) => {
    parts.nomad.faults.answer(status, text, { pattern: /POST/ });
    const error: unknown = await parts.dispatcher.dispatch(request()).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(StalledError);
    expect(error).toMatchObject({ code });
  });
});

describe('looking for a run', () => {
  beforeEach(async () => {
    parts = await startNomadParts({ driver: scriptedDriver({ held: true }) });
  });
  afterEach(() => parts.close());

  it('answers null where Nomad holds none', async () => {
    expect(await parts.finder.find(refOf())).toBeNull();
  });

  it('never takes up a run with other bytes or of another job (R21)', async () => {
    const of = (parent: string, token: AttemptToken, payload: string) =>
      parts.nomad.foreignChild({ parent, token, payload: base64(payload), meta: request().meta });
    const foreign = { code: 'ERR_FOREIGN_RUN' };
    parts.register('evil');
    of('vault-runner', tokenOf(1), 'theirs');
    of('evil', tokenOf(2), PAYLOAD.toString());
    await expect(parts.finder.find(refOf(tokenOf(1)))).rejects.toMatchObject(foreign);
    await expect(parts.finder.find(refOf(tokenOf(2)))).rejects.toMatchObject(foreign);
    expect(await parts.finder.find(refOf(tokenOf(3)))).toBeNull();
  });

  it('finds ours beside a foreign one of the same token (R21)', async () => {
    parts.register('evil');
    const payload = PAYLOAD.toString('base64');
    parts.nomad.foreignChild({ parent: 'evil', token: TOKEN, payload, meta: request().meta });
    const ours = await parts.dispatcher.dispatch(request());
    expect(await parts.finder.find(refOf())).toEqual(ours);
  });

  it('knows the job that the formula in the payload names', async () => {
    parts.register('heavy');
    const payload = encodePayload({
      ...wholePayload(),
      formula: base64('name = "publish"\ndescription = "d"\njob = "heavy"\ncommand = ["true"]\n'),
    });
    const run = await parts.dispatcher.dispatch(request({ job: 'heavy', payload }));
    expect(await parts.finder.find(refOf(TOKEN, payload))).toEqual(run);
  });

  it('takes one list for many that are looked for at once (R8)', async () => {
    const tokens = Array.from({ length: 1_000 }, (_, number) => tokenOf(number + 1));
    const payload = PAYLOAD.toString('base64');
    const { meta } = request();
    for (const token of tokens) parts.nomad.foreignChild({ parent: 'vault-runner', token, payload, meta });
    const runs = await Promise.all(tokens.map((token) => parts.finder.find(refOf(token))));
    expect(runs.map((run) => run?.id)).toEqual(tokens.map((token) => parts.nomad.child(token).ID));
    expect(parts.nomad.count('jobs')).toBe(4);
  });

  it('fails for that one alone whose child could not be read', async () => {
    const payload = PAYLOAD.toString('base64');
    const { meta } = request();
    const tokens = [tokenOf(1), tokenOf(2), tokenOf(3)];
    const children = tokens.map((token) => parts.nomad.foreignChild({ parent: 'vault-runner', token, payload, meta }));
    parts.nomad.faults.cut({ pattern: new RegExp(`/v1/job/${encodeURIComponent(children[1]?.ID ?? '')}`) });
    const found = await Promise.allSettled(tokens.map((token) => parts.finder.find(refOf(token))));
    expect(found.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(found[1]).toMatchObject({ reason: { code: 'ERR_ENGINE_UNAVAILABLE' } });
  });

  it('calls nothing foreign while what may be ours could not be read (R21)', async () => {
    parts.register('evil');
    const theirs = { parent: 'evil', token: TOKEN, payload: PAYLOAD.toString('base64'), meta: request().meta };
    parts.nomad.foreignChild(theirs);
    const ours = await parts.dispatcher.dispatch(request());
    parts.nomad.faults.cut({ pattern: new RegExp(`/v1/job/${encodeURIComponent(ours.id)}`) });
    await expect(parts.finder.find(refOf())).rejects.toMatchObject({ code: 'ERR_ENGINE_UNAVAILABLE' });
    expect(await parts.finder.find(refOf())).toEqual(ours);
  });

  it('is an outage for all that shared the list, and works again after it', async () => {
    parts.nomad.faults.noLeader();
    const both = await Promise.allSettled([parts.finder.find(refOf()), parts.finder.find(refOf(tokenOf(1)))]);
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(await parts.finder.find(refOf())).toBeNull();
  });

  it.each([['" or ID != "'], ['a'.repeat(31)], [`${'a'.repeat(32)}"`], ['A'.repeat(32)]])(
    'lets nothing but a token into the filter: %j',
    (text) => {
      expect(() => tokenFilter([tokenOf(1), text])).toThrow('not an attempt token');
    },
  );
});

const base64 = (text: string): string => Buffer.from(text).toString('base64');

const wholePayload = () => ({
  v: 1 as const,
  id: 'release',
  attempt: 1,
  token: TOKEN,
  action: base64('id = "release"'),
  formula: '',
  blobs: { action: 'a'.repeat(40), formula: 'b'.repeat(40) },
  access: {
    kind: 'vault',
    address: 'http://127.0.0.1:8200',
    namespace: '',
    wrapping_token: 'hvs.WRAPPER',
    creation_path: 'auth/token/create/edge-run',
    wrap_expires_at: '2026-01-01T00:00:00Z',
    secrets: {},
  },
  inputs: {},
  agent: [],
  limits: { log_bytes: 1, artifact_bytes: 1 },
  timeout_seconds: 60,
  issued_at: '2026-01-01T00:00:00Z',
  trailer_key: 'c'.repeat(64),
});
