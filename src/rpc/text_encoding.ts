/**
 * How text in messages is decoded. Most of it is short and ASCII: node types, formats, ids. A call into the runtime's
 * decoder takes longer than that takes here.
 * @module
 */

import { configureTextEncoding } from "@bufbuild/protobuf/wire";

/** Up to this length a loop is faster; measured with `TextDecoder` of Deno 2.9. */
const SHORT_LENGTH = 32;

const encoder = new TextEncoder();
// A leading U+FEFF is text in a message, and no byte-order mark.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Makes messages be decoded so, in the whole process. */
export function installTextEncoding(): void {
  configureTextEncoding({
    encodeUtf8: (text) => encoder.encode(text),
    encodeUtf8Into: (text, target) => encoder.encodeInto(text, target),
    decodeUtf8: (bytes, strict) => decodeAscii(bytes) ?? (strict ? strictDecoder : decoder).decode(bytes),
    checkUtf8: (text) => text.isWellFormed(),
  });
}

/** Short text of ASCII; `undefined` for any other. */
function decodeAscii(bytes: Uint8Array): string | undefined {
  if (bytes.length > SHORT_LENGTH) return undefined;
  let text = "";
  for (let index = 0; index < bytes.length; index++) {
    const unit = bytes[index] ?? 0;
    if (unit > 0x7f) return undefined;
    text += String.fromCharCode(unit);
  }
  return text;
}
