import { Refusal } from './http.ts';

/** The part of Nomad's filter language that the project uses: `Field == "x"`, `!=`, `matches`, with `and` and `or`. */
export function filterOf(expression: string | null): (record: Readonly<Record<string, unknown>>) => boolean {
  if (expression === null || expression === '') return () => true;
  const anyOf = expression.split(/ or (?=[A-Z])/).map((part) => part.split(/ and (?=[A-Z])/).map(testOf));
  return (record) => anyOf.some((allOf) => allOf.every((test) => test(record)));
}

function testOf(text: string): (record: Readonly<Record<string, unknown>>) => boolean {
  const [, field = '', operator = '', quoted = ''] =
    /^\s*(\w+)\s*(==|!=|matches)\s*("(?:[^"\\]|\\.)*")\s*$/.exec(text) ?? [];
  if (field === '') throw new Refusal(400, `failed to read filter expression: ${text}`);
  const value = String(JSON.parse(quoted));
  if (operator === '==') return (record) => record[field] === value;
  if (operator === '!=') return (record) => record[field] !== value;
  const pattern = new RegExp(value);
  return (record) => pattern.test(String(record[field]));
}
