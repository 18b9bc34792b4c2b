import { execFileSync } from 'node:child_process';
import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { OpsRepoOptions } from '../../src/adapters/ops-repo/branch.ts';
import { codeOf, StalledError, toError } from '../../src/errors.ts';
import type { Log } from '../../src/ports/log.ts';
import { GitHttpServer } from '../fakes/git-http-server.ts';
import { OpsRepoFixture } from '../fakes/ops-repo.ts';

const TOKEN = 'tok-3f9a7c5e1b2d4860';

let fixture: OpsRepoFixture;
afterEach(() => fixture.close());

/** Where the token must never be seen: each git call with its environment, logs and errors. */
class Witness {
  readonly folder: string;
  readonly logged: string[] = [];

  constructor(dir: string) {
    this.folder = path.join(dir, 'watched');
  }

  async install(realPath: string): Promise<string> {
    await mkdir(this.folder);
    const git = execFileSync('sh', ['-c', 'command -v git'], { encoding: 'utf8', env: { PATH: realPath } }).trim();
    await this.#script('git', `exec '${git}' "$@"`);
    return `${this.folder}:${realPath}`;
  }

  /** Replaces a program by one that is noted and then does this. */
  async #script(name: string, then: string): Promise<void> {
    const note = `{ for a in "$0" "$@"; do printf '%s\\n' "$a"; done; env; } >> '${path.join(this.folder, 'seen')}'`;
    await writeFile(path.join(this.folder, name), `#!/bin/sh\n${note}\n${then}\n`);
    await chmod(path.join(this.folder, name), 0o755);
  }

  async fakeSsh(then: string): Promise<void> {
    await this.#script('ssh', then);
  }

  readonly log: Log = {
    debug: (...event) => void this.logged.push(JSON.stringify(event)),
    info: (...event) => void this.logged.push(JSON.stringify(event)),
    warn: (...event) => void this.logged.push(JSON.stringify(event)),
    error: (...event) => void this.logged.push(JSON.stringify(event)),
  };

  seen(): Promise<string> {
    return readFile(path.join(this.folder, 'seen'), 'utf8');
  }
}

async function secured(): Promise<{ server: GitHttpServer; witness: Witness; access: Partial<OpsRepoOptions> }> {
  fixture = await OpsRepoFixture.create();
  const server = await GitHttpServer.start({ root: fixture.dir, username: 'edge-bot', token: TOKEN });
  fixture.onClose(() => server.close());
  const witness = new Witness(fixture.dir);
  const tokenFile = path.join(fixture.dir, "secret 'token' file");
  await writeFile(tokenFile, `${TOKEN}\n`, { mode: 0o600 });
  const searchPath = await witness.install(fixture.options().path ?? '');
  const access = {
    url: `${server.origin}/remote.git`,
    tokenFile,
    path: searchPath,
    log: witness.log,
    timeoutMs: 5_000,
  };
  return { server, witness, access };
}

/** All of an error that a log or a person could get to see. */
function shown(error: unknown): string {
  const parts: string[] = [];
  for (let one: unknown = error; one !== undefined; one = toError(one).cause) {
    const { message, stack } = toError(one);
    parts.push(message, stack ?? '', JSON.stringify(one, Object.getOwnPropertyNames(Object(one))));
  }
  return parts.join('\n');
}

async function filesBelow(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
}

