import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/adapters/clock.ts';
import { RemoteRefs } from '../../src/adapters/ops-repo/refs.ts';
import type { LogFields } from '../../src/ports/log.ts';
import { GitHttpServer } from '../fakes/git-http-server.ts';
import { createRemote, Writer } from '../fakes/git-repo.ts';
import { journalEntry, OpsRepoFixture } from '../fakes/ops-repo.ts';
import { until } from '../fakes/until.ts';

let fixture: OpsRepoFixture;
afterEach(() => fixture.close());

interface Stage {
  readonly server: GitHttpServer;
  readonly writer: Writer;
  /** What of the branch the adapter sees, and the bodies of the requests that it took. */
  readonly look: () => Promise<{ readonly tip: string; readonly asked: readonly string[] }>;
  /** What a file of the tip says. */
  readonly read: (file: string) => Promise<string>;
}

/** An ops repo over HTTP that was looked at once, so that a clone is there. */
async function stage(
  options: { readonly wantRef?: boolean; readonly format?: 'sha1' | 'sha256' } = {},
): Promise<Stage> {
  fixture = await OpsRepoFixture.create();
  const remote = await createRemote(path.join(fixture.dir, 'http.git'), { objectFormat: options.format ?? 'sha1' });
  const writer = await Writer.open(remote, path.join(fixture.dir, 'http-writer.git'));
  if (options.wantRef) await writer.git(['config', 'uploadpack.allowRefInWant', 'true'], { env: { GIT_DIR: remote } });
  await writer.commit({ a: '1', 'folder/b': 'the same' });
  await writer.push();
  const server = await GitHttpServer.start({ root: fixture.dir });
  fixture.onClose(() => server.close());
  const opsRepo = await fixture.open({ url: `${server.origin}/http.git`, dir: path.join(fixture.dir, 'http-cache') });
  await opsRepo.refresh();
  const bodies: string[] = [];
  server.hold = (body) => void bodies.push(body);
  return {
    server,
    writer,
    async look() {
      bodies.length = 0;
      server.forget();
      const { tip } = await opsRepo.refresh();
      return {
        tip,
        asked: server.requests.map(({ method, url }, at) => `${method} ${url} ${kindOf(bodies[at] ?? '')}`),
      };
    },
    async read(file) {
      const { tip } = await opsRepo.refresh();
      const entry = await opsRepo.entryAt(tip, file);
      return entry === null ? 'nothing' : Buffer.from(await opsRepo.read(entry.oid)).toString();
    },
  };
}

function kindOf(body: string): string {
  return /want-ref/.exec(body)?.[0] ?? /command=[a-z-]+/.exec(body)?.[0] ?? '-';
}

const OFFER = 'GET /http.git/info/refs?service=git-upload-pack -';
const POLL = 'POST /http.git/git-upload-pack command=ls-refs';
const WANT_REF = 'POST /http.git/git-upload-pack want-ref';

describe('a look that finds something new on an https remote', () => {
  it('R17: fetches it in one request, by the name of the ref where the server allows it', async () => {
    const { writer, look, read } = await stage({ wantRef: true });
    const first = (await look()).tip;
    const second = await writer.commit({ a: '2' });
    await writer.push();
    expect(await look()).toEqual({ tip: second, asked: [POLL, OFFER, WANT_REF] });
    const third = await writer.commit(
      Object.fromEntries(Array.from({ length: 150 }, (__, n) => [`many/${n}`, `${n}`])),
    );
    await writer.push();
    expect(await look()).toEqual({ tip: third, asked: [POLL, WANT_REF] });
    expect([await read('a'), await read('folder/b'), await read('many/149')]).toEqual(['2', 'the same', '149']);
    // A history that was rewritten is followed, backwards too.
    await writer.git(['update-ref', 'refs/heads/main', first]);
    await writer.push({ force: true });
    expect(await look()).toEqual({ tip: first, asked: [POLL, WANT_REF] });
    expect(await read('a')).toBe('1');
  });

  it('R17: fetches it in one request by its commit elsewhere, of a repo of SHA-256 too', async () => {
    const { writer, look, read } = await stage({ format: 'sha256' });
    const second = await writer.commit({ a: '2' });
    await writer.push();
    // Such a server tells its refs only to a client that says so, which the first look has learnt.
    expect(await look()).toEqual({ tip: second, asked: [POLL, OFFER, 'POST /http.git/git-upload-pack command=fetch'] });
    expect(await read('a')).toBe('2');
  });

  it('R17: leaves it to git where the answer holds damaged bytes or leaves out objects, and takes this way again later', async () => {
    const { server, writer, look, read } = await stage({ wantRef: true });
    for (const [turn, spoil] of [flipped, withEmptyPack, undefined].entries()) {
      server.alter = (answer, request) => (isOurs(request) ? (spoil?.(answer) ?? answer) : answer);
      const tip = await writer.commit({ a: `turn ${turn}` });
      await writer.push();
      const seen = await look();
      expect(seen.tip).toBe(tip);
      expect(seen.asked.slice(0, 3)).toEqual([POLL, OFFER, WANT_REF]);
      expect(seen.asked.length > 3).toBe(spoil !== undefined);
      expect(await read('a')).toBe(`turn ${turn}`);
    }
  });
});

/** Answers that are on their way for long. */
class LateRefs extends RemoteRefs {
  late: Promise<void> | undefined;
  /** Answers that waited for `late`. */
  told = 0;

