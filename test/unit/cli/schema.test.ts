import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { SCHEMA_NAMES, schemaOf } from '../../../src/cli/schema.ts';
import { UsageError } from '../../../src/errors.ts';

const version = {
  rules: ['trust-branch', 'signed-commit'],
  engines: { subprocess: ['file'] },
  accesses: ['file'],
  sections: { 'engine.subprocess': z.strictObject({ run_as: z.string().default('') }) },
};

describe('edge-dispatcher schema', () => {
  it.each(SCHEMA_NAMES)('prints a titled JSON Schema of %s that knows its fields and takes no others', (name) => {
    const schema = JSON.parse(JSON.stringify(schemaOf(name, version))) as Record<string, unknown>;
    expect(schema).toMatchObject({
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      $id: `urn:edge-dispatcher:schema:${name}`,
      title: expect.stringMatching(/^[A-Z].*: /),
      type: 'object',
      additionalProperties: false,
    });
    expect(Object.keys(schema['properties'] as object).length).toBeGreaterThan(0);
  });

  it('prints what a person writes, not what comes out: keys with a default are not required', () => {
    const config = schemaOf('config', version);
    expect(config).toMatchObject({
      required: ['ops_repo', 'engine'],
      properties: {
        ops_repo: { required: ['url'], properties: { branch: { default: 'main' }, journal_url: { type: 'string' } } },
        engine: { properties: { kind: { enum: ['subprocess'] }, subprocess: { properties: { run_as: {} } } } },
        http: { properties: { listen: { type: 'string', default: '127.0.0.1:9467' } } },
      },
    });
  });

  it('refuses a name that there is not, and says which there are', () => {
    expect(() => schemaOf('toString', version)).toThrow(UsageError);
    expect(() => schemaOf('actoin', version)).toThrow(
      /action, cancel, formula, policy, result, journal, payload, config/,
    );
  });
});
