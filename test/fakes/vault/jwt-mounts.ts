/** What a login role of a JWT mount says; as much of it as counts here. */
export interface JwtRole {
  readonly fields: Readonly<Record<string, unknown>>;
}

/** The auth mounts of type jwt, their roles, and which JWTs are good. */
export class JwtMounts {
  readonly #mounts = new Map<string, Map<string, JwtRole>>();
  readonly #good = new Map<string, Readonly<Record<string, unknown>>>();

  enable(mount: string): void {
    if (!this.#mounts.has(mount)) this.#mounts.set(mount, new Map());
  }

  disable(mount: string): void {
    this.#mounts.delete(mount);
  }

  names(): string[] {
    return [...this.#mounts.keys()];
  }

  roles(mount: string): Map<string, JwtRole> | undefined {
    return this.#mounts.get(mount);
  }

  /** From now on this text is a JWT with a good signature and these claims. */
  accept(jwt: string, claims: Readonly<Record<string, unknown>>): void {
    this.#good.set(jwt, claims);
  }

  refuse(jwt: string): void {
    this.#good.delete(jwt);
  }

  claims(jwt: string): Readonly<Record<string, unknown>> | undefined {
    return this.#good.get(jwt);
  }
}
