import { hostname } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { readConfig } from '../../src/config.ts';
import { availableParts, sectionSchemas, wire } from '../../src/wiring.ts';
import { GitHttpServer } from '../fakes/git-http-server.ts';
import { OpsRepoFixture } from '../fakes/ops-repo.ts';

let fixture: OpsRepoFixture;
afterEach(() => fixture.close());

const none = () => undefined;

describe('the ops repo as the program wires it', () => {
  it('R17: is polled in one request of at most 150 bytes where no token is configured too', async () => {
    fixture = await OpsRepoFixture.create({ 'vault/policy.toml': '[tiers]\n' });
    const server = await GitHttpServer.start({ root: fixture.dir });
    fixture.onClose(() => server.close());
    const config = readConfig({
      ...availableParts(),
      file: { path: 'test', bytes: Buffer.from(configText(`${server.origin}/remote.git`)) },
      env: {},
      sections: sectionSchemas(),
      hostname: hostname(),
      cwd: fixture.dir,
    });
    if (!config.ok) throw new Error(config.problems.map(({ message }) => message).join('\n'));
    const log = { debug: none, info: none, warn: none, error: none };
    const wired = await wire(config.config, { log, cacheDir: path.join(fixture.dir, 'wired') });
    fixture.onClose(() => wired.close());
    const world = await wired.watcher.look();
    server.forget();
    expect(await wired.watcher.look()).toBe(world);
    expect(server.requests.map(({ method }) => method)).toEqual(['POST']);
    expect(server.requests[0]?.bytes).toBeLessThanOrEqual(150);
  });
});

const configText = (url: string): string => `[dispatcher]
name = "wired"
state_dir = ${JSON.stringify(path.join(fixture.dir, 'state'))}
[ops_repo]
url = ${JSON.stringify(url)}
[approval]
low = ["trust-branch"]
medium = ["trust-branch"]
high = ["trust-branch"]
[engine]
kind = "subprocess"
[access]
kind = "file"
`;
