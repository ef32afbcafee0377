/**
 * Writes lines without making anybody wait.
 * @module
 */

/** What lines are written to. */
export interface ByteWriter {
  /** Writes some of the bytes and tells how many. */
  write(bytes: Uint8Array): Promise<number>;
}

/**
 * A bounded buffer in front of a slow output.
 *
 * Lines that do not fit are dropped and counted; a note about them is written once there is room. Lines that come while
 * a write is under way go out together in the next one. An output that fails loses its lines quietly: a service does
 * not stop because nobody reads its log.
 */
export class LineWriter implements AsyncDisposable {
  readonly #output: ByteWriter;
  readonly #maxBufferedChars: number;
  readonly #noteDropped: (count: number) => string;
  readonly #encoder = new TextEncoder();
  #lines: string[] = [];
  #bufferedChars = 0;
  #dropped = 0;
  #flushing: Promise<void> | undefined;

  /**
   * @param output Where the lines go
   * @param options How much is held back for it, and the line that tells of dropped ones
   */
  constructor(output: ByteWriter, options: { maxBufferedChars: number; noteDropped: (count: number) => string }) {
    this.#output = output;
    this.#maxBufferedChars = options.maxBufferedChars;
    this.#noteDropped = options.noteDropped;
  }

  /** Takes a line, which ends in a line feed. Never waits and never throws. */
  write(line: string): void {
    if (this.#bufferedChars + line.length > this.#maxBufferedChars) {
      this.#dropped++;
      return;
    }
    this.#lines.push(line);
    this.#bufferedChars += line.length;
    this.#flushing ??= this.#flush();
  }

  /** Waits until everything taken so far is written. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#flushing;
  }

  async #flush(): Promise<void> {
    try {
      // Whatever is logged in the same turn goes out in one write.
      await Promise.resolve();
      while (this.#lines.length > 0) {
        const lines = this.#lines;
        if (this.#dropped > 0) lines.push(this.#noteDropped(this.#dropped));
        this.#lines = [];
        this.#dropped = 0;
        await this.#writeAll(this.#encoder.encode(lines.join("")));
        this.#bufferedChars = this.#lines.reduce((sum, line) => sum + line.length, 0);
      }
    } catch {
      this.#lines = [];
      this.#bufferedChars = 0;
    } finally {
      this.#flushing = undefined;
    }
  }

  async #writeAll(bytes: Uint8Array): Promise<void> {
    for (let written = 0; written < bytes.length;) written += await this.#output.write(bytes.subarray(written));
  }
}
