import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { ForgeServer } from '../../src/cli/demo-forge/forge-server.ts';
import { forgejoDialect } from '../../src/cli/demo-forge/forgejo-api.ts';
import type { IssueRepo } from '../../src/cli/demo-forge/issue-repo.ts';
import { DemoForge } from '../../src/cli/demo-forge/model.ts';
import { type Result, resultSchema } from '../../src/domain/result.ts';
import { git } from '../fakes/git-repo.ts';
import { realServices } from '../fakes/services.ts';
import { openStage, type Stage } from '../fakes/stage.ts';
import { until } from '../fakes/until.ts';

/*
 * From a labelled issue to its result through a real Nomad and a real Vault (or OpenBao), by the built program only; the
 * forge is the fake one. Besides what nomad-vault.smoke.ts asks for, that Nomad has the host volumes `project-repos`,
 * `ops-repo` and `agent-data` (which uid 65534 may write to), and logs in at the auth mount `jwt-nomad` of that Vault.
 */
const given = inject('realServices');
const needed = (name: string): string => {
  const value = given[name];
  if (value !== undefined && value !== '') return value;
  throw new Error(`the smoke test needs ${name}; docs/operating.md, "Trying it on real servers", says what it is`);
};
const services = realServices({
  NOMAD_ADDR: needed('NOMAD_ADDR'),
  NOMAD_TOKEN: needed('NOMAD_TOKEN'),
  VAULT_ADDR: needed('VAULT_ADDR'),
  VAULT_TOKEN: needed('VAULT_TOKEN'),
});

const BOT_TOKEN = 'bot-token-of-the-smoke-test-0123456789';
const RUNNER = needed('EDGE_SMOKE_EXEC_RUNNER').split(' ');

/** What a task of the job finds, one line each; `?` where it must find nothing. */
const LOOK = `
echo "issue $EDGE_ISSUE_NUMBER of $EDGE_ISSUE_REPO"
cat "$EDGE_PROJECT_FILE"
echo "the bot is $EDGE_BOT_TOKEN"
ls /mounts | tr '\\n' ' '; echo
for place in /mounts/*/; do touch "$place/x" 2>/dev/null && echo "$place is writable"; done
touch "$EDGE_AGENT_DATA/x" && echo "agent-data is writable"
for name in VAULT_TOKEN NOMAD_TOKEN VAULT_ADDR; do [ -n "\${!name+x}" ] && echo "$name is set"; done
for file in /secrets/bot-token /secrets/vault_token /secrets/nomad_token /private/vault_token; do
  cat "$file" >/dev/null 2>&1 && echo "$file can be read"
done
echo done`;

describe('sidecars through a real Nomad and a real Vault, with exec', () => {
  let stage: Stage;
  let server: ForgeServer;
  let code: IssueRepo;
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'edge-smoke-forge-'));
    const forge = new DemoForge({ dir: path.join(folder, 'ops.git') });
    forge.addUser('owner', { role: 'owner' });
    forge.addUser('edge-bot', { role: 'write', isBot: true });
    forge.addUser('writer');
    forge.directPush('owner', { files: { 'README.md': 'ops\n' }, message: 'first' });
    code = forge.addIssueRepo('team/code', { 'edge-bot': 'write', writer: 'write' });
    server = await ForgeServer.start(forge, forgejoDialect(forge));
    stage = await openStage(services, {
      driver: 'exec',
      secretCount: 0,
      runner: RUNNER,
      volumes: { ssh: 'ssh', gpg: 'gpg' },
      formulas: () => ({ reproduce: { script: LOOK, more: 'job = "sidecar"\nunattended = true\n' } }),
      files: { 'projects/code.toml': 'name = "code"\n' },
      env: { EDGE_FORGE_TOKEN: server.addToken('edge-bot', ['all']) },
      more: ({ mount, sidecarRole }) => `[forge]
kind = "forgejo"
url = "${server.origin}"
repo = "${forge.state.repo}"
[sidecar_job]
bot_token_path = "${mount}/data/bots/forge"
vault_role = "${sidecarRole}"
[[sidecar]]
formula = "reproduce"
repo = "team/code"
project_toml = "projects/code.toml"
comment = true
`,
    });
    await stage.putSecret('bots/forge', BOT_TOKEN);
    stage.start();
  });

  afterAll(async () => {
    await stage?.remove();
    await server?.close();
    await rm(folder, { recursive: true, force: true });
  });

  const resultOf = (name: string): Promise<Result> =>
    until(
      `the result of ${name} is there`,
      async () => {
        const file = `main:vault/sidecars/${name}.result.json`;
        const text = await git(['cat-file', 'blob', file], { GIT_DIR: stage.bench.remote }).catch(() => null);
        return text === null ? null : resultSchema.parse(JSON.parse(text));
      },
      90_000,
    );

  it('deploy shows no difference when it is asked again (S2.1)', async () => {
    const { code: exit, stdout } = await stage.asAdmin('deploy', '--dry-run', '--json');
    const { changes } = JSON.parse(stdout) as { changes: { what: string; kind: string; difference: string[] }[] };
    expect({ exit, changed: changes.filter(({ kind }) => kind !== 'same') }).toEqual({ exit: 0, changed: [] });
    expect(changes.map(({ what }) => what)).toEqual(
      expect.arrayContaining(['job sidecar', 'job sidecar-gpg-ssh', expect.stringMatching(/^policy edge-sidecar-/)]),
    );
  });

  it('reproduce launches, completes and is recorded, with its bot token and nobody else’s (S2.4)', async () => {
    const issue = code.open('writer', { title: 'It breaks', labels: ['bug-report'] });
    const result = await resultOf(`reproduce-${issue.number}-1`);
    expect(result).toMatchObject({
      outcome: 'succeeded',
      exit_code: 0,
      run: { engine: 'nomad', digest_verified: true, id: expect.stringMatching(/^sidecar-gpg-ssh\/dispatch-/) },
      output: { stdout: { complete: true }, masked: { EDGE_BOT_TOKEN: 1 } },
    });
    expect(result.logs).not.toContain(BOT_TOKEN);
    expect(result.logs.split('\n')).toEqual([
      `issue ${issue.number} of team/code`,
      'name = "code"',
      'the bot is [masked:EDGE_BOT_TOKEN]',
      'gpg ops-repo project-repos ssh ',
      'agent-data is writable',
      'done',
      '',
    ]);
    await until('its end is told on the issue', async () => code.comments.length > 0, 30_000);
    process.stdout.write(
      `\nsidecar: ${result.id} ran as ${result.run?.id ?? ''}, token masked, end told on the issue\n`,
    );
  });

  it('an issue that did not change is not worked on again (S2.4)', async () => {
    const { stdout } = await stage.asDispatcher('why', 'sidecar/reproduce-1');
    expect(stdout).toContain('ERR_COOL_DOWN');
    const files = await git(['ls-tree', '--name-only', 'main', 'vault/sidecars/'], { GIT_DIR: stage.bench.remote });
    expect(files.trim().split('\n')).toEqual(['vault/sidecars/reproduce-1-1.result.json']);
  });
});
