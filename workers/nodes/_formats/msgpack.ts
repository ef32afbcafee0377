/** MessagePack as a format. @module */

import type { Value } from "../../values.ts";
import type { Format } from "./format.ts";
import { readMsgpack } from "./msgpack_read.ts";
import { writeMsgpack } from "./msgpack_write.ts";
import { toPlainData } from "./plain_data.ts";

export const msgpack: Format = {
  binary: true,
  read: (source): Value => readMsgpack(source),
  write: (value, { memoryLimitBytes }) =>
    writeMsgpack(toPlainData(value, { memoryLimitBytes, bytes: "bytes" }), memoryLimitBytes),
};
