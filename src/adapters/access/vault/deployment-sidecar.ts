import type { SidecarJob } from '../../../domain/config-sidecar.ts';
import { jobVariant } from '../../../domain/job-variant.ts';
import { SIDECAR_JOB } from '../../../domain/sidecar.ts';
import { StalledError } from '../../../errors.ts';
import type { Catalogue, Change, Tools } from '../../factory.ts';
import { policyChange, roleChange } from './deployment-changes.ts';
import { boundCidrs, loginRolePath } from './names.ts';
import type { VaultOptions } from './options.ts';
import type { Session } from './session.ts';
import { type Fields, renderSidecarPolicy, type Templates } from './templates.ts';

interface Given {
  readonly templates: Templates;
  readonly options: VaultOptions;
  readonly tools: Tools;
  readonly catalogue: Catalogue;
}

/** Beside placement and the run itself, in seconds: as in the deadline of the journal. */
const SPARE_SECONDS = 120;

/**
 * What Nomad needs to read the bot token of sidecars: a policy for this one path, and a role that only their jobs can log
 * in by. None where there are no sidecars, no bot token, or another engine. Throws StalledError (ERR_ACCESS_DENIED) where
 * the auth mount is missing: which servers it trusts is not ours to say.
 */
export async function sidecarChanges(session: Session, given: Given): Promise<readonly Change[]> {
  const { sidecar, engineNamespace, placementSeconds } = given.tools.wanted;
  const { sidecarSeconds } = given.catalogue;
  if (sidecar === null || sidecar.bot_token_path === null) return [];
  if (engineNamespace === null || sidecarSeconds === null) return [];
  const { vault_role: role, auth_mount: mount } = sidecar;
  const policy = renderSidecarPolicy(given.templates.sidecar, sidecar.bot_token_path);
  const seconds = sidecarSeconds + placementSeconds + SPARE_SECONDS;
  return [
    await policyChange(session, role, policy),
    await roleChange(session, {
      name: `role ${role} of auth/${mount}`,
      path: loginRolePath(mount, role),
      wanted: wantedRole(given, sidecar, { namespace: engineNamespace, seconds }),
      withoutMount: () => missingMount(mount),
    }),
  ];
}

/**
 * The token that Nomad gets lives as long as a run may, and is never renewed: a Nomad agent that is started again reads
 * the secret again, and tells of no end before it could.
 */
function wantedRole(
  { templates, options, catalogue }: Given,
  { vault_role, audience }: SidecarJob,
  { namespace, seconds }: { readonly namespace: string; readonly seconds: number },
): Fields {
  const jobs = catalogue.variants.filter(({ job, mounts }) => job === jobVariant(SIDECAR_JOB, mounts));
  return {
    ...templates.sidecarRole,
    bound_audiences: [audience],
    bound_claims: {
      ...Object(templates.sidecarRole['bound_claims']),
      nomad_namespace: [namespace],
      nomad_job_id: jobs.map(({ job }) => job),
    },
    token_policies: [vault_role],
    token_ttl: seconds,
    token_explicit_max_ttl: seconds,
    token_bound_cidrs: boundCidrs(options),
  };
}

function missingMount(mount: string): StalledError {
  return new StalledError('ERR_ACCESS_DENIED', `the secret store: nothing is mounted at auth/${mount}`, {
    hint:
      `Let it trust the identities of Nomad: vault auth enable -path=${mount} jwt, then its config with jwks_url ` +
      '(deploy/README.md, "Sidecars"); or set bot_token_path of [sidecar_job] to "".',
  });
}
