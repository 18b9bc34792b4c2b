import { Acl } from './acl.ts';
import { type Rule, rulesOf } from './policy-rules.ts';

export interface Policy {
  readonly source: string;
  readonly rules: readonly Rule[];
  readonly version: number;
  readonly modified: number;
}

export const WRAPPING_POLICY = 'response-wrapping';
const BUILT_IN: Readonly<Record<string, string>> = {
  default: `path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self" { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
path "sys/capabilities-self" { capabilities = ["update"] }
path "cubbyhole/*" { capabilities = ["create", "read", "update", "delete", "list"] }
path "sys/wrapping/wrap" { capabilities = ["update"] }
path "sys/wrapping/lookup" { capabilities = ["update"] }
path "sys/wrapping/unwrap" { capabilities = ["update"] }
`,
  [WRAPPING_POLICY]: `path "cubbyhole/response" { capabilities = ["create", "read"] }
path "sys/wrapping/unwrap" { capabilities = ["update"] }
`,
  root: '',
};

/** The stored policies, by lower-case name. */
export class Policies {
  readonly #byName = new Map<string, Policy>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
    for (const [name, source] of Object.entries(BUILT_IN)) this.put(name, source);
  }

  /** Throws Refusal when the text is no policy. */
  put(name: string, source: string): void {
    const key = name.toLowerCase();
    const version = (this.#byName.get(key)?.version ?? 0) + 1;
    this.#byName.set(key, { source, rules: rulesOf(source), version, modified: this.#now() });
  }

  get(name: string): Policy | undefined {
    return this.#byName.get(name.toLowerCase());
  }

  delete(name: string): void {
    this.#byName.delete(name.toLowerCase());
  }

  names(): string[] {
    return [...this.#byName.keys()].filter((name) => name !== WRAPPING_POLICY).toSorted();
  }

  /** What a token with these policies may; a policy that does not exist gives nothing. */
  acl(names: readonly string[]): Acl {
    return new Acl(
      names.includes('root'),
      names.flatMap((name) => this.get(name)?.rules ?? []),
    );
  }
}
