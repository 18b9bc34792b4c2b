import NodeVault from 'node-vault';
import { afterEach, describe, expect, it } from 'vitest';
import { until } from '../fakes/until.ts';
import type { Trouble } from '../fakes/vault/faults.ts';
import { authOf, dataOf, granted, type InstalledStage, installedStage, MINT } from '../fakes/vault/installed-stage.ts';
import { mint, mintWrapped, type RecordedStage, recordedStage } from '../fakes/vault/recorded-stage.ts';
import { normal, printedLines, type Reply, recording } from '../fakes/vault/replay.ts';
import type { FakeVault, FakeVaultOptions } from '../fakes/vault/server.ts';

/** The fake Vault answers as OpenBao 2.6.2 did: every recorded exchange is played against it; then what it does beyond. */

const RUN = {
  policies: ['runner-CODEBERG_TOKEN', 'runner-GITHUB_TOKEN'],
  explicit_max_ttl: '20m',
  ttl: '20m',
  meta: { run: 'run-1', action: 'a1' },
  display_name: 'run-1',
};
const ONE = { policies: ['runner-CODEBERG_TOKEN'], explicit_max_ttl: '20m', ttl: '20m' };
const DENIED = { status: 403, body: { errors: ['1 error occurred:\n\t* permission denied\n\n'] } };
const UNKNOWN = { status: 403, body: { errors: ['permission denied'] } };
const USED = { status: 400, body: { errors: ['wrapping token is not valid or does not exist'] } };

const running: FakeVault[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((vault) => vault.close()));
});

async function stage(): Promise<RecordedStage> {
  const made = await recordedStage();
  running.push(made.vault);
  return made;
}

/** Plays all of it; `before` is called with each note. */
async function expectReplayed(name: string, { replay }: RecordedStage, before = (_note: string): void => {}) {
  const exchanges = recording(name);
  expect(exchanges.length).toBeGreaterThan(0);
  for (const exchange of exchanges) {
    before(exchange.note);
    const { note, recorded, answered } = await replay.play(exchange);
    expect({ note, ...answered }).toEqual({ note, ...recorded });
  }
}

