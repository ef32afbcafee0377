/**
 * JSON as Python's `json` module reads and writes it, so that int and float stay apart.
 * @module
 */

import type { Codec } from "./codec.ts";
import { decodeJson } from "./json_decode.ts";
import { encodeJson } from "./json_encode.ts";

/** UTF-8 JSON. */
export const json: Codec = { format: "json", decode: decodeJson, encode: encodeJson };
