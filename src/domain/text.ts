/**
 * Text that people approve shows nothing but itself.
 *
 * Refused: control characters (tab, line feed and CR LF are kept; a lone CR is not), bidi and other format characters,
 * whatever is invisible by default (zero width, soft hyphen, fillers, tags, variation selectors), line and paragraph
 * separators, halves of surrogate pairs. The one exception: U+FE0E and U+FE0F right after a pictograph, and U+FE0F in a
 * keycap, because that is how people's keyboards write an emoji. Sequences joined by U+200D stay refused.
 */
const HIDDEN = String.raw`\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}`;
const EMOJI = String.raw`\p{Extended_Pictographic}\p{Emoji_Modifier}?[\u{FE0E}\u{FE0F}]|[0-9#*]\u{FE0F}\u{20E3}`;
/** Alternatives that may stand come first, so that what is left over in the last one is refused. */
const TEXT_PARTS = new RegExp(String.raw`\r\n|[\n\t]|${EMOJI}|([${HIDDEN}])`, 'gu');
const LINE_PARTS = new RegExp(String.raw`${EMOJI}|([${HIDDEN}])`, 'gu');

export interface UnsafeCharacter {
  /** Offset in UTF-16 units. */
  readonly offset: number;
  /** `U+202E`. */
  readonly name: string;
}

/** The first refused character of a text, as U+XXXX; null when there is none. */
export function unsafeCharacter(text: string): string | null {
  return unsafeCharacters(text)[0]?.name ?? null;
}

/** Every refused character of a text, in order. */
export function unsafeCharacters(text: string): readonly UnsafeCharacter[] {
  return [...text.matchAll(TEXT_PARTS)].flatMap((match) =>
    match[1] === undefined ? [] : [{ offset: match.index, name: `U+${hexOf(match[1])}` }],
  );
}

/** The text without its refused characters; a lone CR becomes a line feed. */
export function withoutUnsafe(text: string): string {
  return text.replace(TEXT_PARTS, (part: string, unsafe: string | undefined) => {
    if (unsafe === undefined) return part;
    return unsafe === '\r' ? '\n' : '';
  });
}

/** One line for a terminal: every control (line ends too), bidi and invisible character becomes \u{XXXX}. */
export function printable(text: string): string {
  return text.replace(LINE_PARTS, (part: string, unsafe: string | undefined) =>
    unsafe === undefined ? part : `\\u{${hexOf(unsafe)}}`,
  );
}

/** JSON of the same value with nothing in it that changes how the text around it is shown; its own line ends stay. */
export function escapedJson(json: string): string {
  return json.replace(LINE_PARTS, (part: string, unsafe: string | undefined) => {
    if (unsafe === undefined || unsafe === '\n') return part;
    return [...Array(unsafe.length).keys()].map((at) => `\\u${hexUnit(unsafe.charCodeAt(at))}`).join('');
  });
}

/** The text as a markdown code block: its fence is longer than any run of backticks inside. */
export function fenced(text: string): string {
  const longest = Math.max(0, ...(text.match(/`+/g) ?? []).map((run) => run.length));
  const fence = '`'.repeat(Math.max(3, longest + 1));
  return `${fence}\n${text}${text.endsWith('\n') ? '' : '\n'}${fence}`;
}

function hexUnit(unit: number): string {
  return unit.toString(16).padStart(4, '0');
}

function hexOf(character: string): string {
  return (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0');
}