describe('the token', () => {
  it('R14: opens the server and is in no argument, environment, log, error or file of ours, whatever fails', async () => {
    const { server, witness, access } = await secured();
    const opsRepo = await fixture.open(access);
    const journal = await fixture.openJournal(access);
    const errors: unknown[] = [];
    const attempt = async (work: () => Promise<unknown>): Promise<void> => {
      await work().catch((error: unknown) => errors.push(error));
    };
    const everything = async (round: string): Promise<void> => {
      await attempt(() => opsRepo.refresh());
      await attempt(() => journal.refresh());
      await attempt(() => opsRepo.publish({ path: `r/${round}`, content: Buffer.from(round) }, round));
      await attempt(() => journal.end({ id: round, token: '1'.repeat(32), ended_at: '2026-01-01T00:00:00Z' }));
    };
    await everything('sound');
    expect(errors).toEqual([]);

    const { tokenFile } = access;
    server.unavailable = 1_000;
    await everything('away');
    server.unavailable = 0;
    for (const status of [401, 403, 404, 500]) {
      server.failPushes = { count: 4, status };
      await everything(`push-${status}`);
    }
    server.failPushes = { count: 0, status: 500 };
    server.dropPushes = 20;
    await everything('cut');
    server.dropPushes = 0;
    server.redirectTo = 'http://127.0.0.1:9';
    await everything('redirected');
    server.redirectTo = undefined;
    await rm(path.join(fixture.dir, 'cache'), { recursive: true });
    await everything('without-cache');
    if (typeof tokenFile === 'string') await writeFile(tokenFile, `${TOKEN.toUpperCase()}\n`);
    await everything('wrong-token');

    expect(errors.length).toBeGreaterThan(10);
    expect(new Set(errors.map((error) => codeOf(error)))).toEqual(
      new Set(['ERR_GIT_DENIED', 'ERR_GIT_NOT_FOUND', 'ERR_GIT_UNAVAILABLE', 'ERR_PUSH_FORBIDDEN']),
    );
    const seen = await witness.seen();
    expect(seen).toContain('push');
    expect(seen).toContain('GIT_ASKPASS=');
    const places = [seen, ...witness.logged, ...errors.map(shown)];
    for (const file of await filesBelow(path.join(fixture.dir, 'cache'))) places.push(await readFile(file, 'latin1'));
    const forms = [TOKEN, TOKEN.toUpperCase(), Buffer.from(TOKEN).toString('base64').slice(0, 16)];
    forms.push(Buffer.from(`edge-bot:${TOKEN}`).toString('base64').slice(0, 24));
    for (const form of forms) expect(places.filter((place) => place.includes(form))).toEqual([]);
  }, 60_000);

  it('is read anew at every request, so that a rotated one counts at once', async () => {
    const { access } = await secured();
    const opsRepo = await fixture.open(access);
    if (typeof access.tokenFile !== 'string') throw new Error('no token file');
    await writeFile(access.tokenFile, 'an old one\n');
    await expect(opsRepo.refresh()).rejects.toMatchObject({ name: 'StalledError', code: 'ERR_GIT_DENIED' });
    await writeFile(access.tokenFile, TOKEN);
    expect(await opsRepo.refresh()).toMatchObject({ descends: true });
  });

  it('is not given to another server that a redirect leads to', async () => {
    const { server, access } = await secured();
    const thief = await GitHttpServer.start({ root: fixture.dir, username: 'edge-bot', token: 'unlike' });
    fixture.onClose(() => thief.close());
    server.redirectTo = thief.origin;
    const opsRepo = await fixture.open(access);
    await expect(opsRepo.refresh()).rejects.toMatchObject({ name: 'StalledError', code: 'ERR_GIT_DENIED' });
    expect(thief.requests.length).toBeGreaterThan(0);
    expect(thief.requests.map(({ authorization }) => authorization)).toEqual(thief.requests.map(() => undefined));
  });

  it('is given to the same server under another path, as after a repo was renamed', async () => {
    const { server, access } = await secured();
    server.renamed = { from: '/old-name.git', to: '/remote.git' };
    const opsRepo = await fixture.open({ ...access, url: `${server.origin}/old-name.git` });
    expect(await opsRepo.refresh()).toMatchObject({ descends: true });
    expect(await opsRepo.publish({ path: 'r', content: Buffer.from('r') }, 'r')).toMatchObject({ kind: 'landed' });
  });
});

describe('the environment of git', () => {
  it('holds nothing of ours and no configuration of system or user', async () => {
    const { witness, access } = await secured();
    process.env['EDGE_TEST_LEAK'] = 'leaked';
    process.env['GIT_TRACE'] = '1';
    try {
      const opsRepo = await fixture.open(access);
      const { tip } = await opsRepo.refresh();
      await opsRepo.list(tip, []);
      await opsRepo.publish({ path: 'r', content: Buffer.from('r') }, 'r');
    } finally {
      delete process.env['EDGE_TEST_LEAK'];
      delete process.env['GIT_TRACE'];
    }
    const seen = await witness.seen();
    expect(seen).not.toMatch(/EDGE_TEST_LEAK|GIT_TRACE|SSH_AUTH_SOCK|HTTPS?_PROXY/i);
    const homes = new Set(seen.split('\n').filter((line) => line.startsWith('HOME=')));
    expect(homes.size).toBe(1);
    for (const home of homes) expect(home).toContain(fixture.dir);
    expect(await readdir([...homes][0]?.slice('HOME='.length) ?? '')).toEqual([]);
    expect(seen).toContain('GIT_CONFIG_GLOBAL=/dev/null');
    expect(seen).toContain('GIT_CONFIG_SYSTEM=/dev/null');
    expect(seen).toContain('GIT_TERMINAL_PROMPT=0');
    expect(seen).toContain('GIT_ALLOW_PROTOCOL=http\n');
    expect(seen).not.toContain('GIT_ALLOW_PROTOCOL=https');
  });

  it('hands over the token of the file that is configured now, not of the one before', async () => {
    const { access } = await secured();
    const wrong = path.join(fixture.dir, 'wrong');
    await writeFile(wrong, 'not-the-token\n', { mode: 0o600 });
    await expect(fixture.open({ ...access, tokenFile: wrong }).then((repo) => repo.refresh())).rejects.toThrow(
      StalledError,
    );
    const again = await fixture.open(access);
    expect(await again.publish({ path: 'r', content: Buffer.from('r') }, 'r')).toMatchObject({ kind: 'landed' });
  });

  it('keeps the askpass script to its owner and makes it again when it was deleted', async () => {
    const { access } = await secured();
    const opsRepo = await fixture.open(access);
    await opsRepo.refresh();
    const askpass = path.join(fixture.options().dir, 'tools', 'askpass');
    expect((await stat(askpass)).mode & 0o777).toBe(0o700);
    await rm(path.dirname(askpass), { recursive: true });
    expect(await opsRepo.publish({ path: 'r', content: Buffer.from('r') }, 'r')).toMatchObject({ kind: 'landed' });
  });

  it('E6: lets a hostile configuration in the repo run nothing', async () => {
    fixture = await OpsRepoFixture.create({
      '.gitattributes': '* filter=evil diff=evil',
      '.gitmodules': '[submodule "x"]\npath = x\nurl = ext::sh -c "touch /tmp/evil"\n',
      '.git-config': '[core]\nfsmonitor = touch evil',
      x: { mode: '160000', content: '1'.repeat(40) },
    });
    const opsRepo = await fixture.open();
    const { tip } = await opsRepo.refresh();
    expect(await opsRepo.list(tip, [])).toHaveLength(4);
    expect(await opsRepo.publish({ path: 'r', content: Buffer.from('r') }, 'r')).toMatchObject({ kind: 'landed' });
    expect((await filesBelow(fixture.dir)).filter((file) => file.includes('evil'))).toEqual([]);
  });
});

