/** What the tests of the codecs share. */

/** One byte for each character, so that opcodes can be written as text. */
export function text(characters: string): Uint8Array {
  const bytes = new Uint8Array(characters.length);
  for (let at = 0; at < characters.length; at++) bytes[at] = characters.charCodeAt(at);
  return bytes;
}
