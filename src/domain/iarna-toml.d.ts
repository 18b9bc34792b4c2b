/** The part of @iarna/toml (exact version pinned) that `toml-reader.ts` builds on; the package types its front only. */
declare module '@iarna/toml/lib/toml-parser.js' {
  interface State {
    /** Kept by `TomlReader` with a value's state: where the value begins. */
    at?: number;
    /** Kept by `TomlReader` with an assignment's state: where each part of its key begins. */
    keysAt?: number[];
    resultTable: unknown;
    resultArr: unknown[] | null;
  }

  export default class TOMLParser {
    /** Table that the statement being read belongs to. */
    protected ctx: Record<string, unknown>;
    protected state: State;
    /** Text being read, and the offset (UTF-16) of `char` in it. */
    protected _buf: string;
    protected ii: number;
    protected char: number;
    parse(text: string): void;
    finish(): Record<string, unknown>;
    protected return(value?: unknown): void;
    protected parseKeyword(): unknown;
    protected parseValue(): unknown;
    protected recordAssignKeyword(key: string): unknown;
    protected recordAssignValue(value: unknown): unknown;
    protected recordAssignStatement(kv: { key: string[]; value: unknown }): unknown;
    protected recordInlineTableValue(kv: { key: string[]; value: unknown }): unknown;
    protected recordInlineListValue(value: unknown): unknown;
    protected parseTableMore(key: string): unknown;
    protected parseListMore(key: string): unknown;
  }
}
