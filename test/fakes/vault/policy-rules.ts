import { Refusal } from './answers.ts';
import { HclError, type HclValue, parseHcl } from './hcl.ts';
import { record, seconds } from './values.ts';

/** What one policy, or all policies of a token together, say of one path pattern. */
export interface Rule {
  readonly path: string;
  readonly capabilities: ReadonlySet<string>;
  readonly minWrap: number;
  readonly maxWrap: number;
  readonly required: readonly string[];
  readonly allowed: ReadonlyMap<string, readonly HclValue[]> | null;
  readonly denied: ReadonlyMap<string, readonly HclValue[]> | null;
}

const CAPABILITIES = ['create', 'read', 'update', 'delete', 'list', 'sudo', 'deny', 'patch', 'scan'];
const KEYS = ['capabilities', 'min_wrapping_ttl', 'max_wrapping_ttl', 'required_parameters'];
const PARAMETER_KEYS = ['allowed_parameters', 'denied_parameters', 'comment', 'expiration'];

/** Throws Refusal when the text is no policy. */
export function rulesOf(source: string): readonly Rule[] {
  try {
    return parseHcl(source).map(({ kind, label, attributes }) => {
      if (kind !== 'path') throw new HclError(`invalid key ${JSON.stringify(kind)}`);
      return ruleOf(label.replace(/^\//, ''), attributes);
    });
  } catch (error) {
    if (error instanceof HclError) throw new Refusal(400, `failed to parse policy: ${error.message}`);
    throw error;
  }
}

function ruleOf(path: string, attributes: ReadonlyMap<string, HclValue>): Rule {
  for (const key of attributes.keys()) {
    if (!KEYS.includes(key) && !PARAMETER_KEYS.includes(key)) {
      throw new HclError(`path ${JSON.stringify(path)}: invalid key ${JSON.stringify(key)}`);
    }
  }
  const listed = (key: string): string[] => {
    const value = attributes.get(key) ?? [];
    return Array.isArray(value) ? value.map(String) : [];
  };
  const capabilities = listed('capabilities');
  const wrong = capabilities.find((name) => !CAPABILITIES.includes(name));
  if (wrong !== undefined) {
    throw new HclError(`path ${JSON.stringify(path)}: invalid capability ${JSON.stringify(wrong)}`);
  }
  return {
    path,
    capabilities: new Set(capabilities),
    minWrap: seconds(attributes.get('min_wrapping_ttl')),
    maxWrap: seconds(attributes.get('max_wrapping_ttl')),
    required: listed('required_parameters').map((name) => name.toLowerCase()),
    allowed: parametersOf(attributes.get('allowed_parameters')),
    denied: parametersOf(attributes.get('denied_parameters')),
  };
}

function parametersOf(value: HclValue | undefined): ReadonlyMap<string, readonly HclValue[]> | null {
  if (value === undefined) return null;
  const entries = Object.entries(record(value)).map(
    ([key, list]) => [key.toLowerCase(), Array.isArray(list) ? (list as readonly HclValue[]) : []] as const,
  );
  return new Map(entries);
}
