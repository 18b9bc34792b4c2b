import { tmpdir } from 'node:os';
import { describe, expect, it } from 'vitest';
import { SCHEMA_NAMES } from '../../../src/cli/schema.ts';
import { say } from '../../fakes/command-line.ts';

describe('edge-dispatcher schema', () => {
  it.each(SCHEMA_NAMES)('prints the JSON Schema of %s and nothing else', async (name) => {
    const { code, stdout, stderr } = await say(tmpdir(), ['schema', name]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({ $id: `urn:edge-dispatcher:schema:${name}`, type: 'object' });
  });

  it('knows the sections of the implementations that this version has', async () => {
    const { stdout } = await say(tmpdir(), ['schema', 'config']);
    expect(JSON.parse(stdout)).toMatchObject({ properties: { engine: { properties: { subprocess: {} } } } });
  });

  it('lists the names and ends with 2 when none is given, and with 2 for one that there is not', async () => {
    const { code, stdout, stderr } = await say(tmpdir(), ['schema']);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    for (const name of SCHEMA_NAMES) expect(stderr).toContain(`  ${name}\n`);
    expect(await say(tmpdir(), ['schema', 'actoin'])).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining('ERR_USAGE'),
    });
  });
});
