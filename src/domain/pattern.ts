/**
 * Regular expressions of formulas: judged before they are used, because a value that somebody else chooses is matched
 * against them, by an engine that tries every way. These are heuristics on the safe side; what is refused can be
 * written in another way.
 */
const PATTERN_MAX_LENGTH = 256;
/** The longest value that is matched at all: keeps what the heuristics let through (cubic at worst) short. */
export const PATTERN_VALUE_MAX_LENGTH = 256;

/** The whole value must match. `pattern` must be one that `patternProblem` has nothing against. */
export function matchesPattern(pattern: string, value: string): boolean {
  return value.length <= PATTERN_VALUE_MAX_LENGTH && new RegExp(`^(?:${pattern})$`, 'u').test(value);
}

/** What is wrong with a pattern, as a rule that begins with "must"; null when it can be used. */
export function patternProblem(pattern: string): string | null {
  if (pattern.length > PATTERN_MAX_LENGTH) return `must have at most ${PATTERN_MAX_LENGTH} characters`;
  if (!compiles(pattern)) return 'must be a regular expression of JavaScript (with the u flag)';
  const tokens = pattern.match(TOKEN) ?? [];
  if (tokens.some((token) => /^\\(?:[1-9]|k)/.test(token))) return 'must not refer back to a group';
  if (tokens.some((token) => /^\(\?<?[=!]/.test(token))) return 'must not look ahead or behind';
  const { atoms, groups } = takeApart(tokens);
  if (groups.some((group) => group.repeated && (group.variable || group.branches > 1))) {
    return 'must not repeat a group that itself holds a repetition or alternatives';
  }
  const ambiguous = atoms.filter((atom, index) => atom.variable && isAmbiguous(atoms, groups, index)).length;
  return ambiguous > MAX_AMBIGUOUS ? 'must not hold so many repetitions that can match the same characters' : null;
}

const MAX_AMBIGUOUS = 2;

/** Escapes, classes, the openings of groups, quantifiers, and every other character alone. */
const TOKEN = new RegExp(
  [
    String.raw`\\(?:[pP]\{[^}]*\}|u\{[^}]*\}|u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|c[A-Za-z]|k<[^>]*>|[^])`,
    String.raw`\[(?:\\[^]|[^\]\\])*\]`,
    String.raw`\((?:\?(?:<?[=!]|<[^>]*>|[a-z-]*:))?`,
    String.raw`(?:[*+?]|\{\d+(?:,\d*)?\})\??`,
    '[^]',
  ].join('|'),
  'gu',
);
const QUANTIFIER = /^(?:[*+?]|\{(?<min>\d+)(?<range>,(?<max>\d*))?\})\??$/;
const ZERO_WIDTH = new Set(['^', '$', '\\b', '\\B']);

interface Group {
  /** May match more than once. */
  repeated: boolean;
  /** May match nothing. */
  optional: boolean;
  /** Holds something that matches not always the same number of characters. */
  variable: boolean;
  branches: number;
}

interface Atom {
  readonly source: string;
  variable: boolean;
  optional: boolean;
  /** The groups around it, outermost first, each with the branch that it stands in. */
  readonly within: readonly (readonly [group: number, branch: number])[];
}

interface Parts {
  readonly atoms: Atom[];
  readonly groups: Group[];
  /** The groups that are open here, as in `Atom.within`. */
  open: readonly (readonly [group: number, branch: number])[];
}

function takeApart(tokens: readonly string[]): Parts {
  const parts: Parts = { groups: [newGroup()], atoms: [], open: [[0, 0]] };
  for (const [index, token] of tokens.entries()) {
    const [innermost = 0, branch = 0] = parts.open.at(-1) ?? [];
    if (ZERO_WIDTH.has(token) || QUANTIFIER.test(token)) continue;
    if (token.startsWith('(')) {
      parts.open = [...parts.open, [parts.groups.push(newGroup()) - 1, 0]];
    } else if (token === '|') {
      groupAt(parts, innermost).branches += 1;
      parts.open = [...parts.open.slice(0, -1), [innermost, branch + 1]];
    } else {
      takeIn(parts, token, timesOf(tokens[index + 1] ?? ''));
    }
  }
  return parts;
}

/** An atom, or the end of a group. */
function takeIn(parts: Parts, token: string, times: Times): void {
  const { open, atoms } = parts;
  const [innermost = 0] = open.at(-1) ?? [];
  if (token === ')') {
    close(innermost, groupAt(parts, innermost), times, atoms);
    parts.open = open.slice(0, -1);
  } else {
    atoms.push({ source: token, variable: times.variable, optional: times.optional, within: open });
  }
  if (times.variable) for (const [group] of parts.open) groupAt(parts, group).variable = true;
}

function groupAt({ groups }: Parts, index: number): Group {
  const group = groups[index];
  if (group === undefined) throw new Error('a pattern that compiles has a group for each bracket');
  return group;
}

function close(index: number, group: Group, times: Times, atoms: readonly Atom[]): void {
  group.repeated = times.repeated;
  group.optional = times.optional;
  if (!times.repeated) return;
  for (const atom of atoms) if (atom.within.some(([outer]) => outer === index)) atom.variable ||= times.variable;
}

const newGroup = (): Group => ({ repeated: false, optional: false, variable: false, branches: 1 });

interface Times {
  readonly repeated: boolean;
  readonly optional: boolean;
  readonly variable: boolean;
}

function timesOf(token: string): Times {
  const match = QUANTIFIER.exec(token);
  if (match === null) return { repeated: false, optional: false, variable: false };
  const { min, range, max } = match.groups ?? {};
  if (min === undefined) return { repeated: token[0] !== '?', optional: token[0] !== '+', variable: true };
  const most = range === undefined ? Number(min) : Number(max === '' ? Infinity : max);
  return { repeated: most > 1, optional: Number(min) === 0, variable: most !== Number(min) };
}

/** Whether an earlier repetition can take characters of this one, with nothing between them that tells them apart. */
function isAmbiguous(atoms: readonly Atom[], groups: readonly Group[], index: number): boolean {
  const atom = atoms[index];
  if (atom === undefined) return false;
  return atoms.slice(0, index).some((earlier, first) => {
    if (!earlier.variable || areExclusive(earlier, atom) || !overlap(earlier, atom)) return false;
    const between = atoms.slice(first + 1, index).filter((each) => isCertain(each, [earlier, atom], groups));
    return between.every((each) => overlap(each, earlier) || overlap(each, atom));
  });
}

/** In different branches of the same group. */
function areExclusive(a: Atom, b: Atom): boolean {
  return a.within.some(([group, branch]) => b.within.some(([other, at]) => other === group && at !== branch));
}

/** Whether a match that goes through `ends` has to go through `atom`. */
function isCertain(atom: Atom, ends: readonly Atom[], groups: readonly Group[]): boolean {
  if (atom.optional) return false;
  return atom.within.every(([group, branch]) => {
    const { optional = false, branches = 1, repeated = false } = groups[group] ?? {};
    if (repeated) return false;
    const skippable = optional || branches > 1;
    return !skippable || ends.some((end) => end.within.some(([other, at]) => other === group && at === branch));
  });
}

const SAMPLE = [
  ...Array.from({ length: 128 }, (_, code) => String.fromCodePoint(code)),
  'é',
  'Ж',
  '漢',
  '😀',
  '\u{2028}',
];

function overlap(a: Atom, b: Atom): boolean {
  const [first, second] = [a, b].map(({ source }) => new RegExp(`^${source}$`, 'u'));
  return (
    a.source === b.source || SAMPLE.some((sample) => first?.test(sample) === true && second?.test(sample) === true)
  );
}

function compiles(pattern: string): boolean {
  try {
    return new RegExp(`^(?:${pattern})$`, 'u').source !== '' && new RegExp(pattern, 'u').source !== '';
  } catch {
    return false;
  }
}