describe('the fake Vault answers as recorded', () => {
  it('when it is set up', async () => {
    const made = await stage();
    made.vault.advance(80_000);
    await expectReplayed('setup', made);
  });

  it('when tokens are minted by role, wrapped or not, and when that is refused', async () => {
    await expectReplayed('mint', await stage());
  });

  it('through the life of a wrapping token', async () => {
    const made = await stage();
    for (const [name, accessor, inner, ttl] of [
      ['<wrapping-token>', 'IxeXiCREf7BT8Zfehkmtiu0i', 'd4MnI6RiOmQXid92YR0IJ5Cw', '300s'],
      ['<wrapping-token-2>', 'unseen', 'Z8ZKbsyFGm1ukM0iGX4gNe9r', '300s'],
      ['<wrapping-token-3>', 'sypa8CP3rfWmhExSlU9M3SMn', 'qju77h4OHRf422D0zed3lAvZ', '300s'],
      ['<wrapping-token-4>', 'unseen', '8D7SiUX8YY8Ep2Z812sMEXom', '30s'],
    ] as const) {
      const wrapped = await mintWrapped(made, RUN, ttl);
      made.replay.bind(name, wrapped.token);
      made.replay.bind(accessor, wrapped.accessor);
      made.replay.bind(inner, wrapped.wrapped_accessor);
    }
    await expectReplayed('wrapping', made, (note) => {
      if (note.startsWith('unwrap 31.5 s after')) made.vault.advance(31_500);
    });
  });

  it('when one wrapper is unwrapped four times at the same moment', async () => {
    const made = await stage();
    made.replay.bind('<wrapping-token>', (await mintWrapped(made, ONE)).token);
    made.vault.wrapping.losersGet500 = 1;
    const compared = await Promise.all(recording('unwrap-race').map((exchange) => made.replay.play(exchange)));
    const inOrder = (key: 'recorded' | 'answered') =>
      compared.map((one) => one[key]).toSorted((a, b) => a.status - b.status);
    expect(inOrder('answered')).toEqual(inOrder('recorded'));
  });

  it('when secrets are read: there, empty, without field, deleted, destroyed, missing, not allowed', async () => {
    const made = await stage();
    const put = (name: string, data: unknown) => made.call('POST', `kv/data/edge/runner/${name}`, { data });
    await put('CODEBERG_TOKEN', { value: 'codeberg-value-1' });
    for (const name of ['GITHUB_TOKEN', 'SOPS_AGE_KEY', 'DELETED', 'DESTROYED']) await put(name, { value: 'x' });
    await put('EMPTY', { value: '' });
    await put('NOFIELD', { other: 'x' });
    await made.call('DELETE', 'kv/data/edge/runner/DELETED');
    await made.call('PUT', 'kv/destroy/edge/runner/DESTROYED', { versions: [1] });
    const names = ['CODEBERG_TOKEN', 'EMPTY', 'NOFIELD', 'DELETED', 'DESTROYED', 'MISSING'];
    const run = await mint(made, { ...RUN, policies: names.map((name) => `runner-${name}`) });
    made.replay.bind('<run-token>', run.client_token);
    await expectReplayed('kv', made);
    expect(made.vault.valuesRead.map(({ path, by }) => `${by} ${path}`)).toEqual([
      'role:edge-run kv/data/edge/runner/CODEBERG_TOKEN',
      'role:edge-run kv/data/edge/runner/EMPTY',
      'role:edge-run kv/data/edge/runner/NOFIELD',
    ]);
  });

  it('when tokens are revoked, expired, unknown or absent', async () => {
    const made = await stage();
    const run = await mint(made, RUN);
    made.replay.bind('<run-token>', run.client_token);
    made.replay.bind('Wvq3x2VPQEd1Rkf9sOUciPoA', run.accessor);
    const short = await mint(made, { ...RUN, ttl: '1s' });
    made.replay.bind('<expired-run-token>', short.client_token);
    made.replay.bind('iM7MhLVezs5s56MgvUwZZvlF', short.accessor);
    made.vault.advance(1_500);
    await expectReplayed('revoke', made);
  });

  it('when it is sealed and unsealed', async () => {
    const made = await stage();
    await made.call('POST', 'kv/data/edge/runner/CODEBERG_TOKEN', { data: { value: 'x' } });
    const wrapper = await mintWrapped(made, ONE);
    made.replay.bind('<wrapping-token>', wrapper.token);
    made.replay.bind('05erKgPhnEoztf6Va314W8u0', wrapper.wrapped_accessor);
    await expectReplayed('sealed', made);
  });

  it('when a Nomad task logs in with its JWT', async () => {
    const made = await stage();
    await expectReplayed('workload-identity', made);
    const logins = printedLines('workload-identity');
    expect(logins).toHaveLength(2);
    for (const [index, lines] of logins.entries()) {
      const claims = JSON.parse(lines[lines.indexOf('== vault_default') + 2] ?? '') as Record<string, unknown>;
      const printed = JSON.parse(lines[lines.indexOf('== login by-claim') + 1] ?? '') as unknown;
      const jwt = `header.${index}.signature`;
      made.vault.acceptJwt(jwt, claims);
      const body = { role: 'by-claim', jwt };
      const reply = await made.replay.send({ method: 'POST', path: '/v1/auth/jwt-nomad/login', body });
      expect(normal(reply)).toEqual(normal({ status: 200, body: printed }));
    }
  });
});

async function installed(options: FakeVaultOptions = {}): Promise<InstalledStage> {
  const made = await installedStage(options);
  running.push(made.vault);
  return made;
}

