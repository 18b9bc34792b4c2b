import type { Code } from '../errors.ts';
import type { Evidence } from './result.ts';

/** What one rule says of one blob at one path. `people` of the evidence are counted once each, over all rules. */
export type RuleVerdict =
  | {
      readonly kind: 'met';
      readonly evidence: readonly ApprovalEvidence[];
    }
  | { readonly kind: 'waiting' | 'refused'; readonly code: Code; readonly message: string };

export interface ApprovalEvidence extends Evidence {
  /** The approver's entry in policy.toml, by its name; null where the rule asks for no person (`trust-branch`). */
  readonly person: string | null;
  /**
   * Blob of the formula file that stood beside the action in the approved tree. null: none stood there, which no formula
   * in force is equal to; or, where there is no person, the rule binds no formula.
   */
  readonly formulaBlob: string | null;
}

/** What a tier needs, from `[approval]`. `null` in its place means: nothing configured, waits for ever. */
export interface Requirement {
  readonly all: readonly string[];
  readonly any: readonly string[];
  /** People, not rules. */
  readonly atLeast: number;
  readonly selfApprove: boolean;
}

export type Verdict =
  | { readonly kind: 'allowed'; readonly required: readonly string[]; readonly evidence: readonly ApprovalEvidence[] }
  | { readonly kind: 'waiting' | 'refused'; readonly code: Code; readonly message: string };

/** What a verdict is taken against. */
export interface CombineContext {
  /** Blob of the formula that is in force now; null where the subject binds none (a gated file). */
  readonly formulaInForce: string | null;
}

/**
 * The verdict of a tier from those of its rules. Evidence counts only if the formula that stood beside the action is the
 * one in force; people are counted once each, over all rules that the tier names. Refused only when no rule can still be
 * met. Pure; more evidence never turns `allowed` into anything else.
 */
export function combine(
  requirement: Requirement | null,
  verdicts: ReadonlyMap<string, RuleVerdict>,
  context: CombineContext,
): Verdict {
  if (requirement === null) return say('waiting', 'ERR_NO_RULE', 'no rule is configured for its tier');
  const required = [...new Set([...requirement.all, ...requirement.any])];
  const judged = new Map(required.map((name) => [name, bound(name, verdicts.get(name), context)]));
  const evidence = [...judged.values()].flatMap(evidenceOf);
  const missing = missingOf(requirement, judged, evidence);
  if (missing.length === 0) return { kind: 'allowed', required, evidence };
  const message = [approvedBy(evidence), ...missing.map((part) => part.message)]
    .filter((text) => text !== '')
    .join('; ');
  const canBringPeople = required
    .flatMap((name) => evidenceOf(verdicts.get(name)))
    .some(({ person }) => person !== null);
  if (isHopeless(missing, judged, canBringPeople)) return say('refused', refusalCode(judged), message);
  // With any formula it would be allowed: then the change of formula is what it waits for.
  const onlyFormula =
    context.formulaInForce !== null && combine(requirement, verdicts, { formulaInForce: null }).kind === 'allowed';
  const code = onlyFormula ? 'ERR_FORMULA_CHANGED' : tellingOf(missing.map((part) => part.code));
  return say('waiting', code ?? 'ERR_NEEDS_APPROVAL', message);
}

/**
 * When the approval was complete, for how long it holds: with the requirement the moment at which enough had been given,
 * without it the latest of the evidence. null: it needed none.
 */
export function approvedAt(evidence: readonly ApprovalEvidence[], requirement?: Requirement): string | null {
  if (requirement === undefined) return latest(evidence.map(({ at }) => at));
  const ofRule = (names: readonly string[]) => earliest(evidence.filter(({ rule }) => names.includes(rule)));
  const people = new Set(evidence.flatMap(({ person }) => (person === null ? [] : personKey(person))));
  const ofPerson = (key: string) =>
    earliest(evidence.filter(({ person }) => person !== null && personKey(person) === key));
  const joined = [...people].flatMap((key) => ofPerson(key) ?? []).toSorted(byTime);
  const needed = [
    ...requirement.all.map((name) => ofRule([name])),
    ofRule(requirement.any),
    requirement.atLeast > 0 ? (joined[requirement.atLeast - 1] ?? null) : null,
  ];
  return latest(needed.filter((time) => time !== null));
}

function say(kind: 'waiting' | 'refused', code: Code, message: string): Verdict {
  return { kind, code, message };
}

