import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { BASE_POLICY, secretPolicy } from '../../../domain/grant-policies.ts';
import type { Catalogue, Change, Tools } from '../../factory.ts';
import { expectOk } from './client.ts';
import { tokenSeconds } from './grants.ts';
import { boundCidrs, policyPath, rolePath } from './names.ts';
import type { VaultOptions } from './options.ts';
import { openSession, type Session } from './session.ts';
import { DISPATCHER_POLICY, readTemplates, renderPolicy, type Templates } from './templates.ts';

/**
 * What `deploy` would do in the store: the policies of the dispatcher and of runs, one `runner-<NAME>` for each secret of
 * the catalogue, and the token role. Our token has to be an operator's here. Nothing is changed before `apply`, and
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
  changes.push(await roleChange(session, options, wantedRole(templates, options, tools)));
  return changes;
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

const policySchema = z.object({ data: z.object({ policy: z.string() }) });

async function policyChange(session: Session, name: string, wanted: string): Promise<Change> {
  const path = policyPath(name);
  const doing = `read the policy ${name}`;
  const answer = await session.send({ doing, method: 'GET', path });
  const found = answer.kind === 'absent' ? null : expectOk(answer, doing, policySchema).data.policy;
  const difference = found === null ? [] : lineDifference(found, wanted);
  return {
    what: `policy ${name}`,
    kind: found === null ? 'new' : difference.length === 0 ? 'same' : 'changed',
    difference,
    apply: () => write(session, `write the policy ${name}`, path, { policy: wanted }),
  };
}

type Fields = Readonly<Record<string, unknown>>;

function wantedRole(templates: Templates, options: VaultOptions, { wanted }: Tools): Fields {
  return {
    ...templates.role,
    token_explicit_max_ttl: tokenSeconds(wanted.wrapSeconds),
    token_bound_cidrs: boundCidrs(options),
  };
}

async function roleChange(session: Session, options: VaultOptions, wanted: Fields): Promise<Change> {
  const doing = `read the role ${options.role}`;
  const path = rolePath(options);
  const answer = await session.send({ doing, method: 'GET', path });
  const schema = z.object({ data: z.record(z.string(), z.unknown()) });
  const found = answer.kind === 'absent' ? null : expectOk(answer, doing, schema).data;
  const difference = found === null ? [] : fieldDifference(found, wanted);
  return {
    what: `role ${options.role}`,
    kind: found === null ? 'new' : difference.length === 0 ? 'same' : 'changed',
    difference,
    apply: () => write(session, `write the role ${options.role}`, path, wanted),
  };
}

async function write(session: Session, doing: string, path: string, body: Fields): Promise<void> {
  await session.ask({ doing, method: 'POST', path, body }, z.unknown());
}

/** The server leaves out, or tells as null, what was never set. */
function fieldDifference(found: Fields, wanted: Fields): string[] {
  return Object.entries(wanted).flatMap(([key, value]) => {
    const is = found[key] ?? (Array.isArray(value) ? [] : NOTHING.find((nothing) => typeof nothing === typeof value));
    return isDeepStrictEqual(is, value) ? [] : [`${key}: ${JSON.stringify(is)} → ${JSON.stringify(value)}`];
  });
}

const NOTHING = [0, '', false];

/** Lines that are on one side only, in order; a text that differs in its order alone says so. */
function lineDifference(found: string, wanted: string): string[] {
  if (found.trim() === wanted.trim()) return [];
  const [before, after] = [linesOf(found), linesOf(wanted)];
  const gone = before.filter((line) => !after.includes(line)).map((line) => `policy: ${line} → (nothing)`);
  const added = after.filter((line) => !before.includes(line)).map((line) => `policy: (nothing) → ${line}`);
  const both = [...gone, ...added];
  return both.length > 0 ? both : ['policy: the same lines → in another order'];
}

/** Each with the path that it is of, or a right that moves from one path to another would be no difference. */
function linesOf(text: string): string[] {
  let path = '';
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .map((line) => {
      const isPath = /^path\s/.test(line);
      if (isPath) path = line;
      const told = isPath || path === '' ? line : `${path} ${line}`;
      if (line === '}') path = '';
      return told;
    });
}
