import { z } from 'zod';

const file = (about: string) =>
  z
    .string()
    .regex(/^[^\0\r\n]*$/, 'must be the path of a file, on one line')
    .default('')
    .describe(about);
/** What may stand in a path of the API: no dot alone, nothing that has to be escaped. */
const PATH = /^(?!.*(?:^|\/)\.{0,2}(?:\/|$))[A-Za-z0-9._/-]+$/;
const mount = (fallback: string) =>
  z.string().regex(PATH, 'must be the path of a mount, without slash at its ends').default(fallback);

/** `[access.vault]`. HashiCorp Vault and OpenBao. */
export const vaultOptions = z.strictObject({
  address: z
    .string()
    .refine((text) => isAddress(text), 'must be http://host:port or https://host:port')
    .default('http://127.0.0.1:8200')
    .describe('URL of the API, as the dispatcher and the runner reach it'),
  namespace: z
    .string()
    .regex(/^[A-Za-z0-9._/-]*$/, 'must be a namespace, or empty')
    .default(''),
  token_file: file('read again at every use'),
  login: z
    .strictObject({
      method: z.enum(['', 'jwt']).default('').describe('jwt: workload identity; empty: token_file'),
      mount: mount('jwt-nomad'),
      role: z
        .string()
        .regex(/^[A-Za-z0-9._-]+$/)
        .default('edge-dispatcher'),
      jwt_file: file('read again at every login'),
    })
    .prefault({}),
  ca_file: file('PEM'),
  role: z
    .string()
    .regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, 'must be lower-case letters, digits, _ and -')
    .default('edge-run')
    .describe('the token role that runs get their tokens from'),
  kv_mount: mount('kv'),
  secret_path: z
    .string()
    .refine((text) => isTemplate(text), 'must be a path with {name} as its last part')
    .default('edge/runner/{name}'),
  field: z
    .string()
    .regex(/^[A-Za-z0-9_.-]{1,64}$/, 'must be the name of a field')
    .default('value'),
  wrap_seconds: z
    .int()
    .min(180)
    .max(90_000)
    .optional()
    .describe('how long a wrapper lives; default and least: placement_minutes × 60 + 120'),
  bound_cidrs: z
    .array(
      z
        .string()
        .regex(/^(?!::ffff:)[0-9a-fA-F.:]+(?:\/\d{1,3})?$/i, 'must be an address or a network, IPv4 in its own form'),
    )
    .default([])
    .describe('addresses of the clients that runs are on, where they are known; `deploy` binds the role to them'),
});
export type VaultOptions = z.output<typeof vaultOptions>;

function isAddress(text: string): boolean {
  if (!/^https?:\/\//.test(text) || !URL.canParse(text)) return false;
  const { username, password, pathname, search, hash } = new URL(text);
  return `${username}${password}${search}${hash}` === '' && pathname === '/';
}

function isTemplate(text: string): boolean {
  const [before = '', after, ...more] = text.split('{name}');
  return after === '' && more.length === 0 && before.endsWith('/') && PATH.test(before.slice(0, -1));
}
