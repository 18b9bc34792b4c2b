import { describe, expect, it } from 'vitest';
import { boundCidrs, dataPath } from '../../../../../src/adapters/access/vault/names.ts';

describe('names in the secret store', () => {
  it.each([
    ['10.0.0.0/8', '10.0.0.0/8'],
    ['10.1.2.3/8', '10.1.2.3/8'],
    ['192.0.2.7/32', '192.0.2.7'],
    ['192.0.2.7', '192.0.2.7'],
    ['::1/128', '::1'],
    ['2001:db8::/32', '2001:db8::/32'],
    ['2001:DB8::/32', '2001:db8::/32'],
    ['2001:db8:0000::/48', '2001:db8::/48'],
    ['2001:db8:0:0::1/128', '2001:db8::1'],
  ])('tell the address %s in the form in which the server does, %s', (configured, told) => {
    expect(boundCidrs({ bound_cidrs: [configured] })).toEqual([told]);
  });

  it('put a name of any characters into a path as it is', () => {
    const places = { kv_mount: 'kv', secret_path: 'edge/runner/{name}' };
    expect(dataPath({ ...places, role: 'edge-run' }, 'a$&b')).toBe('kv/data/edge/runner/a$&b');
  });
});