/** A rule's verdict with only the evidence that is bound to the formula in force. */
function bound(name: string, verdict: RuleVerdict | undefined, { formulaInForce }: CombineContext): RuleVerdict {
  if (verdict === undefined) return wait('ERR_NO_RULE', `the rule ${name} is not available in this version`);
  if (verdict.kind !== 'met') return verdict;
  if (verdict.evidence.length === 0) return wait('ERR_NEEDS_APPROVAL', 'it names no evidence');
  const evidence = verdict.evidence.filter(
    ({ person, formulaBlob }) =>
      formulaInForce === null || formulaBlob === formulaInForce || (person === null && formulaBlob === null),
  );
  if (evidence.length > 0) return { kind: 'met', evidence };
  const names = namesOf(verdict.evidence);
  return wait('ERR_FORMULA_CHANGED', `${names} approved it beside another version of its formula than is in force`);
}

function wait(code: Code, message: string): RuleVerdict {
  return { kind: 'waiting', code, message };
}

function evidenceOf(verdict: RuleVerdict | undefined): readonly ApprovalEvidence[] {
  return verdict?.kind === 'met' ? verdict.evidence : [];
}

/** One thing that a tier needs and has not got. */
interface Missing {
  readonly message: string;
  /** Of the first rule that waits; null: none of these does. */
  readonly code: Code | null;
  /** People are missing, which a rule that is met already may still bring. */
  readonly people: boolean;
}

type Judged = ReadonlyMap<string, RuleVerdict>;

function missingOf(requirement: Requirement, judged: Judged, evidence: readonly ApprovalEvidence[]): Missing[] {
  const isMet = (name: string) => judged.get(name)?.kind === 'met';
  const all = requirement.all.filter((name) => !isMet(name)).map((name) => ofRules([name], judged));
  const any = requirement.any.length === 0 || requirement.any.some(isMet) ? [] : [ofRules(requirement.any, judged)];
  const more = requirement.atLeast - countPeople(evidence);
  if (more <= 0) return [...all, ...any];
  const message =
    requirement.atLeast === 1
      ? 'one person has to approve it'
      : `${more} more of ${requirement.atLeast} people ${more === 1 ? 'has' : 'have'} to approve it`;
  return [...all, ...any, { message, code: null, people: true }];
}

/** What is said of rules of which one has to be met. */
function ofRules(names: readonly string[], judged: Judged): Missing {
  const unmet = names.flatMap((name) => {
    const verdict = judged.get(name);
    return verdict === undefined || verdict.kind === 'met' ? [] : [{ name, verdict }];
  });
  const said = unmet.map(({ name, verdict }) => `${name}: ${verdict.message}`).join(', or ');
  const codes = unmet.map(({ verdict }) => (verdict.kind === 'waiting' ? verdict.code : null));
  return { message: said, code: tellingOf(codes), people: false };
}

/** Somebody looked and did not approve these bytes: that says more than that somebody else has not looked yet. */
const TELLING: readonly Code[] = ['ERR_CHANGES_REQUESTED', 'ERR_APPROVED_OTHER_BYTES'];

/** null: none waits. */
function tellingOf(codes: readonly (Code | null)[]): Code | null {
  const waiting = codes.filter((code) => code !== null);
  return TELLING.find((code) => waiting.includes(code)) ?? waiting[0] ?? null;
}

/** What all rules that said no agree on. */
function refusalCode(judged: Judged): Code {
  const codes = new Set([...judged.values()].flatMap((verdict) => (verdict.kind === 'refused' ? [verdict.code] : [])));
  const [only] = codes;
  return codes.size === 1 && only !== undefined ? only : 'ERR_APPROVAL_REFUSED';
}

/** Some rule said no, none waits, and what is missing is not just people that a rule which is met may still bring. */
function isHopeless(missing: readonly Missing[], judged: Judged, canBringPeople: boolean): boolean {
  const kinds = new Set([...judged.values()].map(({ kind }) => kind));
  if (kinds.has('waiting') || !kinds.has('refused')) return false;
  return !canBringPeople || missing.some(({ people }) => !people);
}

function approvedBy(evidence: readonly ApprovalEvidence[]): string {
  const names = namesOf(evidence.filter(({ person }) => person !== null));
  return names === '' ? '' : `approved by ${names}`;
}

function namesOf(evidence: readonly ApprovalEvidence[]): string {
  return [...new Set(evidence.map(({ by }) => by))].join(', ');
}

function countPeople(evidence: readonly ApprovalEvidence[]): number {
  return new Set(evidence.flatMap(({ person }) => (person === null ? [] : personKey(person)))).size;
}

/** As the policy tells entries apart by their names. */
function personKey(name: string): string {
  return name.normalize('NFKC').trim().toLowerCase();
}

const byTime = (a: string, b: string): number => Date.parse(a) - Date.parse(b);

function earliest(evidence: readonly ApprovalEvidence[]): string | null {
  return evidence.map(({ at }) => at).toSorted(byTime)[0] ?? null;
}

function latest(times: readonly string[]): string | null {
  return times.toSorted(byTime).at(-1) ?? null;
}
