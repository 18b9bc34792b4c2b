import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { checkPush } from '../adapters/ops-repo/check.ts';
import type { Config } from '../config.ts';
import { type Finding, finding } from './doctor-finding.ts';

/** Push rights to the ops repo and, where it is another, to the repo of the journal. Nothing is left there. */
export async function checkPushes(
  config: Config,
  scratch: string,
  tip: string,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const { ops_repo } = config;
  const journal = ops_repo.journal_url ?? ops_repo.url;
  const options = {
    branch: ops_repo.branch,
    dir: scratch,
    username: ops_repo.username,
    tokenFile: await tokenFile(config, scratch),
    sshKeyFile: ops_repo.ssh_key_file,
    knownHostsFile: ops_repo.known_hosts_file,
    author: ops_repo.author,
    timeoutMs: TIMEOUT_MS,
    pushSpacingMs: 0,
    format: tip.length === 64 ? ('sha256' as const) : ('sha1' as const),
  };
  const results = await checkPush('git.push', { ...options, url: ops_repo.url }, signal);
  if (journal === ops_repo.url) return [finding(results)];
  return [finding(results), finding(await checkPush('git.push-journal', { ...options, url: journal }, signal))];
}

const TIMEOUT_MS = 60_000;

/** Git reads the token from a 0600 file and from nowhere else. */
async function tokenFile(config: Config, scratch: string): Promise<string | null> {
  const given = config.secrets['ops_repo.token'];
  if (given === undefined) return config.ops_repo.token_file;
  const file = path.join(scratch, 'token');
  await writeFile(file, given.reveal(), { mode: 0o600 });
  return file;
}
