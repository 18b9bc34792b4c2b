import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { creationPath, dataPath, metadataFolder, rolePath } from './names.ts';
import type { VaultOptions } from './options.ts';

/** Policy of the dispatcher's own token. */
export const DISPATCHER_POLICY = 'service-dispatcher';

/** The files of vault/: good as they are for the default names, and rendered for others. */
export interface Templates {
  readonly dispatcher: string;
  readonly run: string;
  /** With `{name}` in the place of the secret's name. */
  readonly secret: string;
  readonly role: Fields;
  /** Policy and login role of sidecars. */
  readonly sidecar: string;
  readonly sidecarRole: Fields;
}

/** As the server takes and tells them. */
export type Fields = Readonly<Record<string, unknown>>;

// dist/ and src/ lie at the same depth, so this is the vault/ beside either of them.
const FOLDER = new URL('../../../../vault/', import.meta.url);

export async function readTemplates(): Promise<Templates> {
  const read = (file: string): Promise<string> => readFile(new URL(file, FOLDER), 'utf8');
  const [dispatcher, run, secret, role, sidecar, sidecarRole] = await Promise.all([
    read(`policies/${DISPATCHER_POLICY}.hcl`),
    read('policies/edge-run.hcl'),
    read('policies/runner.hcl'),
    read('roles/edge-run.json'),
    read('policies/edge-sidecar.hcl'),
    read('roles/edge-sidecar.json'),
  ]);
  return { dispatcher, run, secret, role: fieldsOf(role), sidecar, sidecarRole: fieldsOf(sidecarRole) };
}

const fieldsOf = (json: string): Fields => z.record(z.string(), z.unknown()).parse(JSON.parse(json));

const DEFAULTS = { kv_mount: 'kv', secret_path: 'edge/runner/{name}', role: 'edge-run' };

/** The text with our own paths in the place of the default ones; `name`: of the secret. */
export function renderPolicy(text: string, options: VaultOptions, name = '{name}'): string {
  const ours = placesOf(options, name);
  return placesOf(DEFAULTS, '{name}').reduce((done, path, index) => {
    return done.replaceAll(`"${path}`, `"${ours[index] ?? path}`);
  }, text);
}

/** The policy of sidecars with the path of our own bot token. */
export const renderSidecarPolicy = (text: string, tokenPath: string): string =>
  text.replaceAll(`"${SIDECAR_TOKEN}"`, `"${tokenPath}"`);

const SIDECAR_TOKEN = 'kv/data/edge/sidecar/bot';

type Places = Pick<VaultOptions, 'kv_mount' | 'secret_path' | 'role'>;

function placesOf(places: Places, name: string): readonly string[] {
  const metadata = metadataFolder(places);
  const subkeys = metadata.replace(`${places.kv_mount}/metadata/`, `${places.kv_mount}/subkeys/`);
  return [creationPath(places), rolePath(places), metadata, subkeys, dataPath(places, name)];
}
