import { type Answer, done, envelope, found, missing, Refusal } from './answers.ts';
import type { KvMount } from './kv-store.ts';
import type { Call } from './request.ts';
import type { Handler, Route } from './routes.ts';
import type { State } from './state.ts';
import type { TokenRecord } from './tokens.ts';
import { record } from './values.ts';

/** KV v2. The first group of each path is the mount; which mounts there are is looked up at the request. */

interface Kv {
  readonly mount: KvMount;
  readonly path: string;
  readonly call: Call;
  readonly state: State;
  readonly caller: TokenRecord;
}

const V1_PATH =
  'Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. ' +
  "If using the OpenBao CLI, use 'bao kv get' for this operation.";

export const kvRoutes: readonly Route[] = [
  {
    ...at('data', { read: readData, update: writeData, delete: does(({ mount, path }) => mount.delete(path)) }),
    exists: ([name = '', path = ''], state) => state.mount(name).has(path),
  },
  {
    ...at('metadata', {
      read: readMetadata,
      list: listSecrets,
      update: does(changeMetadata),
      delete: does(({ mount, path }) => mount.remove(path)),
    }),
    exists: ([name = '', path = ''], state) => state.mount(name).has(path),
  },
  at('subkeys', { read: readSubkeys }),
  at('delete', { update: does(({ mount, path, call }) => mount.delete(path, versionsOf(call))) }),
  at('undelete', { update: does(({ mount, path, call }) => mount.undelete(path, versionsOf(call))) }),
  at('destroy', { update: does(({ mount, path, call }) => mount.destroy(path, versionsOf(call))) }),
  {
    path: /^([^/]+)\/config$/,
    read: () =>
      found({
        data: { cas_required: false, delete_version_after: '0s', max_versions: 0, metadata_cas_required: false },
      }),
  },
  {
    path: /^([^/]+)\/(.*)$/,
    read: () => ({ status: 404, body: envelope({ warnings: [V1_PATH] }) }),
  },
];

type Handlers = Partial<Record<'read' | 'list' | 'update' | 'delete', (kv: Kv) => Answer>>;

function does(act: (kv: Kv) => void): (kv: Kv) => Answer {
  return (kv) => {
    act(kv);
    return done;
  };
}

function at(part: string, handlers: Handlers): Route {
  const bound = Object.entries(handlers).map(([operation, handle]): readonly [string, Handler] => [
    operation,
    (call, [name = '', path = ''], state, caller) => handle({ mount: state.mount(name), path, call, state, caller }),
  ]);
  return { path: new RegExp(`^([^/]+)/${part}/(.*)$`), ...Object.fromEntries(bound) };
}

function readData({ mount, path, call, state, caller }: Kv): Answer {
  const version = mount.read(path, versionOf(call));
  if (version === null) return missing;
  if (version.data !== null) state.valuesRead.push({ path: call.path, by: caller.label, accessor: caller.accessor });
  return { status: version.data === null ? 404 : 200, body: envelope({ data: version }) };
}

function writeData({ mount, path, call }: Kv): Answer {
  if (call.body['data'] === undefined) throw new Refusal(400, 'no data provided');
  return found({ data: mount.put(path, record(call.body['data'])) });
}

function readMetadata({ mount, path }: Kv): Answer {
  const data = mount.metadata(path);
  return data === null ? missing : found({ data });
}

function listSecrets({ mount, path }: Kv): Answer {
  const keys = mount.list(path);
  return keys.length === 0 ? missing : found({ data: { keys } });
}

function changeMetadata({ mount, path, call }: Kv): void {
  const { custom_metadata: custom, max_versions: most } = call.body;
  mount.change(path, custom === undefined ? undefined : record(custom), typeof most === 'number' ? most : undefined);
}

function readSubkeys({ mount, path, call }: Kv): Answer {
  const version = mount.read(path, versionOf(call));
  if (version === null) return missing;
  const { data, metadata } = version;
  const subkeys = data === null ? null : keysOnly(data);
  return { status: data === null ? 404 : 200, body: envelope({ data: { metadata, subkeys } }) };
}

/** The same tree with null for every leaf. */
function keysOnly(value: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const entries = Object.entries(value).map(([key, inner]) => {
    const below = record(inner);
    return [key, Object.keys(below).length > 0 ? keysOnly(below) : null] as const;
  });
  return Object.fromEntries(entries);
}

function versionOf(call: Call): number | undefined {
  const number = Number(call.query.get('version') ?? '0');
  return number > 0 ? number : undefined;
}

function versionsOf(call: Call): number[] {
  const { versions } = call.body;
  return Array.isArray(versions) ? versions.map(Number) : [];
}
