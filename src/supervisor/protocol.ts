/**
 * What a supervisor and its fronts say to each other: JSON, one message a line, on the front's standard input and output.
 * Sockets go another way, over the channel of `node:child_process`, before the first of these lines.
 * @module
 */

import { z } from "zod";

/** Raised with every change that the other side has to know of: an upgrade brings fronts of another build. */
export const FRONT_PROTOCOL = 1;

/** Longest line that is read, in characters: metrics are the longest, and no front comes near that. */
const MAX_LINE_LENGTH = 16 * 1024 * 1024;

/** What a supervisor says. */
export const ToFront = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("start"),
    /** Which of the fronts it is, from 1 on; its successor is the same. */
    front: z.int(),
    /** Sockets that have been sent. */
    sockets: z.int(),
    configDir: z.string().nullable(),
    /** Configuration files by path, as the supervisor read them; null for one that does not exist. */
    files: z.record(z.string(), z.string().nullable()),
    overrides: z.record(z.string(), z.unknown()),
  }),
  /** Take connections from this socket, too: its own front is gone. */
  z.object({ kind: z.literal("listen"), socket: z.int() }),
  /** Drain; a successor serves. */
  z.object({ kind: z.literal("retire") }),
  /** Drain and refuse what comes; said twice: kill what runs. */
  z.object({ kind: z.literal("stop") }),
  /** Tell how you are. */
  z.object({ kind: z.literal("report"), id: z.int() }),
]);
/** See {@linkcode ToFront}. */
export type ToFront = z.output<typeof ToFront>;

/** What a front knows of itself when it serves: `ServiceInfo` of src/main.ts. */
export const FrontInfo = z.object({
  host: z.string(),
  port: z.int(),
  sandbox: z.string(),
  workers: z.int(),
  probedOperations: z.int(),
  startupMs: z.number(),
});
/** See {@linkcode FrontInfo}. */
export type FrontInfo = z.output<typeof FrontInfo>;

/** What a front says. */
export const FromFront = z.discriminatedUnion("kind", [
  /** It can take its sockets. */
  z.object({ kind: z.literal("hello"), protocol: z.int(), version: z.string() }),
  z.object({ kind: z.literal("ready"), info: FrontInfo }),
  /** It cannot start; `code` is one of src/errors.ts. */
  z.object({ kind: z.literal("failed"), code: z.string(), message: z.string() }),
  z.object({ kind: z.literal("report"), id: z.int(), metrics: z.string(), residentBytes: z.number() }),
  /** It has no execution left and ends; these are its last metrics. */
  z.object({ kind: z.literal("drained"), lost: z.int(), metrics: z.string() }),
]);
/** See {@linkcode FromFront}. */
export type FromFront = z.output<typeof FromFront>;

/** A message as it is written. */
export function toLine(message: ToFront | FromFront): string {
  return `${JSON.stringify(message)}\n`;
}

/** Cuts text that comes in pieces into lines. */
export class LineReader {
  readonly #decoder = new TextDecoder();
  #rest = "";

  /** @returns the lines that are complete now @throws {RangeError} when one is longer than any message */
  push(bytes: Uint8Array): string[] {
    const lines = (this.#rest + this.#decoder.decode(bytes, { stream: true })).split("\n");
    this.#rest = lines.pop() ?? "";
    if (this.#rest.length > MAX_LINE_LENGTH) throw new RangeError("Cannot read message: its line does not end");
    return lines;
  }
}
