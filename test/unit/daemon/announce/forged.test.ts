import { describe, expect, it } from 'vitest';
import { touchedIn } from '../../../../src/daemon/announce/touched.ts';
import { blobOid, oid } from '../../../../src/domain/ids.ts';
import type { FirstParentChange } from '../../../../src/ports/ops-repo.ts';
import { AnnounceBench } from '../../../fakes/announce-bench.ts';
import { action } from '../../../fakes/story-bench.ts';

/** Nobody has signed anything with it. */
const KEY = {
  principal: 'signing-key',
  key: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1wKx1Qk9VZ0j0pVnqC3Xv4cX2m2fF9mYb2mK1m5a7B',
};

/** As somebody would write it who may push; the action that it claims to be of lies where `path` says. */
function forged(id: string, path: string, commit: string): string {
  const at = '2026-03-31T11:59:00Z';
  const blob = blobOid(Buffer.from(action(id)));
  return JSON.stringify({
    id,
    exit_code: 0,
    timestamp: at,
    logs: '',
    schema: 1,
    outcome: 'succeeded',
    reason: null,
    action: { path, blob, commit, sha256: null },
    formula: { name: 'tidy', blob: '0'.repeat(40), tier: 'low' },
    attempt: { number: 1, token: 'x', dispatcher: 'edge-1', executions: 1 },
    approval: null,
    attempts: [],
    run: null,
    access: null,
    output: null,
    artifacts: [],
    times: { committed: null, approved: null, dispatched: null, started: null, finished: null, recorded: at },
  });
}

/** The paths that git was asked for. */
function watchPaths(bench: AnnounceBench): string[] {
  const paths: string[] = [];
  const asked = bench.repo.firstParentChanges.bind(bench.repo);
  bench.repo.firstParentChanges = async (from, to, under): Promise<readonly FirstParentChange[]> => {
    paths.push(...under);
    return asked(from, to, under);
  };
  return paths;
}

describe('a result that somebody else wrote', () => {
  it.each([
    ['signed results', [KEY]],
    ['results that nobody signs', []],
  ])('leads git to no path that it names, with %s', async (_, resultKeys) => {
    const bench = new AnnounceBench();
    const commit = bench.repo.commitFiles(filesOf('old'));
    bench.repo.commitFiles({ 'vault/actions/old.result.json': forged('old', '../../elsewhere.toml', commit) });
    const paths = watchPaths(bench);
    const { end } = bench.announcing({ resultKeys });
    await bench.pass(60_000);
    await end();
    expect(paths.filter((path) => path.includes('elsewhere'))).toEqual([]);
    expect(bench.people.calls.includes(`changeOf ${commit}`)).toBe(resultKeys.length === 0);
  });

  it('is no last run that approvers are shown', async () => {
    const shown = async (resultKeys: readonly (typeof KEY)[]) => {
      const bench = new AnnounceBench();
      const commit = bench.repo.commitFiles(filesOf('old'));
      bench.repo.commitFiles({ 'vault/actions/old.result.json': forged('old', 'vault/actions/old.toml', commit) });
      bench.propose(1, filesOf('a'));
      const { end } = bench.announcing({ resultKeys });
      await bench.pass(20_000);
      await end();
      return bench.people.comments.get(1)?.body ?? '';
    };
    expect(await shown([])).toContain('last run of this formula: `old`');
    const told = await shown([KEY]);
    expect(told).toContain('formula `tidy`');
    expect(told).not.toContain('last run');
  });
});

const filesOf = (id: string) => ({ [`vault/actions/${id}.toml`]: action(id) });

describe('a change with more files of ours than are looked at', () => {
  it('counts the others, and never leaves out the policy', async () => {
    const formulas = Array.from({ length: 250 }, (_, index) => `vault/formulas/a${index}.toml`);
    const bench = new AnnounceBench();
    const context = await bench.process().context();
    const tip = oid('c'.repeat(40));
    const entryAt = async (_: string, path: string) => ({ path, kind: 'file' as const, oid: tip });
    const opsRepo = new Proxy(context.opsRepo, {
      get: (target, name) => (name === 'entryAt' ? entryAt : Reflect.get(target, name)),
    });
    const files = [...formulas, 'vault/policy.toml'];
    const touched = await touchedIn(tip, files, 'vault/policy.toml', { ...context, opsRepo });
    expect(touched.gated[0]?.path).toBe('vault/policy.toml');
    expect([touched.gated.length, touched.omitted]).toEqual([200, 51]);
  });
});
