import { inject } from 'vitest';
import { forges } from '../../src/adapters/forges/index.ts';
import { openFakeStage } from '../fakes/forge-stage-fake.ts';
import { openRealStage } from '../fakes/forge-stage-real.ts';
import { forgeContract } from './forge.contract.ts';

forgeContract('a fake server', openFakeStage, [
  { kind: 'forgejo', factory: forges.forgejo },
  { kind: 'gitea', factory: forges.gitea },
  { kind: 'github', factory: forges.github },
]);

const { FORGE_URL: url, FORGE_ADMIN_TOKEN: adminToken } = inject('realServices');

if (url !== undefined && adminToken !== undefined) {
  const real = [
    { kind: 'forgejo', factory: forges.forgejo },
    { kind: 'gitea', factory: forges.gitea },
  ] as const;
  forgeContract('a real server', () => openRealStage(url, adminToken), real, { making: 900_000, each: 60_000 });
}
