/**
 * What a failed task tells its caller.
 * @module
 */

import { MAX_MESSAGE_LENGTH, MAX_TRACEBACK_LENGTH } from "./protocol.ts";

const MAX_CAUSES = 8;

/** Places of the service's own code, by which no caller should learn where it is installed. */
const CODE_LOCATION = /(?:file:\/\/\/[^\s()]*\/)(?=[^/\s()]+:\d+)/g;

/** Message and traceback of anything that was thrown, bounded, without paths of the host, causes included. */
export function describeFailure(error: unknown): { message: string; traceback: string } {
  const lines: string[] = [];
  let current: unknown = error;
  for (let depth = 0; current !== undefined && depth < MAX_CAUSES; depth++) {
    const text = current instanceof Error ? current.stack ?? `${current.name}: ${current.message}` : textOf(current);
    // Cut before it is searched: a message may quote megabytes of its input.
    lines.push((depth === 0 ? text : `Caused by: ${text}`).slice(0, MAX_TRACEBACK_LENGTH));
    current = current instanceof Error ? current.cause : undefined;
  }
  return {
    message: (error instanceof Error ? error.message : textOf(error)).slice(0, MAX_MESSAGE_LENGTH),
    traceback: lines.join("\n").replace(CODE_LOCATION, "").slice(0, MAX_TRACEBACK_LENGTH),
  };
}

function textOf(thrown: unknown): string {
  try {
    return String(thrown);
  } catch {
    return "an object that cannot be shown";
  }
}
