/**
 * Which paths below a directory the patterns of a formula name. `*` and `?` stand for characters of one name, `**` for
 * any number of directories; as in a shell, none of them matches a name that begins with a dot.
 */

/** How far a path has got in one pattern. */
interface Position {
  readonly segments: readonly string[];
  readonly at: number;
}

/** What may still match below a directory. */
export type Positions = readonly Position[];

export function startOf(patterns: readonly string[]): Positions {
  return patterns.map((pattern) => ({ segments: pattern.split('/'), at: 0 }));
}

/** One name deeper. `isMatch`: the path so far is one of the patterns; `below`: what may match in it, if it is a directory. */
export function step(positions: Positions, name: string): { readonly isMatch: boolean; readonly below: Positions } {
  const next = new Map<string, Position>();
  for (const position of positions.flatMap(skipStars)) {
    const segment = position.segments[position.at];
    if (segment === undefined || !matchesName(segment === '**' ? '*' : segment, name)) continue;
    const reached = segment === '**' ? [position, forward(position)] : [forward(position)];
    for (const each of reached) next.set(`${each.at} ${each.segments.join('/')}`, each);
  }
  const all = [...next.values()];
  return { isMatch: all.some(isAtEnd), below: all.filter((each) => !isAtEnd(each)) };
}

const forward = ({ segments, at }: Position): Position => ({ segments, at: at + 1 });
const isAtEnd = ({ segments, at }: Position): boolean => at === segments.length;

/** `**` also stands for no directory at all. */
function skipStars(position: Position): Position[] {
  const isStar = position.segments[position.at] === '**';
  const canSkip = isStar && position.at + 1 < position.segments.length;
  return canSkip ? [position, ...skipStars(forward(position))] : [position];
}

/** In time linear to pattern times name, whatever both are. */
function matchesName(pattern: string, name: string): boolean {
  if (name.startsWith('.') && !pattern.startsWith('.')) return false;
  let star = -1;
  let resume = 0;
  let p = 0;
  for (let n = 0; n < name.length; ) {
    if (pattern[p] === '*') {
      star = p;
      resume = n;
      p += 1;
    } else if (pattern[p] === '?' || pattern[p] === name[n]) {
      p += 1;
      n += 1;
    } else {
      if (star < 0) return false;
      p = star + 1;
      resume += 1;
      n = resume;
    }
  }
  return /^\**$/.test(pattern.slice(p));
}
