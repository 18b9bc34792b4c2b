import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { forges } from '../../src/adapters/forges/index.ts';
import { oid } from '../../src/domain/ids.ts';
import { SecretText } from '../../src/domain/secret-text.ts';
import { combine } from '../../src/domain/verdict.ts';
import type { OpsRepo } from '../../src/ports/ops-repo.ts';
import { askRules } from '../../src/story/ask-rules.ts';
import { allRules } from '../fakes/approval-rules.ts';
import { ManualClock } from '../fakes/manual-clock.ts';
import { type RecordedHistory, recordedRepo, serveHistory } from '../fakes/recorded-forge.ts';
import { silentLog } from '../fakes/tools.ts';

/**
 * Histories of a real Forgejo, answered by the adapter over HTTP and judged by the rules, must come to the verdicts that
 * were written beside them.
 */

const FILE = path.join(import.meta.dirname, '../fixtures/review-histories/recorded-forgejo.json');
const { histories } = JSON.parse(readFileSync(FILE, 'utf8')) as { histories: RecordedHistory[] };
const EITHER = { all: [], any: ['forge-review', 'forge-merge'], atLeast: 0, selfApprove: false };

async function judge(history: RecordedHistory, opsRepo: OpsRepo = recordedRepo(history)) {
  const server = await serveHistory(history);
  try {
    const clock = new ManualClock();
    const token = new SecretText('token-of-the-bot');
    const options = { url: server.url, repo: 'ops/hist', token, adminToken: token, caFile: null, branch: 'main' };
    const forge = forges.forgejo.create(options, { clock, log: silentLog });
    const rules = allRules(opsRepo, { forge, clock, terms: { forgeAdmins: true, bots: ['edge-bot'] } });
    const { path: file, tip, tip_blob } = history.action;
    const subject = {
      path: file,
      blob: oid(tip_blob),
      tip: oid(tip),
      formulaPath: null,
      approvers: [],
      selfApprove: false,
    };
    return combine(EITHER, await askRules(EITHER, rules, subject), { formulaInForce: null });
  } finally {
    await server.close();
  }
}

function said(verdict: Awaited<ReturnType<typeof judge>>): string {
  if (verdict.kind === 'allowed') return 'allowed: ok';
  return `${verdict.kind}: ${verdict.code.replace('ERR_', '').toLowerCase().replaceAll('_', '-')}`;
}

describe('the histories recorded from a real Forgejo', () => {
  it('are the thirty-five of the specification', () => {
    expect(histories).toHaveLength(35);
  });

  it.each(histories.map((history) => [history.name, history.about, history] as const))(
    '%s: %s (R1, R2, R3)',
    async (_name, _about, history) => {
      const verdict = await judge(history);
      expect(said(verdict)).toBe(`${history.expected.verdict}: ${history.expected.code}`);
      const counted = verdict.kind === 'allowed' ? verdict.evidence.map(({ by }) => by) : [];
      expect([...new Set(counted)].toSorted()).toEqual(history.expected.counts.toSorted());
    },
  );
});
