/**
 * Where the body of a request ends, so that nothing behind it reaches the server that the first request was checked for.
 * @module
 */

import { BadRequest, type BodyLength } from "./request_head.ts";

/** Chunk extensions and trailers are there for nobody; more than this is an attack (RFC 9112 §7.1). */
const MAX_LINE_BYTES = 256;
const MAX_TRAILER_BYTES = 4_096;

type State = "size" | "data" | "data-end" | "trailer" | "done";

/** Counts a body as it passes. */
export class BodyEnd {
  #state: State;
  /** Bytes of data that are still to come, in the body or in the chunk. */
  #left: number;
  readonly #chunked: boolean;
  #line = "";
  #trailerBytes = 0;

  constructor(length: BodyLength) {
    this.#chunked = length.kind === "chunked";
    this.#left = length.kind === "bytes" ? length.bytes : 0;
    this.#state = this.#chunked ? "size" : "data";
    if (length.kind === "bytes" && length.bytes === 0) this.#state = "done";
  }

  /** Whether all of the body has passed. */
  get reached(): boolean {
    return this.#state === "done";
  }

  /**
   * Takes the next bytes.
   * @returns how many of them belong to the body
   * @throws {BadRequest} when chunks are malformed
   */
  take(bytes: Uint8Array): number {
    let at = 0;
    while (at < bytes.length && this.#state !== "done") {
      if (this.#state === "data") {
        const count = Math.min(this.#left, bytes.length - at);
        at += count;
        this.#left -= count;
        if (this.#left === 0) this.#state = this.#chunked ? "data-end" : "done";
        continue;
      }
      this.#line += String.fromCharCode(bytes[at] ?? 0);
      at++;
      if (this.#line.endsWith("\r\n")) this.#endLine(this.#line.slice(0, -2));
      else if (/\r.|\n/s.test(this.#line)) throw new BadRequest("a line between chunks holds a lone CR or LF");
      else if (this.#line.length > MAX_LINE_BYTES) throw new BadRequest("a line between chunks is too long");
    }
    return at;
  }

  #endLine(line: string): void {
    this.#line = "";
    switch (this.#state) {
      case "size": {
        const size = /^([0-9A-Fa-f]{1,12})(?:[ \t]*;[\t\x20-\x7e]*)?$/.exec(line)?.[1];
        if (size === undefined) throw new BadRequest("the size of a chunk is no number");
        this.#left = Number.parseInt(size, 16);
        this.#state = this.#left === 0 ? "trailer" : "data";
        return;
      }
      case "data-end":
        if (line !== "") throw new BadRequest("a chunk is longer than its size");
        this.#state = "size";
        return;
      default:
        this.#trailerBytes += line.length + 2;
        if (this.#trailerBytes > MAX_TRAILER_BYTES) throw new BadRequest("the trailer is too long");
        if (line === "") this.#state = "done";
    }
  }
}
