import { z } from 'zod';
import type { Problem } from '../errors.ts';
import { filledText, formulaName, listOf } from './fields.ts';
import { type FileContext, fieldProblem, type Parsed, parsedFrom, schemaProblems } from './problems.ts';
import { readSignerLine, type SignerKey } from './signer-line.ts';
import { TIERS, type Tier } from './tier.ts';
import { readTomlFile } from './toml.ts';

/** `vault/policy.toml` (formats.md): how much each formula can do, and who may approve. */
const POLICY_MAX_BYTES = 256 * 1024;

const forgeUrl = z.string({ error: 'must be a text in quotes' }).refine(isForgeUrl, {
  error: 'must be the http(s) address of a forge, without user, password, query and fragment',
});

const approverSchema = z.strictObject(
  {
    name: filledText
      .max(100, { error: 'must have at most 100 characters' })
      .regex(/^[^\n\r\t]*$/, { error: 'must be one line' })
      .describe('As results name this person'),
    forge: z
      .strictObject(
        {
          url: forgeUrl,
          id: z.int({ error: 'must be a whole number' }).min(1, { error: 'must be a whole number from 1' }),
          login: z.string({ error: 'must be a text in quotes' }).regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, {
            error: 'must be a user name of the forge',
          }),
        },
        { error: 'must be a table like { url = "https://forge.example", id = 12, login = "jane" }' },
      )
      .optional()
      .describe('All three must match'),
    keys: listOf(z.string({ error: 'must be a text in quotes' }), 'allowed-signers lines', 32).default([]),
  },
  { error: 'must be a table with name, and forge or keys' },
);

/** The file itself, as JSON Schema for editors: `z.toJSONSchema(policySchema, { io: 'input' })`. */
export const policySchema = z.strictObject({
  tiers: z.record(formulaName, z.enum(TIERS), { error: 'must be a table of formula names and tiers' }).default({}),
  approvers: z
    .array(approverSchema, { error: 'must be a list of tables: write [[approvers]]' })
    .max(500, { error: 'must be a list of at most 500 people' })
    .default([]),
});

/** One person, whatever keys and accounts. */
export interface Approver {
  readonly name: string;
  /** `url` without a slash at its end. */
  readonly forge: { readonly url: string; readonly id: number; readonly login: string } | null;
  readonly keys: readonly SignerKey[];
}

export interface Policy {
  readonly tiers: Readonly<Record<string, Tier>>;
  readonly approvers: readonly Approver[];
}

/** Bytes of a policy file → the policy, or every problem of it. Never throws. */
export function parsePolicy(bytes: Uint8Array, path: string): Parsed<Policy> {
  const file = readTomlFile(bytes, path, { maxBytes: POLICY_MAX_BYTES, syntaxCode: 'ERR_POLICY_SYNTAX' });
  if (file.value === null) return parsedFrom<Policy>(undefined, file.problems);
  const context: FileContext = { path, locate: file.locate, fieldCode: 'ERR_POLICY_FIELD' };
  const rules = peopleProblems(file.value['approvers'], context);
  const problems = [...file.problems, ...schemaProblems(policySchema, file.value, context), ...rules];
  const parsed = policySchema.safeParse(file.value);
  return parsedFrom(parsed.success ? toPolicy(parsed.data) : undefined, problems);
}

/** What the policy says of a formula; one that it does not know is high. */
export function tierOf(policy: Policy, formula: string): Tier {
  return (Object.hasOwn(policy.tiers, formula) ? policy.tiers[formula] : undefined) ?? 'high';
}

/** What one entry is known by, as far as it can be read: no two entries may share any of it. */
interface Identity {
  readonly key: readonly (string | number)[];
  readonly entry: number;
  readonly identity: string;
  readonly same: string;
}

/** Rules over entries. People are counted, so nobody may stand there twice. Asked also when some field is wrong. */
function peopleProblems(approvers: unknown, context: FileContext): Problem[] {
  if (!Array.isArray(approvers)) return [];
  const entries: readonly unknown[] = approvers;
  const alone = entries.flatMap((entry, index) => entryProblems(entry, index, context));
  const identities = entries.flatMap((entry, index) => identitiesOf(entry, index));
  const shared = identities.flatMap(({ key, entry, identity, same }, index) => {
    const first = identities.slice(0, index).find((other) => other.entry !== entry && other.identity === identity);
    if (first === undefined) return [];
    const hint = 'One entry is one person: put all accounts and keys of a person into one entry.';
    return [fieldProblem(context, key, `is the same ${same} as that of approvers[${first.entry}]`, { hint })];
  });
  return [...alone, ...shared];
}

function entryProblems(entry: unknown, index: number, context: FileContext): Problem[] {
  const { forge, keys } = fieldsOf(entry);
  const lines: readonly unknown[] = Array.isArray(keys) ? keys : [];
  const broken = lines.flatMap((line, at) => {
    const read = typeof line === 'string' ? readSignerLine(line) : { ok: true };
    return 'rule' in read ? [fieldProblem(context, ['approvers', index, 'keys', at], read.rule)] : [];
  });
  if (forge !== undefined || lines.length > 0) return broken;
  const hint = 'Add forge or keys: nothing that this person does could be told to be theirs.';
  return [fieldProblem(context, ['approvers', index], 'has neither forge nor keys', { hint })];
}

function identitiesOf(entry: unknown, index: number): Identity[] {
  const { name, forge, keys } = fieldsOf(entry);
  const { url, id, login } = fieldsOf(forge);
  const at = (key: readonly (string | number)[], same: string, ...identity: readonly string[]): Identity[] => [
    { key: ['approvers', index, ...key], entry: index, identity: [same, ...identity].join('\n'), same },
  ];
  const home = isForgeUrl(url) ? normalUrl(url) : undefined;
  const lines: readonly unknown[] = Array.isArray(keys) ? keys : [];
  return [
    ...(typeof name === 'string' ? at(['name'], 'name', name.normalize('NFKC').trim().toLowerCase()) : []),
    ...(home !== undefined && typeof id === 'number' ? at(['forge', 'id'], 'forge id', home, String(id)) : []),
    ...(home !== undefined && typeof login === 'string'
      ? at(['forge', 'login'], 'login', home, login.toLowerCase())
      : []),
    ...lines.flatMap((line, number) => {
      const read = typeof line === 'string' ? readSignerLine(line) : null;
      return read?.ok === true ? at(['keys', number], 'key', read.signer.key) : [];
    }),
  ];
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}

function isForgeUrl(text: unknown): text is string {
  if (typeof text !== 'string' || !URL.canParse(text)) return false;
  const { protocol, username, password, search, hash } = new URL(text);
  return /^https?:$/.test(protocol) && `${username}${password}${search}${hash}` === '' && !/[?#\s]/.test(text);
}

/** Host in lower case, no default port, no slash at the end. */
function normalUrl(url: string): string {
  return new URL(url).href.replace(/\/+$/, '');
}

function toPolicy(fields: z.output<typeof policySchema>): Policy {
  const approvers = fields.approvers.map(({ name, forge, keys }) => ({
    name,
    forge: forge === undefined ? null : { ...forge, url: normalUrl(forge.url) },
    keys: keys.flatMap((line) => {
      const read = readSignerLine(line);
      return read.ok ? [read.signer] : [];
    }),
  }));
  return { tiers: fields.tiers, approvers };
}
