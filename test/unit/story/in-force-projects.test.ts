import { beforeEach, describe, expect, it } from 'vitest';
import type { Oid } from '../../../src/domain/ids.ts';
import { createInForce } from '../../../src/story/in-force.ts';
import { allRules } from '../../fakes/approval-rules.ts';
import { policyText, publicKey } from '../../fakes/gated-files.ts';
import { MemoryOpsRepo } from '../../fakes/memory-ops-repo.ts';

const POLICY = 'vault/policy.toml';
const PROJECT = 'projects/code.toml';
const JANE = publicKey('jane');
const byJane = { signedBy: JANE };

let repo: MemoryOpsRepo;
let trusted: Oid;

beforeEach(() => {
  repo = new MemoryOpsRepo();
  trusted = repo.make([], { [POLICY]: policyText([{ name: 'Jane', keys: [JANE] }]), [PROJECT]: 'version = 1' });
});

/** The bytes of the project file that count, and what is pending. */
async function at(tip: Oid, projectFiles: readonly string[] = [PROJECT]) {
  const walk = createInForce({
    opsRepo: repo,
    rules: new Map([...allRules(repo).values()].map((rule) => [rule.name, rule])),
    requirement: { all: ['signed-commit'], any: [], atLeast: 0, selfApprove: false },
    trustedCommit: trusted,
    paths: { formulasDir: 'vault/formulas', policyFile: POLICY, projectFiles },
  });
  const { projects, formulas, pending } = await walk.at(tip);
  const texts = [...projects.values()].map(async ({ path, blob }) => [
    path,
    Buffer.from(await repo.read(blob)).toString(),
  ]);
  return {
    projects: Object.fromEntries(await Promise.all(texts)) as Record<string, string>,
    formulas: formulas.size,
    pending: pending.map(({ path, reason }) => `${path} ${reason.code}`),
  };
}

describe('the project file of sidecars (S2.1, R22)', () => {
  it('is in force as the trusted commit holds it, and is no formula', async () => {
    expect(await at(trusted)).toEqual({ projects: { [PROJECT]: 'version = 1' }, formulas: 0, pending: [] });
  });

  it('is no gated file where no rule names it', async () => {
    expect(await at(trusted, [])).toEqual({ projects: {}, formulas: 0, pending: [] });
  });

  it('takes effect when its edit is approved, and not before', async () => {
    const edited = repo.make([trusted], { [PROJECT]: 'version = 2' });
    const held = { projects: { [PROJECT]: 'version = 1' }, pending: [`${PROJECT} ERR_PROJECT_UNAPPROVED`] };
    expect(await at(edited)).toMatchObject(held);
    const approved = repo.make([trusted], { [PROJECT]: 'version = 2' }, byJane);
    expect(await at(approved)).toMatchObject({ projects: { [PROJECT]: 'version = 2' }, pending: [] });
  });

  it('that is no TOML, or a link, changes nothing, whoever approves it', async () => {
    const broken = repo.make([trusted], { [PROJECT]: '= 2' }, byJane);
    const held = { projects: { [PROJECT]: 'version = 1' }, pending: [`${PROJECT} ERR_PROJECT_INVALID`] };
    expect(await at(broken)).toMatchObject(held);
  });

  it('that hides what it says changes nothing (bidi, invisible characters)', async () => {
    const hidden = repo.make([trusted], { [PROJECT]: 'version = "\u202e2"' }, byJane);
    expect(await at(hidden)).toMatchObject({ pending: [`${PROJECT} ERR_PROJECT_INVALID`] });
  });

  it('that is deleted is gone at once', async () => {
    expect(await at(repo.make([trusted], { [PROJECT]: null }))).toMatchObject({ projects: {}, pending: [] });
  });
});
