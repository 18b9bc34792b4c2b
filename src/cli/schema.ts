import type { z } from 'zod';
import { actionSchema } from '../domain/action.ts';
import { cancelSchema } from '../domain/cancel.ts';
import { type Available, configSchema, type SectionSchemas } from '../domain/config-sections.ts';
import { toJsonSchema } from '../domain/config-settings.ts';
import { formulaSchema } from '../domain/formula.ts';
import { journalEntrySchema } from '../domain/journal.ts';
import { payloadSchema } from '../domain/payload.ts';
import { policySchema } from '../domain/policy.ts';
import { resultSchema } from '../domain/result.ts';
import { UsageError } from '../errors.ts';

/** What the schema of the configuration depends on: the implementations and rules that this version has. */
export interface Implementations extends Available {
  readonly sections: SectionSchemas;
}

const SCHEMAS = {
  action: { title: 'Action: vault/actions/<id>.toml', of: () => actionSchema },
  cancel: { title: 'Cancel request: vault/actions/<id>.cancel.toml', of: () => cancelSchema },
  formula: { title: 'Formula: vault/formulas/<name>.toml', of: () => formulaSchema },
  policy: { title: 'Policy: vault/policy.toml', of: () => policySchema },
  result: { title: 'Result: vault/actions/<id>.result.json', of: () => resultSchema },
  journal: { title: 'Journal entry: one live attempt', of: () => journalEntrySchema },
  payload: { title: 'Payload: what the runner gets', of: () => payloadSchema },
  config: { title: 'Configuration: dispatcher.toml', of: (has: Implementations) => configSchema(has, has.sections) },
} as const satisfies Record<string, { title: string; of: (has: Implementations) => z.ZodType }>;

export type SchemaName = keyof typeof SCHEMAS;
export const SCHEMA_NAMES = Object.keys(SCHEMAS) as readonly SchemaName[];

/**
 * `edge-dispatcher schema <name>`: JSON Schema (draft 2020-12) of the file as a person writes it. Throws UsageError
 * (ERR_USAGE) for a name that there is not.
 */
export function schemaOf(name: string, has: Implementations): Readonly<Record<string, unknown>> {
  if (!isSchemaName(name)) {
    throw new UsageError('ERR_USAGE', `there is no such schema; there are: ${SCHEMA_NAMES.join(', ')}`);
  }
  const { title, of } = SCHEMAS[name];
  const { $schema, ...schema } = toJsonSchema(of(has));
  return { $schema, $id: `urn:edge-dispatcher:schema:${name}`, title, ...schema };
}

function isSchemaName(name: string): name is SchemaName {
  return Object.hasOwn(SCHEMAS, name);
}
