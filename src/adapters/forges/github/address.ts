/** Where GitHub keeps the companies that ask for a place of their own. */
const TENANTS = '.ghe.com';

/** Address of the REST API of the GitHub at `url`, which has no slash at its end. */
export function apiOf(url: string): string {
  const { protocol, host } = new URL(url);
  if (host === 'github.com' || host.endsWith(TENANTS)) return `${protocol}//api.${host}`;
  // GitHub Enterprise Server.
  return `${url}/api/v3`;
}
