import { symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { file } from '../../src/adapters/stores/file.ts';
import { makeTools } from '../fakes/tools.ts';
import { type StoreHarness, storeContract } from './store.contract.ts';

storeContract('file', async (): Promise<StoreHarness> => {
  const tools = makeTools();
  const root = path.join(tools.stateDir, 'store');
  const url = pathToFileURL(root).href;
  const open = () => file.create(file.options.parse({ url }), tools);
  const store = open();
  await store.put('beside', (async function* () {})());
  writeFileSync(path.join(tools.stateDir, 'outside'), 'not yours');
  symlinkSync(path.join(tools.stateDir, 'outside'), path.join(root, 'link'));
  symlinkSync(tools.stateDir, path.join(root, 'folder'));
  return {
    store,
    reopen: open,
    hostileUris: [
      'file:///etc/passwd',
      `${url}/../outside`,
      `${url}/%2e%2e/outside`,
      `${url}/..%2Foutside`,
      `${url}/link`,
      `${url}/folder/outside`,
      url,
      `${url}/`,
      `${url}-beside`,
      'https://example.org/known',
      '/etc/passwd',
      '',
      'file:',
    ],
    close: async () => tools.remove(),
  };
});
