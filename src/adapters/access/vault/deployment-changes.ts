import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import type { Change } from '../../factory.ts';
import { expectOk } from './client.ts';
import { policyPath } from './names.ts';
import type { Session } from './session.ts';
import type { Fields } from './templates.ts';

/** What `deploy` would change of one policy or role. Nothing is changed before `apply`. */

const policySchema = z.object({ data: z.object({ policy: z.string() }) });

/** Errors: TransientError, StalledError. */
export async function policyChange(session: Session, name: string, wanted: string): Promise<Change> {
  const path = policyPath(name);
  const doing = `read the policy ${name}`;
  const answer = await session.send({ doing, method: 'GET', path });
  const found = answer.kind === 'absent' ? null : expectOk(answer, doing, policySchema).data.policy;
  const difference = found === null ? [] : lineDifference(found, wanted);
  return {
    what: `policy ${name}`,
    kind: found === null ? 'new' : difference.length === 0 ? 'same' : 'changed',
    difference,
    apply: () => write(session, `write the policy ${name}`, path, { policy: wanted }),
  };
}

const fieldsSchema = z.object({ data: z.record(z.string(), z.unknown()) });

interface Role {
  /** In words: `role edge-run`. */
  readonly name: string;
  readonly path: string;
  readonly wanted: Fields;
  /** What to throw when nothing is mounted there. */
  readonly withoutMount?: () => Error;
}

/** Errors: TransientError, StalledError, and that of `withoutMount`. */
export async function roleChange(session: Session, { name, path, wanted, withoutMount }: Role): Promise<Change> {
  const doing = `read the ${name}`;
  const answer = await session.send({ doing, method: 'GET', path });
  if (answer.kind === 'no-mount' && withoutMount !== undefined) throw withoutMount();
  const found = answer.kind === 'absent' ? null : expectOk(answer, doing, fieldsSchema).data;
  const difference = found === null ? [] : fieldDifference(found, wanted);
  return {
    what: name,
    kind: found === null ? 'new' : difference.length === 0 ? 'same' : 'changed',
    difference,
    apply: () => write(session, `write the ${name}`, path, wanted),
  };
}

async function write(session: Session, doing: string, path: string, body: Fields): Promise<void> {
  await session.ask({ doing, method: 'POST', path, body }, z.unknown());
}

/** The server leaves out, or tells as null, what was never set. */
function fieldDifference(found: Fields, wanted: Fields): string[] {
  return Object.entries(wanted).flatMap(([key, value]) => {
    const is = found[key] ?? (Array.isArray(value) ? [] : NOTHING.find((nothing) => typeof nothing === typeof value));
    return isDeepStrictEqual(is, value) ? [] : [`${key}: ${JSON.stringify(is)} → ${JSON.stringify(value)}`];
  });
}

const NOTHING = [0, '', false];

/** Lines that are on one side only, in order; a text that differs in its order alone says so. */
function lineDifference(found: string, wanted: string): string[] {
  if (found.trim() === wanted.trim()) return [];
  const [before, after] = [linesOf(found), linesOf(wanted)];
  const gone = before.filter((line) => !after.includes(line)).map((line) => `policy: ${line} → (nothing)`);
  const added = after.filter((line) => !before.includes(line)).map((line) => `policy: (nothing) → ${line}`);
  const both = [...gone, ...added];
  return both.length > 0 ? both : ['policy: the same lines → in another order'];
}

/** Each with the path that it is of, or a right that moves from one path to another would be no difference. */
function linesOf(text: string): string[] {
  let path = '';
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .map((line) => {
      const isPath = /^path\s/.test(line);
      if (isPath) path = line;
      const told = isPath || path === '' ? line : `${path} ${line}`;
      if (line === '}') path = '';
      return told;
    });
}