  override async read(ref: string, justNow?: boolean) {
    const { late } = this;
    const told = await super.read(ref, justNow);
    if (late === undefined) return told;
    this.told += 1;
    await late;
    return told;
  }
}

/** A branch and a journal that ask for their refs together, as the daemon's do, each looked at once. */
async function together() {
  fixture = await OpsRepoFixture.create();
  const remote = await createRemote(path.join(fixture.dir, 'http.git'), { objectFormat: 'sha1' });
  const writer = await Writer.open(remote, path.join(fixture.dir, 'http-writer.git'));
  await writer.commit({ a: '1' });
  await writer.push();
  const server = await GitHttpServer.start({ root: fixture.dir });
  fixture.onClose(() => server.close());
  const url = `${server.origin}/http.git`;
  const refs = new LateRefs(fixture.options({ url, dir: path.join(fixture.dir, 'refs') }), systemClock);
  fixture.onClose(async () => refs.close());
  const warnings: string[] = [];
  const quiet = () => undefined;
  const warn = (message: string, fields?: LogFields) => void warnings.push(`${message} ${JSON.stringify(fields)}`);
  const opsRepo = await fixture.open({ url, dir: path.join(fixture.dir, 'http-cache'), refs });
  const journal = await fixture.openJournal({ url, refs, log: { debug: quiet, info: quiet, warn, error: warn } });
  const claim = (id: string, token: string) =>
    journal.claim(journalEntry(id, { token }), { groupLimit: 9, replaces: null, now: new Date() });
  await journal.refresh();
  await opsRepo.refresh();
  await claim('x', '1'.repeat(32));
  await opsRepo.refresh();
  /** Holds the requests whose body has this in it, until `release`. */
  const hold = (part: string) => {
    const held: (() => void)[] = [];
    server.hold = (body) => (body.includes(part) ? new Promise<void>((resolve) => held.push(resolve)) : undefined);
    const release = () => {
      server.hold = undefined;
      for (const resolve of held) resolve();
    };
    return { isHeld: () => until('it is held', () => held.length > 0), release };
  };
  return { writer, refs, opsRepo, journal, claim, hold, warnings };
}

describe('a push of ours that lands while others look', () => {
  it('R4: is not followed by an older state of the branch that was told before', async () => {
    const { opsRepo, journal, hold } = await together();
    const { isHeld, release } = hold('PACK');
    const published = opsRepo.publish({ path: 'vault/r.result.json', content: Buffer.from('{}') }, 'r');
    await isHeld();
    // Asks for the branch too, which nobody takes from its answer: the first time that one was asked for by both.
    await journal.refresh();
    await journal.refresh();
    release();
    const landed = await published;
    const { tip } = await opsRepo.refresh();
    expect(landed).toMatchObject({ commit: tip });
    expect(await opsRepo.entryAt(tip, 'vault/r.result.json')).not.toBeNull();
  });

  it('R4: is not followed by an older state that a look is told of late', async () => {
    const { writer, opsRepo, refs } = await together();
    await writer.commit({ a: '2' });
    await writer.push();
    let release = () => {};
    refs.late = new Promise((resolve) => {
      release = resolve;
    });
    const looked = opsRepo.refresh();
    await until('it was told', () => refs.told > 0);
    refs.late = undefined;
    const published = await opsRepo.publish({ path: 'vault/r.result.json', content: Buffer.from('{}') }, 'r');
    release();
    expect(published).toMatchObject({ commit: (await looked).tip });
  });

  it('R4: is not followed by an older journal, which would look like a lost claim', async () => {
    const { opsRepo, journal, claim, hold, warnings } = await together();
    const { isHeld, release } = hold('PACK');
    const claimed = claim('y', '2'.repeat(32));
    await isHeld();
    await opsRepo.acceptHistory();
    release();
    expect(await claimed).toBe('won');
    const view = await journal.refresh();
    expect([[...view.entries.keys()], warnings]).toEqual([['x', 'y'], []]);
  });
});

it('a quick fetch that the server does not answer ends with the wish to stop', async () => {
  const { opsRepo, writer, hold } = await together();
  await writer.pull();
  await writer.commit({ a: '2' });
  await writer.push();
  const { isHeld, release } = hold('command=fetch');
  const stop = new AbortController();
  let isStopped = false;
  const looked = opsRepo.refresh(stop.signal).catch(() => {
    isStopped = true;
  });
  await isHeld();
  stop.abort();
  await until('the look ends', () => isStopped, 3000);
  release();
  expect(await looked).toBeUndefined();
});

/** Git names its version in every request. */
const isOurs = (request: string): boolean => request.includes('command=fetch') && !request.includes('agent=');

const PACK = Buffer.from('PACK');

/** In the middle of what is packed, so that it is no longer what its sum says. */
function flipped(answer: Buffer): Buffer {
  const bytes = Buffer.from(answer);
  const at = bytes.indexOf(PACK) + 30;
  bytes.writeUInt8(bytes.readUInt8(at) ^ 0xff, at);
  return bytes;
}

/** A pack that is whole and holds nothing. */
function withEmptyPack(answer: Buffer): Buffer {
  const head = answer.subarray(0, answer.indexOf('packfile'));
  const pack = Buffer.from('5041434b0000000200000000029d08823bd8a8eab510ad6ac75c823cfd3ed31e', 'hex');
  return Buffer.concat([head, Buffer.from('packfile\n0025\x01', 'latin1'), pack, Buffer.from('0000')]);
}
