/** What a URL of the configuration may be. The answers never quote it: it may hold what should not be in it. */

const SCHEME = /^([a-z][a-z0-9+.-]*):\/\//i;
const SCP_LIKE = /^(?:[A-Za-z0-9._-]+@)?[A-Za-z0-9][A-Za-z0-9.-]*:(?!:)[^\s]+$/;
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;
const FORMS = 'must be an https:// or ssh:// address or a path';

/** Null: fine as the URL of a git repo (https, ssh or a path; http on loopback only). Else what is wrong. */
export function gitUrlProblem(url: string): string | null {
  if (url.trim() === '') return 'is missing: name the repo by https, ssh or a path';
  if (url !== url.trim()) return SPACES;
  if (/\p{Cc}/u.test(url) || url.startsWith('-')) return FORMS;
  if (/^[a-z0-9+.-]+::/i.test(url)) return `${FORMS}, not a remote helper`;
  const scheme = SCHEME.exec(url)?.[1]?.toLowerCase();
  if (scheme !== undefined) return remoteProblem(url, scheme);
  return /^[^/:]*@-[^/]*:/.test(url) ? HOST : null;
}

/** A path rather than an address. */
export function isGitPath(url: string): boolean {
  return !SCHEME.test(url) && !isScpLike(url);
}

export function isSshUrl(url: string): boolean {
  return /^ssh:/i.test(url) || isScpLike(url);
}

/** Like git: a colon before the first slash makes it host:path. */
function isScpLike(url: string): boolean {
  const slash = url.indexOf('/');
  return !SCHEME.test(url) && SCP_LIKE.test(url) && (slash === -1 || url.indexOf(':') < slash);
}

function remoteProblem(url: string, scheme: string): string | null {
  if (!['https', 'http', 'ssh', 'file'].includes(scheme)) return FORMS;
  if (!URL.canParse(url)) return 'is no address that can be read';
  const { username, password, hostname, search, hash } = new URL(url);
  if (scheme === 'ssh' && password !== '') return 'must not hold a password: use ssh_key_file';
  if (scheme !== 'ssh' && `${username}${password}` !== '') return CREDENTIALS;
  if ([hostname, username].some((part) => /^(?:-|%2d)/i.test(part))) return HOST;
  if (`${search}${hash}` !== '') return 'must not have a part after ? or #';
  if (scheme === 'http' && !LOOPBACK.test(hostname)) return 'must be https: with http the token would travel readable';
  return null;
}

const SPACES = 'must not begin or end with white space';
/** The ssh program would take it for an option. */
const HOST = 'must name a host, and no user or host that begins with -';
const CREDENTIALS = 'must not hold a user or password: use username and token_file';

/** Null: fine as the address of a forge (https; http on loopback only). */
export function forgeUrlProblem(url: string): string | null {
  if (url !== url.trim()) return SPACES;
  const form = 'must be an address like https://forge.example';
  if (/\p{Cc}/u.test(url) || !/^https?:\/\//i.test(url) || !URL.canParse(url)) return form;
  return remoteProblem(url, new URL(url).protocol.slice(0, -1));
}

/** Null: fine as the place of output and artifacts. */
export function storeUrlProblem(url: string): string | null {
  if (url !== url.trim()) return SPACES;
  // A line break or a tab is left out without a word by whoever reads the URL.
  if (/\p{Cc}/u.test(url) || !URL.canParse(url)) return 'must be a URL like file:///var/lib/edge-dispatcher/store';
  const { protocol, username, password, host } = new URL(url);
  if (username !== '' || password !== '') return 'must not hold a user or password';
  if (protocol !== 'file:') return 'is not available in this version, which has: file';
  return host === '' ? null : 'must be a file URL with three slashes: file:///folder';
}
