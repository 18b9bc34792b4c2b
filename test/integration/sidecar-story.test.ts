import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ForgeServer } from '../../src/cli/demo-forge/forge-server.ts';
import { forgejoDialect } from '../../src/cli/demo-forge/forgejo-api.ts';
import type { IssueRepo } from '../../src/cli/demo-forge/issue-repo.ts';
import { DemoForge } from '../../src/cli/demo-forge/model.ts';
import type { Result } from '../../src/domain/result.ts';
import { type FakeServices, fakeServices } from '../fakes/fake-services.ts';
import { openStage, type Stage } from '../fakes/stage.ts';
import { until } from '../fakes/until.ts';

/*
 * The built program from an issue to its result: the fake forge over HTTP, the fakes of Nomad and Vault whose children
 * really run the runner, and a real ops repo.
 */

const LOOK = `printf '%s %s\\n' "$EDGE_ISSUE_REPO" "$EDGE_ISSUE_NUMBER"
cat "$EDGE_PROJECT_FILE"
[ -z "\${EDGE_BOT_TOKEN+x}" ] && echo 'no bot token here'
exit 3`;

let root: string;
let server: ForgeServer;
let code: IssueRepo;
let services: FakeServices;
let stage: Stage;
let daemon: ReturnType<Stage['start']>;

beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'edge-sidecar-'));
  const forge = new DemoForge({ dir: path.join(root, 'ops.git'), now: () => Date.now() });
  for (const login of ['dev', 'edge-bot']) forge.addUser(login, { role: 'write' });
  code = forge.addIssueRepo('ops/code', { dev: 'write', 'edge-bot': 'write' });
  for (let count = 1; count <= 119; count += 1) code.open('dev', { title: `other ${count}`, labels: ['question'] });
  server = await ForgeServer.start(forge, forgejoDialect(forge));
  const token = server.addToken('edge-bot', ['write:repository', 'write:issue', 'read:user']);
  await writeFile(path.join(root, 'token'), token, { mode: 0o600 });
  services = await fakeServices();
  stage = await openStage(services, {
    driver: 'raw_exec',
    secretCount: 0,
    formulas: () => ({ reproduce: { script: LOOK, more: 'unattended = true' } }),
    files: { 'projects/code.toml': 'name = "code"\n' },
    more: `[forge]
kind = "forgejo"
url = "${server.origin}"
repo = "${forge.state.repo}"
token_file = "${path.join(root, 'token')}"
[[sidecar]]
formula = "reproduce"
repo = "ops/code"
project_toml = "projects/code.toml"
comment = true
[sidecar_job]
bot_token_path = ""
project_repos = ""
ops_repo = ""
agent_data = ""
`,
  });
  daemon = stage.start();
});

afterAll(async () => {
  await stage.remove();
  await services.close();
  await server.close();
  await rm(root, { recursive: true, force: true });
});

const resultOf = async (id: string): Promise<Result | undefined> => (await stage.results([id])).get(id);

it('an issue that gets the label is worked on by a child of the job sidecar, once, and its end is told (S2.1, S2.2, S2.3, S2.4)', async () => {
  const { number } = code.open('dev', { title: 'it crashes', labels: ['bug-report'] });
  const id = `sidecar/reproduce-${number}-1`;
  expect(await resultOf(id)).toMatchObject({
    id,
    outcome: 'failed',
    exit_code: 3,
    logs: `ops/code ${number}\nname = "code"\nno bot token here\n`,
    action: { path: 'projects/code.toml' },
    approval: { required: ['sidecar'] },
    run: { engine: 'nomad', digest_verified: true },
    attempt: { number: 1, executions: 1 },
    sidecar: { repo: 'ops/code', issue: number },
  });
  const children = [...services.fakeNomad.state.jobs.values()].filter(({ ParentID }) => ParentID === 'sidecar');
  expect(children.map(({ Meta }) => Meta)).toMatchObject([
    { issue_number: `${number}`, formula: 'reproduce', project_toml: 'projects/code.toml' },
  ]);
  await until('its end is told on the issue', () =>
    code.comments.some((each) => each.body.includes(`reproduce-${number}-1.result.json`)),
  );
  expect(daemon.stderr()).toContain('no bot token here');
});

it('a daemon that was killed finds its run again, and starts no other (S2.3)', async () => {
  const { number } = code.open('dev', { title: 'it hangs', labels: ['bug-report'] });
  const id = `sidecar/reproduce-${number}-1`;
  await until('it is dispatched', () =>
    [...services.fakeNomad.state.jobs.values()].some(({ Meta }) => Meta?.['issue_number'] === `${number}`),
  );
  daemon.child.kill('SIGKILL');
  await daemon.ended;
  daemon = stage.start();
  expect(await resultOf(id)).toMatchObject({ outcome: 'failed', exit_code: 3, attempt: { executions: 1 } });
  const children = [...services.fakeNomad.state.jobs.values()].filter(
    ({ Meta }) => Meta?.['issue_number'] === `${number}`,
  );
  expect(children).toHaveLength(1);
});
