/**
 * A secret in memory. Whatever prints the object around it (JSON, a log line, an error, the debugger's inspect) shows
 * `[secret]`; only `reveal` gives the value.
 */
export class SecretText {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return '[secret]';
  }

  toJSON(): string {
    return '[secret]';
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return '[secret]';
  }
}