describe('the fake Vault beyond the recordings', () => {
  it('serves the client library through a whole run, and knows who read what', async () => {
    const at = await installed();
    const { vault, daemonToken } = at;
    const client = (token: string) => NodeVault({ endpoint: vault.address, token, requestOptions: {} });
    const daemon = client(daemonToken);
    expect(await daemon.list('kv/metadata/edge/runner')).toMatchObject({ data: { keys: ['TOKEN_A', 'TOKEN_B'] } });
    const { wrapper, accessor } = await granted(at);
    const paths = ['kv/data/edge/runner/TOKEN_A', 'kv/data/edge/runner/TOKEN_B'];
    expect(await daemon.write('sys/capabilities-accessor', { accessor, paths })).toMatchObject({
      data: { 'kv/data/edge/runner/TOKEN_A': ['read'], 'kv/data/edge/runner/TOKEN_B': ['deny'] },
    });
    const unwrapped = (await client(wrapper).unwrap()) as { auth: { client_token: string } };
    const run = client(unwrapped.auth.client_token);
    expect(await run.read('kv/data/edge/runner/TOKEN_A')).toMatchObject({ data: { data: { value: 'value-a' } } });
    expect(vault.token(accessor)).toMatchObject({ orphan: true, role: 'edge-run' });
    await run.tokenRevokeSelf();
    expect(vault.token(accessor)).toBeUndefined();
    expect(vault.runTokens).toEqual([]);
    expect(vault.valuesRead).toEqual([{ path: 'kv/data/edge/runner/TOKEN_A', by: 'role:edge-run', accessor }]);
    expect(
      vault.seen(/^sys\/wrapping/).map(({ method, path, token, status }) => [method, path, token, status]),
    ).toEqual([['POST', 'sys/wrapping/unwrap', 'wrapping', 200]]);
  });

  it('gives all policies of a role that lists some to who asks for none, as the real one does', async () => {
    const { asRoot } = await installed();
    for (const body of [{ policies: [] }, {}]) {
      expect(authOf(await asRoot('POST', 'auth/token/create/edge-run', body)).policies).toEqual(['edge-run']);
    }
  });

  it('keeps one policy for names that differ by case only', async () => {
    const { asRoot } = await installed();
    await asRoot('PUT', 'sys/policies/acl/runner-Foo', { policy: 'path "kv/data/a" { capabilities = ["read"] }' });
    await asRoot('PUT', 'sys/policies/acl/runner-FOO', { policy: 'path "kv/data/b" { capabilities = ["read"] }' });
    const read = await asRoot('GET', 'sys/policies/acl/runner-foo');
    expect(dataOf(read)).toMatchObject({ version: 2, policy: 'path "kv/data/b" { capabilities = ["read"] }' });
    expect(await asRoot('PUT', 'sys/policies/acl/x', { policy: 'path "x" { capabilities = ["fly"] }' })).toEqual({
      status: 400,
      body: { errors: ['failed to parse policy: path "x": invalid capability "fly"'] },
    });
  });

  it.each([
    ['exact before prefix', 'kv/data/* read, kv/data/a list', 'kv/data/a', 'list'],
    ['the longer prefix', 'kv/* read, kv/data/* list', 'kv/data/a', 'list'],
    ['a segment', 'kv/+/a read, other list', 'kv/data/a', 'read'],
    ['a segment, not two', 'kv/+/a read, other list', 'kv/data/b/a', 'deny'],
    ['the later wildcard', 'kv/+/edge/* read, kv/data/* list', 'kv/data/edge/x', 'list'],
    ['deny wins', 'kv/data/a read, kv/data/a deny', 'kv/data/a', 'deny'],
    ['both policies count', 'kv/data/a read, kv/data/a list', 'kv/data/a', 'list,read'],
    ['a list at the exact path', 'kv/data/a list, other read', 'kv/data/a/', 'list'],
    ['nothing said', 'kv/data/a read, kv/data/b list', 'kv/data/ab', 'deny'],
  ])('evaluates policies: %s', async (_, rules, path, expected) => {
    const { vault, asRoot, as } = await installed();
    const policies = rules.split(', ').map((rule, index) => {
      const [pattern, capability] = rule.split(' ');
      vault.putPolicy(`p${index}`, `path "${pattern}" { capabilities = ["${capability}"] }`);
      return `p${index}`;
    });
    const token = authOf(await asRoot('POST', 'auth/token/create', { policies })).client_token;
    expect(String(dataOf(await as(token)('POST', 'sys/capabilities-self', { paths: [path] }))[path])).toBe(expected);
  });

  it('does not let a parameter through that the policy does not allow', async () => {
    const { vault, asRoot, as } = await installed();
    vault.putPolicy(
      'narrow',
      'path "auth/token/create/edge-run" { capabilities = ["update"] allowed_parameters = { "policies" = [] "ttl" = ["5m"] } }',
    );
    const token = authOf(await asRoot('POST', 'auth/token/create', { policies: ['narrow'] })).client_token;
    const create = (body: unknown) => as(token)('POST', 'auth/token/create/edge-run', body);
    expect((await create({ policies: ['edge-run'], ttl: '5m' })).status).toBe(200);
    expect(await create({ policies: ['edge-run'], ttl: '6m' })).toEqual(DENIED);
    expect(await create({ policies: ['edge-run'], num_uses: 1 })).toEqual(DENIED);
  });

  it('tells a token that is gone from one that has no right', async () => {
    const { vault, daemonToken, asDaemon, as } = await installed();
    expect(await asDaemon('GET', 'kv/data/edge/runner/TOKEN_A')).toEqual(DENIED);
    vault.expire(daemonToken);
    expect(await asDaemon('GET', 'kv/metadata/edge/runner/TOKEN_A')).toEqual(UNKNOWN);
    expect((await as(vault.newDaemonToken())('GET', 'kv/metadata/edge/runner/TOKEN_A')).status).toBe(200);
    expect(vault.requests.map(({ token }) => token)).toEqual(['daemon', 'daemon', 'daemon']);
  });

  it('ends tokens and wrappers when their time is over, and renewing puts it off', async () => {
    const at = await installed();
    const { vault, asDaemon, as } = at;
    const { wrapper, accessor } = await granted(at);
    vault.advance(719_000);
    expect(dataOf(await asDaemon('POST', 'auth/token/lookup-accessor', { accessor }))['ttl']).toBeLessThan(182);
    expect((await as('')('POST', 'sys/wrapping/lookup', { token: wrapper })).status).toBe(200);
    vault.advance(1_000);
    expect(await as(wrapper)('POST', 'sys/wrapping/unwrap')).toEqual(USED);
    vault.advance(180_000);
    expect(vault.token(accessor)).toBeUndefined();
    vault.advance(80_000_000);
    expect((await asDaemon('POST', 'auth/token/renew-self', {})).status).toBe(200);
    vault.advance(80_000_000);
    expect((await asDaemon('GET', 'auth/token/lookup-self')).status).toBe(200);
  });

  it('consumes a wrapper that is used as any other token', async () => {
    const at = await installed();
    const { wrapper, wrapperAccessor: accessor } = await granted(at);
    const read = () => at.as(wrapper)('GET', 'kv/data/edge/runner/TOKEN_A');
    expect([await read(), await read()]).toEqual([DENIED, UNKNOWN]);
    expect(await at.as(wrapper)('POST', 'sys/wrapping/unwrap')).toEqual(USED);
    expect((await at.asDaemon('POST', 'auth/token/revoke-accessor', { accessor })).status).toBe(400);
  });

  it('answers both ways about the accessor of a consumed wrapper', async () => {
    const at = await installed();
    const { wrapper, wrapperAccessor } = await granted(at);
    await at.as(wrapper)('POST', 'sys/wrapping/unwrap');
    const revoke = () => at.asDaemon('POST', 'auth/token/revoke-accessor', { accessor: wrapperAccessor });
    expect(await revoke()).toEqual({ status: 400, body: { errors: ['token not found'] } });
    at.vault.wrapping.consumedIsForgotten = true;
    expect(await revoke()).toMatchObject({ status: 200, body: { warnings: ['No token found with this accessor'] } });
  });

  it('revokes and unwraps one wrapper at once, when told to', async () => {
    const at = await installed();
    at.vault.wrapping.revokedStillUnwraps = true;
    const { wrapper, wrapperAccessor } = await granted(at);
    const revoked = await at.asDaemon('POST', 'auth/token/revoke-accessor', { accessor: wrapperAccessor });
    expect([revoked.status, at.vault.wrapperState(wrapperAccessor)]).toEqual([204, 'revoked']);
    expect((await at.as(wrapper)('POST', 'sys/wrapping/unwrap')).status).toBe(200);
    expect((await at.as(wrapper)('POST', 'sys/wrapping/unwrap')).status).toBe(400);
  });

  it('mints more, less or other than asked, when told to', async () => {
    const at = await installed();
    at.vault.mint.add.push('runner-TOKEN_B');
    at.vault.mint.drop.push('edge-run');
    at.vault.mint.notOrphan = true;
    at.vault.removePolicy('runner-TOKEN_A');
    const { accessor } = await granted(at);
    expect(at.vault.token(accessor)).toMatchObject({ policies: ['runner-token_a', 'runner-token_b'], orphan: false });
    const paths = ['kv/data/edge/runner/TOKEN_A', 'kv/data/edge/runner/TOKEN_B'];
    expect(dataOf(await at.asDaemon('POST', 'sys/capabilities-accessor', { accessor, paths }))).toEqual({
      'kv/data/edge/runner/TOKEN_A': ['deny'],
      'kv/data/edge/runner/TOKEN_B': ['read'],
    });
    at.vault.expire(at.daemonToken);
    await at.asDaemon('GET', 'auth/token/lookup-self');
    expect(at.vault.token(accessor)).toBeUndefined();
  });

  it('binds the tokens of a role to networks', async () => {
    const { asRoot, as } = await installed();
    for (const [network, status] of Object.entries({ '10.0.0.0/8': 403, '127.0.0.1': 200 })) {
      await asRoot('POST', 'auth/token/roles/edge-run', { token_bound_cidrs: [network] });
      const { client_token: token } = authOf(await asRoot('POST', 'auth/token/create/edge-run', MINT));
      expect((await as(token)('GET', 'auth/token/lookup-self')).status).toBe(status);
    }
  });

  it('logs in by the JWTs that are said to be good, and by no other', async () => {
    const { vault, as } = await installed({ now: () => Date.parse('2026-11-21T00:00:00Z') });
    vault.install({ jwt: {} });
    const login = (jwt: string, role = 'edge-dispatcher') => as('')('POST', 'auth/jwt-nomad/login', { jwt, role });
    vault.acceptJwt('a.good.one');
    const { client_token: token } = authOf(await login('a.good.one'));
    expect((await as(token)('GET', 'kv/metadata/edge/runner/TOKEN_A')).status).toBe(200);
    vault.acceptJwt('for.somebody.else', { aud: 'x' });
    vault.acceptJwt('an.old.one', { exp: 1 });
    vault.acceptJwt('another.job.s', { nomad_job_id: 'x' });
    const refusals = await Promise.all([
      ...['a.bad.one', 'for.somebody.else', 'an.old.one', 'another.job.s', 'garbage'].map((jwt) => login(jwt)),
      login('a.good.one', 'none'),
    ]);
    expect(refusals.map(({ status, body }) => `${status} ${(body as { errors: string[] }).errors[0]}`)).toEqual([
      '400 error validating token: error verifying token signature: no known key successfully validated the token signature',
      '400 error validating token: invalid audience (aud) claim: audience claim does not match any expected audience',
      '400 error validating token: invalid expiration time (exp) claim: token is expired',
      '400 error validating claims: claim "nomad_job_id" does not match any associated bound claim values',
      '400 error validating token: error verifying token signature: go-jose/go-jose: compact JWS format must have three parts',
      '400 role "none" could not be found',
    ]);
  });

  it('is a standby: one forwards and only its health shows it, one is alone', async () => {
    const { vault, asDaemon } = await installed();
    const both = async () => [
      (await asDaemon('GET', 'sys/health')).status,
      (await asDaemon('GET', 'auth/token/lookup-self')).status,
    ];
    const seen: number[][] = [];
    for (const standby of ['no', 'forwarding', 'performance', 'alone'] as const) {
      vault.standby = standby;
      seen.push(await both());
    }
    vault.sealed = true;
    expect([...seen, await both()].join(' ')).toBe('200,200 429,200 473,200 429,500 503,503');
  });
});

