/** JSON, in which int and float stay apart. @module */

import { decodeJson } from "../../codecs/json_decode.ts";
import { encodeJson } from "../../codecs/json_encode.ts";
import { TaskError } from "../../task_error.ts";
import { type Format, FormatError, toText } from "./format.ts";
import { toPlainData } from "./plain_data.ts";

export const json: Format = {
  binary: false,
  read: (source, { memoryLimitBytes }) => asFormatError(() => decodeJson(source, { memoryLimitBytes })),
  write: (value, { memoryLimitBytes }) => {
    const plain = toPlainData(value, { memoryLimitBytes, bytes: "base64" });
    return toText(asFormatError(() => encodeJson(plain, { maxOutputBytes: memoryLimitBytes })), "JSON");
  },
};

/** What the codec refuses is the caller's value; its limits stay limits. */
function asFormatError<T>(compute: () => T): T {
  try {
    return compute();
  } catch (error) {
    if (error instanceof TaskError && error.code !== "RESOURCE_LIMIT") {
      throw new FormatError(error.message, { cause: error });
    }
    throw error;
  }
}
