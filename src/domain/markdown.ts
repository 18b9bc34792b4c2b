import { fenced, printable } from './text.ts';

/**
 * What others wrote, in a comment of ours on a forge: always code, in a span or in a block, because nothing in code is a
 * mention, a link, a reference or HTML. Its delimiter is longer than any run of backticks inside.
 */

/** On one line; `most`: UTF-16 units of the text that are shown. */
export function codeSpan(text: string, most = 200): string {
  const shown = shownText(cut(text, most));
  if (shown === '') return '(empty)';
  const longest = Math.max(0, ...(shown.match(/`+/g) ?? []).map((run) => run.length));
  const fence = '`'.repeat(longest + 1);
  const pad = /^[` ]|[` ]$/.test(shown) ? ' ' : '';
  return `${fence}${pad}${shown}${pad}${fence}`;
}

export function codeSpans(texts: readonly string[], most = 40): string {
  const more = texts.length > most ? ` and ${texts.length - most} more` : '';
  return `${texts
    .slice(0, most)
    .map((text) => codeSpan(text))
    .join(', ')}${more}`;
}

/** Lines as they are, at most so many of them; stands between empty lines. */
export function codeBlock(text: string, most: { readonly lines: number; readonly units: number }): string {
  const all = text.trimEnd().split(/\r\n|\n/);
  const lines = cut(all.slice(0, most.lines).join('\n'), most.units).split('\n');
  const rest = all.length > most.lines ? [`… ${all.length - most.lines} more lines`] : [];
  return fenced([...lines.map((line) => shownText(line.replaceAll('\t', '    '))), ...rest].join('\n'));
}

/** `text` is ours; an address that could end the link early, or that is none of the web, is left out. */
export function link(text: string, url: string | null): string {
  return url !== null && /^https?:\/\/[\w./:%~@+,=&?#-]+$/.test(url) ? `[${text}](${url})` : text;
}

/** No HTML comment either: ours are found again by one. */
function shownText(text: string): string {
  return printable(text).replaceAll('<!--', String.raw`\u{003C}!--`);
}

function cut(text: string, most: number): string {
  return text.length <= most ? text : `${clipped(text, most)}…`;
}

/** The beginning of it: at most so many UTF-16 units, and never half a character. */
export function clipped(text: string, most: number): string {
  return text.length <= most ? text : text.slice(0, most).replace(/[\uD800-\uDBFF]$/, '');
}
