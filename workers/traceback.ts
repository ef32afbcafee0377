/**
 * What a failed task tells its caller.
 * @module
 */

import { MAX_MESSAGE_LENGTH, MAX_TRACEBACK_LENGTH } from "./protocol.ts";

const MAX_CAUSES = 8;

/** Places of the service's own code, by which no caller should learn where it is installed. */
const CODE_LOCATION = /(?:file:\/\/\/[^\s()]*\/)(?=[^/\s()]+:\d+)/g;

/** Folders whose names no caller should learn, as URLs and as paths; what lies in them is shown relative to them. */
const hiddenPrefixes: string[] = [];

/** Hides a folder, given as a `file:` URL that ends with a slash. */
export function hideFolder(url: string): void {
  const path = decodeURIComponent(new URL(url).pathname);
  hiddenPrefixes.push(url, path);
}

const OWN_FOLDER = new URL("./", import.meta.url).href;
hideFolder(OWN_FOLDER);

function withoutFolders(text: string): string {
  return hiddenPrefixes.reduce((shown, prefix) => shown.replaceAll(prefix, ""), text);
}

/** A frame of a stack, as V8 gives it (https://v8.dev/docs/stack-trace-api); only what is used here. */
interface CallSite {
  getFileName(): string | null | undefined;
}

/** What `Error.prepareStackTrace` may be set to. */
type PrepareStackTrace = (error: unknown, frames: CallSite[]) => unknown;

/**
 * Leaves hidden folders out of `stack`, which user code reads without asking anybody, and the service's own frames where
 * there are any of the user's. A `prepareStackTrace` of its own works as ever, but is given no frames of the service.
 */
export function concealStacks(): void {
  const ownPath = new URL(OWN_FOLDER).pathname;
  const nameOf = (frame: CallSite) => frame.getFileName() ?? "";
  const isOwn = (frame: CallSite) => nameOf(frame).startsWith(OWN_FOLDER) || nameOf(frame).startsWith(ownPath);
  const isOfUser = (frame: CallSite) => /^(?:file:|\/)/.test(nameOf(frame)) && !isOwn(frame);
  let ofUser: PrepareStackTrace | undefined;
  const prepare: PrepareStackTrace = (error, frames) => {
    const foreign = frames.filter((frame) => !isOwn(frame));
    if (typeof ofUser === "function") return ofUser(error, foreign);
    let text = textOf(error);
    for (const frame of foreign.some(isOfUser) ? foreign : frames) text += `\n    at ${frame}`;
    return withoutFolders(text);
  };
  Object.defineProperty(Error, "prepareStackTrace", {
    get: () => prepare,
    // What was read here before is set again by those who change it for a moment.
    set: (value: PrepareStackTrace | undefined) => {
      ofUser = value === prepare ? undefined : value;
    },
    configurable: false,
  });
}

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
    message: withoutFolders((error instanceof Error ? error.message : textOf(error)).slice(0, MAX_MESSAGE_LENGTH)),
    traceback: withoutFolders(lines.join("\n")).replace(CODE_LOCATION, "").slice(0, MAX_TRACEBACK_LENGTH),
  };
}

/** Frames of a stack that are the sandbox's own or the runtime's, which say nothing about the user's code. */
const FOREIGN_FRAME = /^\s+at .*(?:task_worker\.js:\d+:\d+|ext:[^\s()]*)\)?$/;

/** What user code threw: as {@linkcode describeFailure}, with the frames of its own files only. */
export function describeUserFailure(thrown: unknown): { message: string; traceback: string } {
  const { message, traceback } = describeFailure(thrown);
  return { message, traceback: traceback.split("\n").filter((line) => !FOREIGN_FRAME.test(line)).join("\n") };
}

function textOf(thrown: unknown): string {
  try {
    return String(thrown);
  } catch {
    return "an object that cannot be shown";
  }
}
