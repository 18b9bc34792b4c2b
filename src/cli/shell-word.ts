/** Text as one word of a POSIX shell, for commands that a person copies. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./~-]+$/.test(text) && !text.startsWith('~') ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
