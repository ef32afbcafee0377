/**
 * The log of one task, or of one stream: bounded in lines and in their length.
 * @module
 */

import { MAX_LOG_LINE_LENGTH, MAX_LOG_LINES } from "./protocol.ts";

/** Bounds what goes through it; the last line says that more were dropped. */
export function boundedLog(write: (message: string) => void): (message: string) => void {
  let lines = 0;
  return (message) => {
    lines++;
    if (lines < MAX_LOG_LINES) write(message.slice(0, MAX_LOG_LINE_LENGTH));
    else if (lines === MAX_LOG_LINES) write(`Further lines of this task are dropped: ${MAX_LOG_LINES} were written`);
  };
}
