import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Result } from '../../src/domain/result.ts';
import { type FakeServices, fakeServices } from '../fakes/fake-services.ts';
import { openStage, type Stage } from '../fakes/stage.ts';
import { until } from '../fakes/until.ts';

/*
 * The built program from action to result over the fakes of Nomad and Vault, whose children really run the runner: what
 * the smoke test shows on real servers, offline, and the faults that a real server can't be asked for.
 */

/** A digest is not masked. */
const SHOW = `for name in $(compgen -e | grep '^S[0-9A-F]*_' || true); do
  printf '%s=%s\\n' "$name" "$(printf %s "\${!name}" | sha256sum | cut -c 1-16)"
done`;
const digest = (text: string) => createHash('sha256').update(text).digest('hex').slice(0, 16);

let services: FakeServices;
let stage: Stage;
let daemon: ReturnType<Stage['start']>;

/** Runs until its gate is opened, and counts itself when it begins. */
const held = (dir: string) => `echo "$EDGE_ACTION_ID" >> ${dir}/executions
echo begun
until [ -e "${dir}/gate-$EDGE_ACTION_ID" ]; do sleep 0.05; done
echo done`;
const open = (id: string) => writeFile(path.join(stage.bench.dir, `gate-${id}`), '');
const begun = (id: string) =>
  until(`${id} has begun`, async () => {
    const lines = (await readFile(stage.bench.countFile, 'utf8')).split('\n');
    return lines.includes(id);
  });
const executions = async (id: string) => (await stage.bench.executions()).get(id) ?? 0;
const resultOf = async (id: string): Promise<Result | undefined> => (await stage.results([id])).get(id);

beforeAll(async () => {
  services = await fakeServices();
  stage = await openStage(services, {
    driver: 'raw_exec',
    secretCount: 3,
    formulas: (dir) => ({
      show: { script: SHOW },
      fail: { script: 'echo to err >&2; exit 3' },
      held: { script: held(dir) },
      other: { script: 'true', more: 'concurrency = "other"' },
    }),
  });
  daemon = stage.start();
});

afterAll(async () => {
  await stage.remove();
  await services.close();
});

