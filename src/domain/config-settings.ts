import { z } from 'zod';
import type { SectionSchema } from './config-sections.ts';

/** A table of the file, as plain values. */
export type Table = Readonly<Record<string, unknown>>;

export function isTable(value: unknown): value is Table {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/** One key of the configuration. `*` in `path` stands for a name that the operator chooses (`mounts.*.path`). */
export interface Setting {
  readonly path: readonly string[];
  /** Its value is a string as it stands in an environment variable; else it is a TOML value there. */
  readonly isText: boolean;
  /** As in the file; undefined where there is none. */
  readonly default: unknown;
}

interface JsonSchemaNode {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, JsonSchemaNode>>;
  readonly additionalProperties?: boolean | JsonSchemaNode;
  readonly default?: unknown;
}

/** JSON Schema of a section or a whole configuration as it is written in the file. */
export function toJsonSchema(schema: z.ZodType): Readonly<Record<string, unknown>> {
  return z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
}

/** Every key there is, in the order of the schema. */
export function settingsOf(schema: SectionSchema): readonly Setting[] {
  return leaves(toJsonSchema(schema) as JsonSchemaNode, []);
}

function leaves(node: JsonSchemaNode, path: readonly string[]): Setting[] {
  if (node.properties !== undefined) {
    return Object.entries(node.properties).flatMap(([key, child]) => leaves(child, [...path, key]));
  }
  if (typeof node.additionalProperties === 'object') return leaves(node.additionalProperties, [...path, '*']);
  return [{ path, isText: node.type === 'string', default: node.default }];
}

const SECRET_FILE = /^(?:.*_)?(?:token|password|secret|url)(?=_file$)/;

/** The name under which the environment gives the secret itself (`token` of `token_file`); null: no secret. */
export function secretName(setting: Setting): string | null {
  return SECRET_FILE.exec(setting.path.at(-1) ?? '')?.[0] ?? null;
}

/** `EDGE_<SECTION>_<KEY>` of a path. */
export function variableName(path: readonly string[]): string {
  return ['EDGE', ...path].join('_').toUpperCase().replaceAll(/[-.]/g, '_');
}
