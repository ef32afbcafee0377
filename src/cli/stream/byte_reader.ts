/**
 * Bytes in the sizes that a reader wants, out of a stream that has others.
 * @module
 */

/** Reads a stream of bytes. Whoever makes one closes it. */
export class ByteReader implements AsyncDisposable {
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #stopped: Promise<undefined>;
  #bytes = new Uint8Array();
  #ended = false;

  /** @param stop Ends the stream where it is, also while it keeps a reader waiting */
  constructor(source: AsyncIterable<Uint8Array>, stop: AbortSignal) {
    this.#source = source[Symbol.asyncIterator]();
    const { promise, resolve } = Promise.withResolvers<undefined>();
    if (stop.aborted) resolve(undefined);
    // One listener for all waits: the reader lives as long as the signal.
    stop.addEventListener("abort", () => resolve(undefined), { once: true });
    this.#stopped = promise;
  }

  /** What comes next, `count` bytes or more, fewer only at the end; to be read again. */
  async peek(count: number): Promise<Uint8Array> {
    while (this.#bytes.length < count && !this.#ended) {
      const next = await Promise.race([this.#source.next(), this.#stopped]);
      if (next === undefined || next.done) this.#ended = true;
      else this.#bytes = this.#bytes.length === 0 ? new Uint8Array(next.value) : joined(this.#bytes, next.value);
    }
    return this.#bytes;
  }

  /** The next `count` bytes, fewer only at the end. */
  async read(count: number): Promise<Uint8Array> {
    const bytes = (await this.peek(count)).subarray(0, count);
    this.#bytes = this.#bytes.subarray(bytes.length);
    return bytes;
  }

  /** Closes the stream. It does not wait for a read that hangs. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#source.return?.()?.catch(() => {});
    return Promise.resolve();
  }
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(first.length + second.length);
  bytes.set(first);
  bytes.set(second, first.length);
  return bytes;
}
