/**
 * UTF-8 as Python's `surrogatepass` has it: lone surrogates are written as three bytes and read back, so that every
 * Python str survives. Everything else that is not UTF-8 is refused.
 * @module
 */

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Up to this length a loop over ASCII beats the fixed price of a call of TextDecoder. */
const SHORT_BYTES = 48;

/** Reads `bytes[start, end)`; `undefined` where they are not UTF-8. */
export function tryDecodeUtf8(bytes: Uint8Array, start = 0, end = bytes.length): string | undefined {
  if (end - start <= SHORT_BYTES) {
    const text = tryDecodeAscii(bytes, start, end);
    if (text !== undefined) return text;
  }
  try {
    return DECODER.decode(bytes.subarray(start, end));
  } catch {
    return tryDecodeSurrogatePass(bytes, start, end);
  }
}

/** Writes `text`. */
export function encodeUtf8(text: string): Uint8Array {
  return text.isWellFormed() ? ENCODER.encode(text) : encodeSurrogatePass(text);
}

function tryDecodeAscii(bytes: Uint8Array, start: number, end: number): string | undefined {
  let text = "";
  let at = start;
  // Every index below is under `end`, which the caller keeps within the bytes.
  for (; at + 8 <= end; at += 8) {
    const a = bytes[at]!, b = bytes[at + 1]!, c = bytes[at + 2]!, d = bytes[at + 3]!;
    const e = bytes[at + 4]!, f = bytes[at + 5]!, g = bytes[at + 6]!, h = bytes[at + 7]!;
    if ((a | b | c | d | e | f | g | h) > 0x7f) return undefined;
    text += String.fromCharCode(a, b, c, d, e, f, g, h);
  }
  for (; at < end; at++) {
    const byte = bytes[at]!;
    if (byte > 0x7f) return undefined;
    text += String.fromCharCode(byte);
  }
  return text;
}

/** The slow way for the rare text with lone surrogates: pieces between the surrogates go through TextDecoder. */
function tryDecodeSurrogatePass(bytes: Uint8Array, start: number, end: number): string | undefined {
  const parts: string[] = [];
  let from = start;
  try {
    for (let at = start; at + 2 < end; at++) {
      // ED A0..BF xx is a surrogate; well-formed UTF-8 has ED only as a lead byte, with 80..9F after it.
      if (bytes[at] !== 0xed || (bytes[at + 1]! & 0xe0) !== 0xa0 || (bytes[at + 2]! & 0xc0) !== 0x80) continue;
      if (from < at) parts.push(DECODER.decode(bytes.subarray(from, at)));
      parts.push(String.fromCharCode(0xd000 | (bytes[at + 1]! & 0x3f) << 6 | (bytes[at + 2]! & 0x3f)));
      at += 2;
      from = at + 1;
    }
    if (from < end) parts.push(DECODER.decode(bytes.subarray(from, end)));
  } catch {
    return undefined;
  }
  return parts.join("");
}

function encodeSurrogatePass(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length * 3);
  let length = 0;
  let from = 0;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if ((unit & 0xf800) !== 0xd800) continue;
    if (text.codePointAt(at)! > 0xffff) { // a pair
      at++;
      continue;
    }
    length += ENCODER.encodeInto(text.slice(from, at), bytes.subarray(length)).written;
    bytes[length++] = 0xe0 | unit >> 12;
    bytes[length++] = 0x80 | unit >> 6 & 0x3f;
    bytes[length++] = 0x80 | unit & 0x3f;
    from = at + 1;
  }
  length += ENCODER.encodeInto(text.slice(from), bytes.subarray(length)).written;
  return bytes.subarray(0, length);
}
