/**
 * Python pickle: protocols 0 to 5 in, 4 out.
 * @module
 */

import type { Codec } from "./codec.ts";
import { decodePickle } from "./pickle_decode.ts";
import { encodePickle } from "./pickle_encode.ts";

/** What the Python SDK sends when nobody says otherwise. */
export const pickle: Codec = { format: "pickle", decode: decodePickle, encode: encodePickle };
