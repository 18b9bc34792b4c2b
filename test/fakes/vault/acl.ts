import { noRight } from './answers.ts';
import type { HclValue } from './hcl.ts';
import type { Rule } from './policy-rules.ts';
import type { Call } from './request.ts';
import { matchesGlob } from './values.ts';

/** The rights of one token. */
export class Acl {
  readonly #root: boolean;
  readonly #rules = new Map<string, Rule>();

  constructor(root: boolean, rules: readonly Rule[]) {
    this.#root = root;
    for (const rule of rules) {
      const known = this.#rules.get(rule.path);
      this.#rules.set(rule.path, known === undefined ? rule : merged(known, rule));
    }
  }

  get isRoot(): boolean {
    return this.#root;
  }

  capabilities(path: string): string[] {
    if (this.#root) return ['root'];
    const rule = this.#ruleFor(path);
    if (rule === undefined || rule.capabilities.size === 0 || rule.capabilities.has('deny')) return ['deny'];
    return [...rule.capabilities].toSorted();
  }

  /** Throws the 403 of a token without right. `capability` is what the call needs. */
  demand(call: Call, capability: string): void {
    if (this.#root) return;
    const rule = this.#ruleFor(call.path);
    if (rule === undefined || rule.capabilities.has('deny') || !rule.capabilities.has(capability)) throw noRight();
    if (!wrapFits(rule, call.wrapTtl ?? 0)) throw noRight();
    if ((capability === 'create' || capability === 'update') && !parametersFit(rule, call.body)) throw noRight();
  }

  /** The exact path wins, else the pattern with the highest priority. */
  #ruleFor(path: string): Rule | undefined {
    const exact = this.#rules.get(path) ?? this.#rules.get(path.replace(/\/$/, ''));
    if (exact !== undefined) return exact;
    return [...this.#rules.values()].filter((rule) => covers(rule.path, path)).toSorted(byPriority)[0];
  }
}

/** A rule with a limit asks for wrapping at all. */
const wrapFits = (rule: Rule, ttl: number): boolean =>
  ttl >= rule.minWrap && (rule.maxWrap === 0 || (ttl > 0 && ttl <= rule.maxWrap));

function covers(pattern: string, path: string): boolean {
  const isPrefix = pattern.endsWith('*');
  if (!isPrefix && !hasSegmentWildcard(pattern)) return false;
  const wanted = (isPrefix ? pattern.slice(0, -1) : pattern).split('/');
  const given = path.split('/');
  if (isPrefix ? given.length < wanted.length : given.length !== wanted.length) return false;
  return wanted.every((part, index) => {
    const segment = given[index] ?? '';
    if (part === '+') return segment !== '';
    return isPrefix && index === wanted.length - 1 ? segment.startsWith(part) : segment === part;
  });
}

const hasSegmentWildcard = (pattern: string): boolean => pattern.split('/').includes('+');

/** First the one whose first wildcard comes later, then without `*` at its end, fewer `+`, longer, later in the alphabet. */
function byPriority(a: Rule, b: Rule): number {
  const rank = ({ path }: Rule): readonly number[] => [
    path.search(/\*$|(?<=^|\/)\+(?=\/|$)/),
    path.endsWith('*') ? 0 : 1,
    -path.split('/').filter((part) => part === '+').length,
    path.length,
  ];
  const ranksOfA = rank(a);
  for (const [index, mine] of rank(b).entries()) {
    const other = ranksOfA[index] ?? 0;
    if (mine !== other) return mine - other;
  }
  return a.path < b.path ? 1 : -1;
}

function parametersFit(rule: Rule, body: Readonly<Record<string, unknown>>): boolean {
  const names = Object.keys(body).map((name) => name.toLowerCase());
  if (!rule.required.every((name) => names.includes(name))) return false;
  return Object.entries(body).every(([key, value]) => {
    const name = key.toLowerCase();
    const denied = rule.denied?.get(name) ?? rule.denied?.get('*');
    if (denied !== undefined && (denied.length === 0 || denied.some((one) => fits(one, value)))) return false;
    if (rule.allowed === null) return true;
    const allowed = rule.allowed.get(name) ?? rule.allowed.get('*');
    return allowed !== undefined && (allowed.length === 0 || allowed.some((one) => fits(one, value)));
  });
}

function fits(wanted: HclValue, value: unknown): boolean {
  if (typeof wanted === 'string' && typeof value === 'string') return matchesGlob(wanted, value);
  return JSON.stringify(wanted) === JSON.stringify(value);
}

function merged(a: Rule, b: Rule): Rule {
  const lesser = (one: number, other: number): number =>
    one === 0 || other === 0 ? one + other : Math.min(one, other);
  return {
    path: a.path,
    capabilities: new Set([...a.capabilities, ...b.capabilities]),
    minWrap: lesser(a.minWrap, b.minWrap),
    maxWrap: lesser(a.maxWrap, b.maxWrap),
    required: [...a.required, ...b.required],
    allowed: a.allowed === null || b.allowed === null ? null : new Map([...a.allowed, ...b.allowed]),
    denied: a.denied === null ? b.denied : new Map([...a.denied, ...(b.denied ?? [])]),
  };
}
