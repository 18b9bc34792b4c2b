import { BASE_POLICY, secretPolicy } from '../../../domain/grant-policies.ts';
import type { Catalogue, Change, Tools } from '../../factory.ts';
import { policyChange, roleChange } from './deployment-changes.ts';
import { sidecarChanges } from './deployment-sidecar.ts';
import { tokenSeconds } from './grants.ts';
import { boundCidrs, rolePath } from './names.ts';
import type { VaultOptions } from './options.ts';
import { openSession } from './session.ts';
import { DISPATCHER_POLICY, type Fields, readTemplates, renderPolicy, type Templates } from './templates.ts';

/**
 * What `deploy` would do in the store: the policies of the dispatcher and of runs, one `runner-<NAME>` for each secret of
 * the catalogue, and the token role; for sidecars a policy and a login role. Our token has to be an operator's here. Nothing is changed before `apply`, and
 * nothing that we do not know is taken away. Errors: TransientError, StalledError.
 */
export async function deployment(
  options: VaultOptions,
  tools: Tools,
  catalogue: Catalogue,
): Promise<readonly Change[]> {
  const session = openSession(options, tools);
  const templates = await readTemplates();
  const changes: Change[] = [];
  for (const [name, text] of wantedPolicies(templates, options, catalogue.secrets)) {
    changes.push(await policyChange(session, name, text));
  }
  const wanted = wantedRole(templates, options, tools);
  changes.push(await roleChange(session, { name: `role ${options.role}`, path: rolePath(options), wanted }));
  return [...changes, ...(await sidecarChanges(session, { templates, options, tools, catalogue }))];
}

function wantedPolicies(
  templates: Templates,
  options: VaultOptions,
  secrets: readonly string[],
): readonly (readonly [string, string])[] {
  const of = (text: string, name?: string): string => renderPolicy(text, options, name);
  return [
    [DISPATCHER_POLICY, of(templates.dispatcher)],
    [BASE_POLICY, of(templates.run)],
    ...secrets.map((name) => [secretPolicy(name), of(templates.secret, name)] as const),
  ];
}

function wantedRole(templates: Templates, options: VaultOptions, { wanted }: Tools): Fields {
  return {
    ...templates.role,
    token_explicit_max_ttl: tokenSeconds(wanted.wrapSeconds),
    token_bound_cidrs: boundCidrs(options),
  };
}
