import { z } from 'zod';

const file = (about: string) =>
  z
    .string()
    .regex(/^[^\0\r\n]*$/, 'must be the path of a file, on one line')
    .default('')
    .describe(about);
const name = (about: string, fallback: string) =>
  z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,128}$/, 'must be letters, digits, _ and - (at most 128)')
    .default(fallback)
    .describe(about);

/** `[engine.nomad]`. */
export const nomadOptions = z.strictObject({
  address: z
    .string()
    .refine((text) => isAddress(text), 'must be http://host:port, https://host:port or unix:///path/of/api.sock')
    .default('http://127.0.0.1:4646')
    .describe('URL of the API, or unix:// and the path of the Task API socket (${NOMAD_SECRETS_DIR}/api.sock)'),
  namespace: name('a namespace of its own: rights in Nomad are by namespace', 'agents'),
  token_file: file('read again at every use, so a workload identity may renew it'),
  region: z
    .string()
    .regex(/^[A-Za-z0-9_-]{0,128}$/, 'must be the name of a region, or empty')
    .default(''),
  driver: z.enum(['docker', 'exec', 'raw_exec']).default('docker').describe('the variant that `deploy` registers'),
  image: z.string().min(1).default('edge-dispatcher:local').describe('docker: image of the runner'),
  runner: z
    .array(z.string().min(1))
    .default([])
    .describe('exec, raw_exec: argv of the runner on the clients; empty: this installation'),
  run_as: z
    .string()
    .regex(/^[1-9]\d{0,8}:[1-9]\d{0,8}$/, 'must be of the form uid:gid, neither of them 0')
    .default('65534:65534')
    .describe('docker: the user of the command, other than the runner'),
  runner_ca_file: file('on the clients: CA of the secret store, for the runner'),
  datacenters: z.array(z.string().min(1)).min(1).default(['dc1']),
  cpu: z.int().min(1).max(1_000_000).default(500).describe('MHz of a run'),
  memory_mb: z.int().min(128).max(10_000_000).default(512).describe('memory of a run; Node needs at least 128'),
  artifacts: z.boolean().default(false).describe('collect artifacts; the token then needs read-fs'),
  ca_file: file('PEM'),
  client_cert_file: file('PEM'),
  client_key_file: file('PEM'),
});
export type NomadOptions = z.output<typeof nomadOptions>;

/** No user, password, path or query: a token in a URL ends in logs. */
function isAddress(text: string): boolean {
  if (/^unix:\/\/\/[^\0\r\n?#]+$/.test(text)) return true;
  if (!/^https?:\/\//.test(text) || !URL.canParse(text)) return false;
  const { username, password, pathname, search, hash } = new URL(text);
  return `${username}${password}${search}${hash}` === '' && pathname === '/';
}
