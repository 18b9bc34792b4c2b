import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { ForgeServer } from '../../src/cli/demo-forge/forge-server.ts';
import { forgejoDialect } from '../../src/cli/demo-forge/forgejo-api.ts';
import type { IssueRepo } from '../../src/cli/demo-forge/issue-repo.ts';
import { DemoForge } from '../../src/cli/demo-forge/model.ts';
import { plainGit } from '../../src/cli/plain-git.ts';
import type { JournalEntry } from '../../src/domain/journal.ts';
import { encodeResult, type Result } from '../../src/domain/result.ts';
import { CliBench } from './cli-bench.ts';
import { sampleEntry, sampleResult } from './cli-samples.ts';

const REPO = 'ops/code';
const PROJECT = 'projects/code.toml';

/** The ops repo of `CliBench`, with rules for the issues of a repository on a fake forge. */
export interface SidecarBench {
  readonly cli: CliBench;
  readonly server: ForgeServer;
  /** `[forge]` of its configuration. */
  readonly forgeSection: string;
  /** `dev` and `gone` may write there, `guest` only read. */
  readonly issues: IssueRepo;
  /** As a dispatcher records it. */
  result(id: string, changes?: Partial<Result>): Promise<void>;
  /** An attempt in the journal, as the dispatcher of the configuration would claim it. */
  claim(id: string, changes?: Partial<JournalEntry>): Promise<JournalEntry>;
  remove(): Promise<void>;
}

const FORMULA = `name = "reproduce"
description = "Tries to reproduce a bug"
command = ["true"]
tier = "medium"
unattended = true
`;

const FILES = {
  'vault/formulas/reproduce.toml': FORMULA,
  'vault/formulas/verify.toml': FORMULA.replace('"reproduce"', '"verify"'),
  'vault/formulas/triage.toml': FORMULA.replace('"reproduce"', '"triage"').replace('unattended = true\n', ''),
  [PROJECT]: 'language = "typescript"\n',
};

export async function openSidecarBench(): Promise<SidecarBench> {
  const cli = await CliBench.open();
  const forge = new DemoForge({ dir: path.join(cli.root, 'forge.git') });
  for (const login of ['dev', 'gone', 'guest', 'edge-bot']) forge.addUser(login, { role: 'write' });
  const server = await ForgeServer.start(forge, forgejoDialect(forge));
  const issues = forge.addIssueRepo(REPO);
  for (const [login, role] of Object.entries({
    dev: 'write',
    gone: 'write',
    guest: 'read',
    'edge-bot': 'write',
  } as const)) {
    issues.setRole(login, role);
  }
  await cli.push(FILES);
  const trusted = await plainGit(cli.repo.clone, ['rev-parse', 'HEAD']);
  const token = path.join(cli.root, 'forge-token');
  await writeFile(token, server.addToken('edge-bot', ['all']), { mode: 0o600 });
  const config = path.join(cli.root, 'dispatcher.toml');
  const usual = (await readFile(config, 'utf8')).replace(cli.repo.trustedCommit, trusted);
  const forgeSection = forgeText(server.origin, token);
  await writeFile(config, `${usual}${forgeSection}${RULES}`);
  return {
    cli,
    server,
    forgeSection,
    issues,
    async result(id, changes = {}) {
      const name = id.slice('sidecar/'.length);
      const action = { path: PROJECT, blob: 'a'.repeat(40), commit: 'c'.repeat(40), sha256: 'd'.repeat(64) };
      const more = {
        ...sampleResult(id),
        action,
        formula: { name: 'reproduce', blob: 'b'.repeat(40), tier: 'medium' },
      };
      await cli.push({
        [`vault/sidecars/${name}.result.json`]: encodeResult({ ...more, ...changes } as Result).toString('utf8'),
      });
    },
    async claim(id, changes = {}) {
      const entry = sampleEntry(id, await cli.blob(PROJECT), { claimed_at: new Date().toISOString(), ...changes });
      await cli.claim(entry);
      return entry;
    },
    async remove() {
      await server.close();
      await cli.remove();
    },
  };
}

const forgeText = (origin: string, token: string) => `[forge]
kind = "forgejo"
url = "${origin}"
repo = "ops/ops"
token_file = ${JSON.stringify(token)}
`;

const RULES = ['reproduce', 'triage', 'verify']
  .map((formula) => `[[sidecar]]\nformula = "${formula}"\nrepo = "${REPO}"\nproject_toml = "${PROJECT}"\n`)
  .join('');
