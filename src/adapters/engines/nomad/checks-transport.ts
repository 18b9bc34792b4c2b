import { isIPv4 } from 'node:net';

export const CLEAR_TEXT =
  'WARNING: http to another machine: whoever is between can read the token and the payloads; use https';

/** True where the token and the payloads cross a network unencrypted. */
export function isClearText(address: string): boolean {
  if (!address.startsWith('http://')) return false;
  const { hostname } = new URL(address);
  return !(hostname === 'localhost' || hostname === '[::1]' || (isIPv4(hostname) && hostname.startsWith('127.')));
}
