/** Base64 (RFC 4648). A str stands for its UTF-8; other values cannot be written. @module */

import { encodeUtf8 } from "../../codecs/utf8.ts";
import { pythonTypeName } from "../../codecs/type_name.ts";
import { ByteArray } from "../../values.ts";
import { type Format, FormatError, toText } from "./format.ts";

export const base64: Format = {
  binary: false,
  read: (source) => fromBase64(toText(source, "base64")),
  write: (value) => {
    if (typeof value === "string") return encodeUtf8(value).toBase64();
    if (value instanceof Uint8Array) return value.toBase64();
    if (value instanceof ByteArray) return value.bytes.toBase64();
    throw new FormatError(`a ${pythonTypeName(value)} is neither bytes nor str`);
  },
};

/** Bytes of base64 text, white space and missing padding allowed; both alphabets. @throws {FormatError} */
export function fromBase64(text: string): Uint8Array {
  try {
    return Uint8Array.fromBase64(text, { alphabet: /[-_]/.test(text) ? "base64url" : "base64" });
  } catch (error) {
    throw new FormatError("it is no base64", { cause: error });
  }
}
