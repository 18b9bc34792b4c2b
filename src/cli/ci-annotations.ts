import { printable } from '../domain/text.ts';
import type { Problem } from '../errors.ts';

/** The forges whose CI shows `::error …::` lines of a log beside the line of the file. */
const FORGES = ['GITHUB_ACTIONS', 'FORGEJO_ACTIONS', 'GITEA_ACTIONS'];

export function wantsAnnotations(env: Readonly<Record<string, string | undefined>>): boolean {
  return env['CI'] === 'true' && FORGES.some((name) => env[name] === 'true');
}

/** One line. */
export function annotation({ severity, code, path, line, column, message, hint }: Problem): string {
  const properties = { file: path, line, col: column, title: code };
  const given = Object.entries(properties).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${escapeProperty(printable(String(value)))}`],
  );
  const text = hint === undefined ? printable(message) : `${printable(message)}\n${printable(hint)}`;
  return `::${severity} ${given.join(',')}::${escapeData(text)}`;
}

function escapeData(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
}

/** A property ends at a comma, and all of them at a colon. */
function escapeProperty(text: string): string {
  return escapeData(text).replaceAll(':', '%3A').replaceAll(',', '%2C');
}
