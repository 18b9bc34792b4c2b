import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { blobOid } from '../../src/domain/ids.ts';
import type { Payload } from '../../src/domain/payload.ts';
import { isRunning, RunnerBench, type RunPlan, type RunResult, script } from '../fakes/runner-bench.ts';

const IS_ROOT = process.getuid?.() === 0;
/** Only root can give a command another user. */
const AS_OTHER = IS_ROOT ? ['--run-as', '65534:65533'] : [];
const USER = IS_ROOT ? '65534' : String(process.getuid?.());

const BOT_TOKEN = 'gto_3f9c2a7be0d14c55a8e6b1f2';
const GRANTED = 'c0rrect/horse+battery=staple';
const PROJECT = '[project]\nname = "code"\n';
const OTHER_RUN = 'run-of-somebody-else';

let bench: RunnerBench;
beforeAll(() => {
  bench = new RunnerBench();
});
afterAll(() => bench.remove());

/** The job of sidecars on one machine: the file that its template rendered, and the volume that its runs share. */
function makeJob(name: string) {
  const directory = path.join(bench.root, name);
  const [token, data] = [path.join(directory, 'bot-token'), path.join(directory, 'data')];
  mkdirSync(path.join(data, OTHER_RUN), { recursive: true });
  for (const each of [directory, data]) chmodSync(each, 0o755);
  writeFileSync(token, `${BOT_TOKEN}\n`, { mode: 0o400 });
  return { token, data, args: ['--bot-token', token, '--agent-data', data, ...AS_OTHER] };
}

async function runJob(plan: RunPlan, args: readonly string[]): Promise<RunResult> {
  const prepared = bench.prepare(plan);
  // Tickets are this test's access: the runner finds them beside the payload.
  const job = { ...prepared, payloadFile: path.join(prepared.directory, 'payload') };
  return await bench.result(prepared, bench.startJob(job, { args }));
}

/** What the plan says, as a sidecar. */
function asSidecar(plan: RunPlan): RunPlan {
  const project = Buffer.from(PROJECT);
  const payload: Partial<Payload> = {
    id: 'sidecar/try-12-1',
    action: project.toString('base64'),
    blobs: { ...bench.prepare(plan).payload.blobs, action: blobOid(project) },
    sidecar: {
      repo: 'owner/code',
      issue: 12,
      url: 'https://forge.example/owner/code/issues/12',
      project: 'projects/code.toml',
    },
  };
  return { ...plan, payload };
}

describe('a sidecar', () => {
  it('finds its issue, its project and a token that no output tells, and leaves nothing (S2.1, R12)', async () => {
    const { token, data, args } = makeJob('sidecars');
    const nap = `sleep 64.${process.pid}`;
    const text = `
echo "$EDGE_ACTION_ID $EDGE_ISSUE_NUMBER $EDGE_ISSUE_REPO $EDGE_ISSUE_URL $EDGE_CONTEXT"
cat "$EDGE_PROJECT_FILE"; stat -c %a "$EDGE_PROJECT_FILE"
cd "$EDGE_AGENT_DATA" && stat -c '%a %u' . && dirname "$PWD" && echo kept > x
env -i setsid ${nap} < /dev/null > /dev/null 2>&1 &
ls ${token} > /dev/null 2>&1 || echo gone
[ \${#EDGE_BOT_TOKEN} = ${BOT_TOKEN.length} ] && echo whole
for fd in 1 2; do { echo "$EDGE_BOT_TOKEN"; printf %s "$EDGE_BOT_TOKEN" | base64 -w 0; echo " $A_TOKEN"; } >&$fd; done
cd "$OLDPWD" && echo "$EDGE_BOT_TOKEN" > leak.txt
until [ "$(readlink /proc/$!/cwd)" ] && grep -q sleep /proc/$!/cmdline; do sleep 0.01; done`;
    const formula = `${script(text)}\nunattended = true\nsecrets = ["A_TOKEN"]\nartifacts = ["*.txt"]`;
    const result = await runJob(asSidecar({ formula, secrets: { A_TOKEN: GRANTED } }), args);
    const masked = ['[masked:EDGE_BOT_TOKEN]', '[masked:EDGE_BOT_TOKEN] [masked:A_TOKEN]'];
    expect(result.stdout.trimEnd().split('\n')).toEqual([
      'sidecar/try-12-1 12 owner/code https://forge.example/owner/code/issues/12 issue #12 of owner/code',
      ...PROJECT.trimEnd().split('\n'),
      '440',
      `700 ${USER}`,
      data,
      'gone',
      'whole',
      ...masked,
    ]);
    expect([result.code, result.stderr]).toEqual([0, `${masked.join('\n')}\n`]);
    expect(result.trailer).toMatchObject({ masked: { EDGE_BOT_TOKEN: 4, A_TOKEN: 2 } });
    expect(result.trailer?.artifacts).toMatchObject([{ path: 'leak.txt', withheld: 'a secret is inside' }]);
    expect([existsSync(token), readdirSync(data), isRunning(nap)]).toEqual([false, [OTHER_RUN], false]);
  });
});

describe('the job of sidecars', () => {
  it('starts no action, however well approved: the identity that it holds is not for actions (S2.1, E6)', async () => {
    const { data, args } = makeJob('misused');
    const plan = { formula: `${script('echo started')}\nsecrets = ["A_TOKEN"]`, secrets: { A_TOKEN: GRANTED } };
    const result = await runJob(plan, args);
    expect(result).toMatchObject({ code: 69, stdout: '', trailer: { reason: 'ERR_DIGEST', started: null } });
    const why = 'the payload is of an action, and this is the job of sidecars; nothing was started';
    expect(result.stderr).toBe(`edge-runner: ERR_DIGEST: ${why}\n`);
    expect(readdirSync(data)).toEqual([OTHER_RUN]);
  });
});
