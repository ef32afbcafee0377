/**
 * How much of what was written to a call has not left the process.
 *
 * Deno's HTTP/2 (2.9.3) does not push back: `write()` says that it is enough, and `drain` comes at once though the peer
 * reads nothing, so that a stream would take all of its inputs into memory. What flow control has let out can be seen in
 * one place only, the connection's `bytesWritten`, and grpc-js has no public way to it. Where its private one has changed,
 * nothing is known and `drain` alone decides.
 *
 * @module
 */

/** How deep grpc-js nests a call: interceptors, name resolution, retries, load balancing, subchannel. */
const MAX_DEPTH = 12;

/** Bytes that lead each message of gRPC: flag and length. */
const PREFIX_BYTES = 5;

/**
 * Counts what is unsent of one stream. It may say too little, where other calls write to the same connection, and never
 * too much: whoever waits for less does not wait for ever.
 */
export class UnsentBytes {
  #socket: Connection | undefined;
  /** What the connection had written when nothing of ours was unsent, with what we have written since. */
  #expected = 0;

  constructor(readonly call: object) {}

  /** Notes that a message of at least so many bytes was written. */
  add(bytes: number): void {
    if (this.#socket === undefined) {
      // There is none before the call has a connection; what went into it before is not counted.
      this.#socket = connectionOf(this.call);
      this.#expected = this.#socket?.bytesWritten ?? 0;
    } else {
      this.#expected += PREFIX_BYTES + bytes;
    }
  }

  /** Bytes that are unsent, as far as is known. */
  get count(): number {
    const written = this.#socket?.bytesWritten ?? Infinity;
    // Frames have heads, which we do not count: without this they would add up to a credit.
    this.#expected = Math.max(this.#expected, written);
    return this.#socket === undefined ? 0 : this.#expected - written;
  }
}

interface Connection {
  readonly bytesWritten: number;
}

/** The socket below a call of grpc-js 1.14, by way of `Http2SubchannelCall.http2Stream`. */
function connectionOf(call: object): Connection | undefined {
  let layer: unknown = call;
  for (let depth = 0; depth < MAX_DEPTH && layer !== undefined; depth++) {
    const stream = member(layer, "http2Stream");
    if (stream !== undefined) {
      const socket = member(member(stream, "session"), "socket");
      const written = member(socket, "bytesWritten");
      // HTTP/2 has begun by now: where that is not counted, under TLS say, nothing would ever count as sent.
      return typeof written === "number" && written > 0 ? socket as Connection : undefined; // As was just seen.
    }
    const [retried] = asArray(member(layer, "underlyingCalls"));
    layer = member(layer, "call") ?? member(layer, "child") ?? member(layer, "nextCall") ?? member(retried, "call");
  }
  return undefined;
}

function member(holder: unknown, name: string): unknown {
  return typeof holder === "object" && holder !== null ? Reflect.get(holder, name) ?? undefined : undefined;
}

function asArray(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
