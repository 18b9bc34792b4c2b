import { randomBytes } from 'node:crypto';
import { vaultOptions } from '../../src/adapters/access/vault/options.ts';
import { readTemplates, renderPolicy } from '../../src/adapters/access/vault/templates.ts';
import { vault } from '../../src/adapters/access/vault.ts';
import { TransientError } from '../../src/errors.ts';
import type { Access } from '../../src/ports/access.ts';
import { makeTools } from '../fakes/tools.ts';
import { applyAll, withToken } from '../fakes/vault-access-bench.ts';
import type { AccessHarness } from './access.contract.ts';

type Call = (method: string, path: string, body?: unknown) => Promise<unknown>;

export interface RealVault extends AccessHarness {
  /** As an administrator of the namespace. */
  readonly call: Call;
  readonly namespace: string;
}

/** A namespace of its own on a server that is there already, set up by our own deployment, and gone at the end. */
export async function openRealVault(address: string, rootToken: string): Promise<RealVault> {
  const namespace = `edge-test-${randomBytes(6).toString('hex')}`;
  const root = caller(address, rootToken, '');
  await root('POST', `sys/namespaces/${namespace}`, {});
  const call = caller(address, rootToken, namespace);
  await call('POST', 'sys/mounts/kv', { type: 'kv', options: { version: '2' } });
  await until(() => call('GET', 'kv/config'));
  const options = vaultOptions.parse({ address, namespace });
  const tools = makeTools();
  const operator = withToken(tools, rootToken);
  await applyAll(options, operator, []);
  const policies = ['service-dispatcher'];
  const request = { policies, no_parent: true, no_default_policy: true, period: '1h' };
  const created = (await call('POST', 'auth/token/create', request)) as { auth: { client_token: string } };
  const open = (): Access => patient(vault.create(options, withToken(tools, created.auth.client_token)));
  return {
    call,
    namespace,
    access: open(),
    reopen: open,
    async put(name, value) {
      await call('POST', `kv/data/edge/runner/${name}`, { data: { value } });
      await applyAll(options, operator, [name]);
    },
    async deny(name) {
      const { dispatcher } = await readTemplates();
      const denied = `path "kv/metadata/edge/runner/${name}" { capabilities = ["deny"] }`;
      const policy = `${renderPolicy(dispatcher, options)}\n${denied}\n`;
      await call('POST', 'sys/policies/acl/service-dispatcher', { policy });
    },
    pass: async () => undefined,
    async close() {
      tools.remove();
      await root('DELETE', `sys/namespaces/${namespace}`);
    },
  };
}

/** Of several unwraps at once, a loser may be answered 500, and our callers ask again. */
function patient(access: Access): Access {
  return {
    kind: access.kind,
    check: (signal) => access.check(signal),
    states: (names, signal) => access.states(names, signal),
    grant: (request, signal) => access.grant(request, signal),
    verify: (request, grant, signal) => access.verify(request, grant, signal),
    revoke: (accessor, token, signal) => access.revoke(accessor, token, signal),
    async consume(fragment) {
      try {
        return await access.consume(fragment);
      } catch (error) {
        if (!(error instanceof TransientError)) throw error;
        return await access.consume(fragment);
      }
    },
  };
}

function caller(address: string, token: string, namespace: string): Call {
  const headers = { 'X-Vault-Token': token, ...(namespace === '' ? {} : { 'X-Vault-Namespace': namespace }) };
  return async (method, path, body) => {
    const sent = body === undefined ? {} : { body: JSON.stringify(body) };
    const answer = await fetch(`${address}/v1/${path}`, { method, headers, ...sent });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status}`);
    return text === '' ? null : JSON.parse(text);
  };
}

/** A new mount is being upgraded for a moment. */
async function until(work: () => Promise<unknown>): Promise<void> {
  for (let left = 50; left > 0; left -= 1) {
    const done = await work().then(
      () => true,
      () => false,
    );
    if (done) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('the mount does not come up');
}
