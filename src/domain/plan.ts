import type { Code } from '../errors.ts';
import type { Check } from './check.ts';
import type { Tier } from './tier.ts';
import type { Requirement } from './verdict.ts';

/** What would happen with an action, for the people who approve it: `plan` and the comment on its change say this. */
export interface Plan {
  readonly checks: readonly Check[];
  readonly id: string | null;
  readonly path: string;
  readonly blob: string;
  /** These very bytes lie on the branch. */
  readonly committed: boolean;
  /** Why, in the author's words. */
  readonly context: string | null;
  /** What it names; `blob` null: no such formula is in force. */
  readonly formula: { readonly name: string; readonly blob: string | null } | null;
  readonly tier: { readonly tier: Tier; readonly because: readonly string[] } | null;
  readonly approval: PlannedApproval | null;
  readonly access: {
    readonly policies: readonly string[];
    /** `place`: where the value lies, in the words of the store. */
    readonly secrets: readonly { readonly name: string; readonly state: string; readonly place: string }[];
  } | null;
  readonly command: PlannedCommand | null;
  readonly run: {
    readonly engine: string;
    readonly job: string;
    readonly mounts: readonly string[];
    readonly timeout_seconds: number;
    /** From the claim: placement, command and margin. */
    readonly deadline_seconds: number;
    readonly group: string | null;
    readonly group_limit: number;
    /** How often it may run, where it asks for more attempts of what failed. */
    readonly attempts?: number;
  } | null;
  readonly last: LastRun | null;
}

/** Who has to say yes to these bytes, and what each rule says now. */
export interface PlannedApproval {
  /** null: nothing is configured for its tier, it waits for ever. */
  readonly required: Requirement | null;
  readonly rules: readonly PlannedRule[];
  /** Whom the policy in force names, as it names them. */
  readonly approvers: readonly string[];
}

export interface PlannedRule {
  readonly rule: string;
  readonly met: boolean;
  readonly code: Code | null;
  readonly message: string;
  readonly fix: string | null;
}

/** `argv`: of a script none, of a prompt the agent's. `first_line` null: there is no text, `argv` says it all. */
export interface PlannedCommand {
  readonly kind: 'command' | 'script' | 'prompt';
  readonly argv: readonly string[];
  readonly first_line: string | null;
  readonly lines: number;
}

/** The newest run of the same formula, and what this action asks for otherwise. */
export interface LastRun {
  readonly id: string;
  readonly outcome: string;
  readonly timestamp: string;
  /** Fields as JSON texts; `formula file` where its bytes changed. null: the bytes of that action can't be had. */
  readonly changed: readonly { readonly field: string; readonly before: string; readonly after: string }[] | null;
}

/** What is known before anything is read. */
export function emptyPlan(file: Pick<Plan, 'id' | 'path' | 'blob' | 'committed'>): Plan {
  const { id, path, blob, committed } = file;
  const none = { context: null, formula: null, tier: null, approval: null, access: null };
  return { checks: [], id, path, blob, committed, ...none, command: null, run: null, last: null };
}

/** argv as one line; of a text its first line, and how many there are. */
export function commandLine({ kind, argv, first_line, lines }: PlannedCommand): string {
  const words = argv.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : JSON.stringify(word))).join(' ');
  if (first_line === null) return words;
  return `${kind}${words === '' ? '' : ` for ${words}`}: ${first_line} (line 1 of ${lines})`;
}

/** What a tier needs, in words. */
export function requirementText(required: Requirement | null): string {
  if (required === null) return 'no rule is configured: it waits for ever';
  const { all, any, atLeast, selfApprove } = required;
  const parts = [
    ...(all.length === 0 ? [] : [all.join(' and ')]),
    ...(any.length === 0 ? [] : [`${any.length > 1 ? 'one of ' : ''}${any.join(', ')}`]),
    ...(atLeast === 0 ? [] : [`at least ${atLeast} ${atLeast === 1 ? 'person' : 'people'}`]),
    ...(selfApprove ? ['the author may approve too'] : []),
  ];
  return parts.length === 0 ? 'nobody' : parts.join('; ');
}
