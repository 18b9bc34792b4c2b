import type { Config } from '../config.ts';
import type { Log } from '../ports/log.ts';
import type { SidecarSettings } from '../story/sidecar/sidecars.ts';
import { createIssueTracker } from './adapters.ts';

/** What works on issues, and where these are; null: nothing is configured. Throws UsageError. */
export function sidecarSettings(config: Config, log: Log): SidecarSettings | null {
  const { sidecar: rules, approval, ops_repo } = config;
  if (rules.length === 0) return null;
  const repos = [...new Set(rules.map(({ repo }) => repo))];
  return {
    rules,
    trackers: new Map(repos.map((repo) => [repo, createIssueTracker(config, repo, log)])),
    bots: [...approval.bots, ops_repo.username],
  };
}