describe('the fake Vault fails as told', () => {
  const SELF = 'auth/token/lookup-self';
  const outcome = (reply: Promise<Reply>) => reply.then(({ status }) => status).catch(() => 'cut' as const);

  it.each([
    ['an answer', (vault) => vault.answer(502, { times: 2 }), [502, 502, 200]],
    ['an answer to some paths', (vault) => vault.answer(502, { path: /^kv\// }), [200, 200, 200]],
    ['an answer to a method', (vault) => vault.answer(429, { method: 'POST' }), [200, 200, 200]],
    ['no right', (vault) => vault.deny({ path: /lookup-self$/ }), [403, 403, 403]],
    ['a redirect', (vault) => vault.redirect('http://127.0.0.1:1', { times: 1 }), [307, 200, 200]],
    ['a cut connection', (vault) => vault.cut({ times: 1 }), ['cut', 200, 200]],
    ['a delay', (vault) => vault.delay(5, { times: 1 }), [200, 200, 200]],
  ] satisfies [string, (vault: FakeVault) => Trouble, (number | 'cut')[]][])('by %s', async (_, arm, expected) => {
    const { vault, asDaemon } = await installed();
    const trouble = arm(vault);
    const outcomes: (number | 'cut')[] = [];
    for (const _each of expected) outcomes.push(await outcome(asDaemon('GET', SELF)));
    expect(outcomes).toEqual(expected);
    trouble.stop();
    expect(await outcome(asDaemon('GET', SELF))).toBe(200);
  });

  it('by losing the answer to what it did', async () => {
    const { vault, asDaemon } = await installed();
    vault.loseAnswer({ path: /^auth\/token\/create/ });
    expect(await outcome(asDaemon('POST', 'auth/token/create/edge-run', MINT, '300s'))).toBe('cut');
    expect(vault.runTokens).toHaveLength(1);
  });

  it('by holding a request until it is let go, or until the end', async () => {
    const { vault, asDaemon } = await installed();
    const trouble = vault.hold({ times: 1 });
    const held = outcome(asDaemon('GET', SELF));
    await until('it is held', () => trouble.hits === 1);
    expect(vault.requests.at(-1)?.status).toBe(0);
    trouble.stop();
    expect(await held).toBe(200);
    const hangs = vault.hold();
    const lost = outcome(asDaemon('GET', SELF));
    await until('it is held', () => hangs.hits === 1);
    await vault.close();
    expect(await lost).toBe('cut');
  });

  it('by refusing connections, and is the same server afterwards', async () => {
    const { vault, asDaemon } = await installed();
    await vault.refuseConnections();
    expect(await outcome(asDaemon('GET', SELF))).toBe('cut');
    await vault.acceptConnections();
    expect(await outcome(asDaemon('GET', SELF))).toBe(200);
  });
});
