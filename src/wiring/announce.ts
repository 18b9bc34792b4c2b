import type { Config } from '../config.ts';
import type { AnnounceSettings } from '../daemon/announce/describe.ts';

/** What people are told on the forge is of these; whose word counts as for the rules themselves. */
export function announceSettings({ ops_repo, approval, mounts }: Config): AnnounceSettings {
  return {
    policyFile: ops_repo.policy_file,
    mounts: Object.keys(mounts),
    bots: [...approval.bots, ops_repo.username],
    forgeAdmins: approval.forge_admins,
  };
}
