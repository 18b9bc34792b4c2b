import { chmod, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { file } from '../../src/adapters/access/file.ts';
import { makeTools } from '../fakes/tools.ts';
import { type AccessHarness, accessContract } from './access.contract.ts';

accessContract('file', async (): Promise<AccessHarness> => {
  const tools = makeTools();
  const secrets = path.join(tools.stateDir, 'secrets');
  await mkdir(secrets, { mode: 0o700 });
  const open = () => file.create(file.options.parse({}), tools);
  return {
    access: open(),
    reopen: open,
    put: (name, value) => writeFile(path.join(secrets, name), value, { mode: 0o600 }),
    deny: (name) => chmod(path.join(secrets, name), 0o640),
    pass: async (seconds) => tools.advance(seconds),
    close: async () => tools.remove(),
  };
});
