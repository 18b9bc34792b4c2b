import type { ClaimedPerson } from '../../../domain/people.ts';

/** The people whom a commit message names as co-authors; somebody without an address is known by the whole text. */
export function coAuthorsOf(message: string): readonly ClaimedPerson[] {
  return [...message.matchAll(/^[ \t]*co-authored-by[ \t]*:[ \t]*(.*)$/gim)].map(([, text = '']) => {
    const [, name = text, email = ''] = /^([^<>]*)<([^<>]*)>/.exec(text) ?? [];
    return { name: name.trim(), email: email.trim() };
  });
}