describe('ssh', () => {
  it('is asked to check host keys in the given file only, with the given key only, and never to prompt', async () => {
    const { witness, access } = await secured();
    // Runs what would run on the server.
    await witness.fakeSsh('for last in "$@"; do :; done; exec sh -c "$last"');
    const url = `ssh://git@forge.example:2222${fixture.remote}`;
    const files = { sshKeyFile: '/keys/id with space', knownHostsFile: '/keys/known%hosts' };
    const opsRepo = await fixture.open({ ...access, ...files, url, dir: path.join(fixture.dir, 'ssh') });
    await opsRepo.refresh();
    expect(await opsRepo.publish({ path: 'r', content: Buffer.from('r') }, 'r')).toMatchObject({ kind: 'landed' });
    const lines = new Set((await witness.seen()).split('\n'));
    for (const option of [
      'BatchMode=yes',
      'StrictHostKeyChecking=yes',
      'UserKnownHostsFile="/keys/known%%hosts"',
      'GlobalKnownHostsFile=/dev/null',
      'IdentitiesOnly=yes',
      'IdentityAgent=none',
      'IdentityFile="/keys/id with space"',
      'PasswordAuthentication=no',
      'GIT_ALLOW_PROTOCOL=ssh',
    ]) {
      expect(lines).toContain(option);
    }
    expect(lines).toContain('/dev/null');
  });

  it.each([
    ['Host key verification failed.', 'ERR_GIT_HOST_KEY'],
    ['git@forge.example: Permission denied (publickey).', 'ERR_GIT_DENIED'],
    ['ssh: connect to host forge.example port 22: Connection refused', 'ERR_GIT_UNAVAILABLE'],
    ['kex_exchange_identification: read: Connection reset by peer', 'ERR_GIT_UNAVAILABLE'],
  ])('that says "%s" is told as %s, without its own words', async (words, code) => {
    const { witness, access } = await secured();
    await witness.fakeSsh(`echo '${words}' >&2; exit 255`);
    const opsRepo = await fixture.open({
      ...access,
      url: 'git@forge.example:ops/ops.git',
      dir: path.join(fixture.dir, 'ssh'),
    });
    const error: unknown = await opsRepo.refresh().catch((one: unknown) => one);
    expect(error).toMatchObject({ code });
    expect(shown(error)).not.toContain(words);
  });
});

describe('an address', () => {
  it('of a repo that is not there is an error that a person mends', async () => {
    const { server, access } = await secured();
    const gone = await fixture.open({ ...access, url: `${server.origin}/gone.git`, dir: path.join(fixture.dir, 'c1') });
    await expect(gone.refresh()).rejects.toMatchObject({ name: 'StalledError', code: 'ERR_GIT_NOT_FOUND' });
    const nowhere = await fixture.open({ url: path.join(fixture.dir, 'nowhere'), dir: path.join(fixture.dir, 'c2') });
    await expect(nowhere.refresh()).rejects.toMatchObject({ name: 'StalledError', code: 'ERR_GIT_NOT_FOUND' });
  });

  it('of a server that is down or unknown is an outage', async () => {
    fixture = await OpsRepoFixture.create();
    const down = await fixture.open({ url: 'http://127.0.0.1:9/ops.git' });
    await expect(down.refresh()).rejects.toMatchObject({ name: 'TransientError', code: 'ERR_GIT_UNAVAILABLE' });
  });

  it('that would run a program is refused by git itself', async () => {
    fixture = await OpsRepoFixture.create();
    const mark = path.join(fixture.dir, 'ran');
    const opsRepo = await fixture.open({ url: `ext::touch ${mark}` });
    await expect(opsRepo.refresh()).rejects.toMatchObject({ name: 'StalledError' });
    await expect(stat(mark)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
