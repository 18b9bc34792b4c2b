import type { Permission } from '../../src/cli/demo-forge/records.ts';
import { SIDECAR_DEFAULTS, type SidecarRule } from '../../src/domain/sidecar.ts';
import { MemoryIssues } from './memory-issues.ts';
import { type Process, type ProcessOptions, StoryBench } from './story-bench.ts';

const REPO = 'ops/code';
export const PROJECT = 'projects/code.toml';

/** As the configuration makes it of `[[sidecar]]` with this formula. */
export function sidecarRule(formula: string, more: Partial<SidecarRule> = {}): SidecarRule {
  return {
    formula,
    repo: REPO,
    ...(SIDECAR_DEFAULTS[formula] ?? { labels: ['bug-report'], without: [], when: null }),
    project_toml: PROJECT,
    cool_down_minutes: 30,
    in_flight: 2,
    runs_per_day: 48,
    comment: false,
    ...more,
  };
}

export const RULES: readonly SidecarRule[] = ['reproduce', 'triage', 'verify'].map((name) => sidecarRule(name));

/** The story bench with a repository of issues beside it, on the same clock. */
export class SidecarBench extends StoryBench {
  readonly issues: MemoryIssues;
  sidecarRules: readonly SidecarRule[] = RULES;

  constructor(people: Readonly<Record<string, Permission>> = { dev: 'write', reader: 'read' }) {
    super();
    this.issues = new MemoryIssues({ repo: REPO, now: () => this.clock.now().getTime(), people });
    this.repo.commitFiles({ [PROJECT]: 'name = "code"\n' });
    for (const { formula } of RULES) this.addFormula(formula, { unattended: true });
  }

  /** A start of the dispatcher that knows of the issues. */
  override process(options: ProcessOptions = {}): Process {
    const trackers = new Map([[REPO, this.issues]]);
    return super.process({ sidecars: { rules: this.sidecarRules, trackers, bots: ['agent-bot'] }, ...options });
  }
}