describe('an action on its way through Nomad and Vault', () => {
  it('has exactly the secrets that it names, and its result says so (S1.1, S1.4, R15)', async () => {
    const [one = '', two = ''] = stage.secrets;
    await stage.act(
      { id: 'both', formula: 'show', secrets: [one, two] },
      { id: 'second', formula: 'show', secrets: [two] },
      { id: 'none', formula: 'show' },
    );
    const results = await stage.results(['both', 'second', 'none']);
    const line = (name: string) => `${name}=${digest(stage.secretValue(name))}\n`;
    expect(results.get('both')?.logs).toBe(line(one) + line(two));
    expect(results.get('second')?.logs).toBe(line(two));
    expect(results.get('none')?.logs).toBe('');
    expect(results.get('both')).toMatchObject({
      outcome: 'succeeded',
      access: { policies: ['edge-run', `runner-${one}`, `runner-${two}`], revoked_at: expect.any(String) },
      run: { engine: 'nomad', node: 'edge-1', isolated: false, digest_verified: true },
      output: { stdout: { complete: true }, stderr: { complete: true } },
      attempt: { number: 1, executions: 1 },
    });
    expect(results.get('none')?.access?.policies).toEqual(['edge-run']);
  });

  it('ends with the code of its command, or with 64 for a formula that is not there (S1.5, E1)', async () => {
    await stage.act({ id: 'fails', formula: 'fail' }, { id: 'nobody', formula: 'no-such-formula' });
    const results = await stage.results(['fails', 'nobody']);
    expect(results.get('fails')).toMatchObject({ outcome: 'failed', exit_code: 3, logs: 'to err\n' });
    expect(results.get('nobody')).toMatchObject({ outcome: 'invalid', exit_code: 64, run: null });
  });

  it('is refused for a secret that is not in the store, and nothing is minted or dispatched (S1.2, R7)', async () => {
    const [name = ''] = stage.secrets.slice(2);
    const path = `${stage.mount}/metadata/edge/runner/${name}`;
    services.fakeVault.answer(404, { path: new RegExp(`^${path}$`) }, { errors: [] });
    const before = [services.fakeNomad.count('dispatch'), services.fakeVault.seen(/token\/create/).length];
    await stage.act({ id: 'missing', formula: 'show', secrets: [name] });
    expect(await resultOf('missing')).toMatchObject({
      outcome: 'refused',
      exit_code: 64,
      reason: { code: 'ERR_SECRET_UNKNOWN' },
      run: null,
    });
    expect([services.fakeNomad.count('dispatch'), services.fakeVault.seen(/token\/create/).length]).toEqual(before);
  });

  it('waits while Vault is sealed, says so, and runs when it is not (promise 5, S1.4)', async () => {
    services.fakeVault.sealed = true;
    await stage.act({ id: 'sealed', formula: 'show', secrets: stage.secrets.slice(0, 1) });
    const why = await until('why says that the store is away', async () => {
      const { stdout } = await stage.asDispatcher('why', 'sealed');
      return stdout.includes('ERR_ACCESS_UNAVAILABLE') ? stdout : null;
    });
    expect(why).toContain('sealed');
    expect((await stage.bench.results()).has('sealed')).toBe(false);
    services.fakeVault.sealed = false;
    expect(await resultOf('sealed')).toMatchObject({ outcome: 'succeeded', attempt: { number: 1 } });
  });

  it('that a killed daemon leaves behind is found again by the next, with its true end (R8, R16)', async () => {
    await stage.act({ id: 'through-a-kill', formula: 'held' });
    await begun('through-a-kill');
    daemon.child.kill('SIGKILL');
    await daemon.ended;
    await open('through-a-kill');
    await until('its run has ended', () => services.fakeVault.runTokens.length === 0);
    daemon = stage.start();
    expect(await resultOf('through-a-kill')).toMatchObject({
      outcome: 'succeeded',
      logs: 'begun\ndone\n',
      attempt: { number: 1, executions: 1 },
    });
    expect(await executions('through-a-kill')).toBe(1);
  });

  it('whose allocation is replaced ends as lost, and the replacement executes nothing (R5, E4)', async () => {
    await stage.act({ id: 'replaced', formula: 'held' });
    await begun('replaced');
    const child = [...services.fakeNomad.state.jobs.values()].find(({ Meta }) => Meta?.['action_id'] === 'replaced');
    services.fakeNomad.loseNode(child?.ID ?? '');
    expect(await resultOf('replaced')).toMatchObject({
      outcome: 'lost',
      exit_code: 70,
      reason: { code: 'ERR_LOST' },
      run: { node: 'edge-1' },
      output: { stdout: { complete: false } },
    });
    expect(services.fakeNomad.executions(child?.DispatchIdempotencyToken ?? '')).toBe(2);
    expect(await executions('replaced')).toBe(1);
    await open('replaced');
  });

  it('leaves no token behind, and the dispatcher itself read no value (S1.3, R16)', async () => {
    expect(services.fakeVault.runTokens).toEqual([]);
    expect(services.fakeVault.valuesRead.filter(({ by }) => !by.startsWith('role:'))).toEqual([]);
  });

  it('is told without any token, wrapper or value in the log of the daemon (R14)', async () => {
    const secrets = [...stage.secrets.map((name) => stage.secretValue(name)), ...stage.tokens];
    const wrappers = services.fakeVault.seen(/wrapping\/unwrap/).map(({ body }) => body);
    const said = daemon.stderr() + daemon.stdout();
    expect([...secrets, ...wrappers.filter((body) => body.length > 4)].filter((text) => said.includes(text))).toEqual(
      [],
    );
    expect(said).toContain('replaced');
  });
});
