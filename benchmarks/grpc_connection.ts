/**
 * A gRPC client that does as little as can be for each message: a load generator runs on the processors of what it
 * measures, and grpc-js takes more of them to send a message and hear its answer than the service between. What arrives
 * together is read together, what is sent in one turn of the event loop goes out in one write, and messages are bytes.
 *
 * HTTP/2 is [RFC 9113](https://www.rfc-editor.org/rfc/rfc9113), without priorities, push and padding of its own; gRPC is
 * [gRPC over HTTP2](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md), without compression.
 *
 * @module
 */

import { status as grpcStatus } from "@grpc/grpc-js";
import hpack from "hpack.js";
import { concat } from "../tests/support/zip_writer.ts";

const PREFACE = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const FRAME_HEAD_BYTES = 9;
/** SETTINGS_MAX_FRAME_SIZE that every endpoint starts with, and the largest that we send and take. */
const MAX_FRAME_BYTES = 16_384;
/** Flow-control window that streams and connections start with. */
const FIRST_WINDOW_BYTES = 65_535;
/** What a stream and a connection may send to us ahead; announced anew when half is used. */
const STREAM_WINDOW_BYTES = 1_048_576;
const CONNECTION_WINDOW_BYTES = 16_777_216;
/** What the server may keep of headers, RFC 7541 section 4.2. */
const HEADER_TABLE_BYTES = 4_096;
const READ_BYTES = 262_144;

/** Frame types, RFC 9113 section 6. */
const DATA = 0;
const HEADERS = 1;
const RST_STREAM = 3;
const SETTINGS = 4;
const PING = 6;
const GOAWAY = 7;
const WINDOW_UPDATE = 8;
const CONTINUATION = 9;

const ACK = 0x1;
const END_STREAM = 0x1;
const END_HEADERS = 0x4;
const PADDED = 0x8;
const PRIORITY = 0x20;

const SETTINGS_HEADER_TABLE_SIZE = 1;
const SETTINGS_ENABLE_PUSH = 2;
const SETTINGS_INITIAL_WINDOW_SIZE = 4;
const ERROR_CANCEL = 8;

/** Bytes before each message: whether it is compressed, and its length. */
const MESSAGE_HEAD_BYTES = 5;

/** What is used of hpack.js, which has no types: the decoder of headers, RFC 7541. */
interface HeaderDecoder {
  write(block: Uint8Array): void;
  /** @throws {Error} when what was written is no header block */
  execute(): void;
  read(): { readonly name: string; readonly value: string } | null;
}

/** How a call ended. */
export interface CallEnd {
  readonly code: grpcStatus;
  readonly message: string;
}

/** Hears a call. */
export interface CallListener {
  /** @param message that may be read until this returns */
  readonly onMessage: (message: Uint8Array) => void;
  /** Comes once, after the last message. */
  readonly onEnd: (end: CallEnd) => void;
}

/** One connection in plain text, and the calls on it. */
export class GrpcConnection implements Disposable {
  readonly #conn: Deno.Conn;
  readonly #authority: string;
  readonly #calls = new Map<number, GrpcCall>();
  /** Calls that wait for room in a flow-control window. */
  readonly #blocked = new Set<GrpcCall>();
  readonly #headerDecoder: HeaderDecoder = hpack.decompressor.create({ table: { maxSize: HEADER_TABLE_BYTES } });
  readonly #output = new WriteBuffer();
  #nextStreamId = 1;
  #sendWindow = FIRST_WINDOW_BYTES;
  #streamSendWindow = FIRST_WINDOW_BYTES;
  /** Bytes taken that the peer has not been given back. */
  #taken = 0;
  /** The start of a header block that CONTINUATION frames go on with. */
  #headerBlock: { streamId: number; ended: boolean; parts: Uint8Array[] } | undefined;
  #writing = false;
  #closed = false;

  private constructor(conn: Deno.Conn, authority: string) {
    this.#conn = conn;
    this.#authority = authority;
    this.#output.append(PREFACE);
    this.#sendSettings([
      [SETTINGS_HEADER_TABLE_SIZE, HEADER_TABLE_BYTES],
      [SETTINGS_ENABLE_PUSH, 0],
      [SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES],
    ]);
    this.#sendWindowUpdate(0, CONNECTION_WINDOW_BYTES - FIRST_WINDOW_BYTES);
    void this.#read();
  }

  /**
   * @param address `host:port`
   * @throws {Error} when nobody listens there
   */
  static async connect(address: string): Promise<GrpcConnection> {
    const { hostname, port } = new URL(`http://${address}`);
    const conn = await Deno.connect({ hostname: hostname.replace(/^\[(.*)\]$/, "$1"), port: Number(port) });
    conn.setNoDelay(true);
    return new GrpcConnection(conn, address);
  }

  /**
   * @param path `/package.Service/Method`
   * @param metadata by lowercase names, each value at most 126 bytes
   */
  call(path: string, listener: CallListener, metadata: Readonly<Record<string, string>> = {}): GrpcCall {
    const streamId = this.#nextStreamId;
    this.#nextStreamId += 2;
    const call = new GrpcCall(streamId, this.#streamSendWindow, listener, {
      send: (sender, bytes) => this.#send(sender, bytes),
      endInput: () => this.#sendFrame(DATA, END_STREAM, streamId, NOTHING),
      cancel: () => {
        this.#forget(streamId);
        this.#sendFrame(RST_STREAM, 0, streamId, uint32(ERROR_CANCEL));
      },
    });
    if (this.#closed) {
      queueMicrotask(() => call.onEnd({ code: grpcStatus.UNAVAILABLE, message: "The connection is closed" }));
      return call;
    }
    this.#calls.set(streamId, call);
    this.#sendFrame(HEADERS, END_HEADERS, streamId, requestHeaders(path, this.#authority, metadata));
    return call;
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#conn.close();
  }

  /** Sends as much of a call's input as its windows let through. @returns how many bytes */
  #send(call: GrpcCall, bytes: Uint8Array): number {
    let sent = 0;
    while (sent < bytes.length) {
      const length = Math.min(bytes.length - sent, MAX_FRAME_BYTES, this.#sendWindow, call.sendWindow);
      if (length <= 0) {
        this.#blocked.add(call);
        return sent;
      }
      this.#sendFrame(DATA, 0, call.streamId, bytes.subarray(sent, sent + length));
      this.#sendWindow -= length;
      call.sendWindow -= length;
      sent += length;
    }
    return sent;
  }

  #unblock(): void {
    for (const call of [...this.#blocked]) {
      this.#blocked.delete(call);
      call.resume();
    }
  }

  #sendSettings(settings: readonly (readonly [id: number, value: number])[]): void {
    const payload = new Uint8Array(6 * settings.length);
    const view = new DataView(payload.buffer);
    settings.forEach(([id, value], index) => {
      view.setUint16(6 * index, id);
      view.setUint32(6 * index + 2, value);
    });
    this.#sendFrame(SETTINGS, 0, 0, payload);
  }

  #sendWindowUpdate(streamId: number, bytes: number): void {
    this.#sendFrame(WINDOW_UPDATE, 0, streamId, uint32(bytes));
  }

  #sendFrame(type: number, flags: number, streamId: number, payload: Uint8Array): void {
    if (this.#closed) return;
    this.#output.appendFrame(type, flags, streamId, payload);
    if (this.#writing) return;
    this.#writing = true;
    // What else this turn of the event loop sends goes with it.
    queueMicrotask(() => void this.#write());
  }

  async #write(): Promise<void> {
    try {
      while (this.#output.length > 0 && !this.#closed) {
        const bytes = this.#output.take();
        for (let at = 0; at < bytes.length;) at += await this.#conn.write(bytes.subarray(at));
      }
    } catch (error) {
      this.#fail(error);
    }
    this.#writing = false;
  }

  async #read(): Promise<void> {
    const buffer = new Uint8Array(READ_BYTES);
    let filled = 0;
    try {
      for (;;) {
        const count = await this.#conn.read(buffer.subarray(filled));
        if (count === null) throw new Error("The server closed the connection");
        filled += count;
        const used = this.#takeFrames(buffer.subarray(0, filled));
        buffer.copyWithin(0, used, filled);
        filled -= used;
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  /** @returns how many bytes of whole frames there were */
  #takeFrames(bytes: Uint8Array): number {
    let at = 0;
    while (bytes.length - at >= FRAME_HEAD_BYTES) {
      const length = uint24At(bytes, at);
      if (length > MAX_FRAME_BYTES) throw new Error(`A frame of ${length} bytes, above the ${MAX_FRAME_BYTES} allowed`);
      const end = at + FRAME_HEAD_BYTES + length;
      if (end > bytes.length) break;
      const streamId = uint32At(bytes, at + 5) & 0x7fffffff;
      this.#takeFrame(bytes[at + 3]!, bytes[at + 4]!, streamId, bytes.subarray(at + FRAME_HEAD_BYTES, end));
      at = end;
    }
    return at;
  }

  #takeFrame(type: number, flags: number, streamId: number, payload: Uint8Array): void {
    switch (type) {
      case DATA:
        return this.#takeData(flags, streamId, payload);
      case HEADERS:
        return this.#takeHeaders(flags, streamId, payload);
      case CONTINUATION:
        this.#headerBlock?.parts.push(payload.slice());
        return (flags & END_HEADERS) !== 0 ? this.#finishHeaders() : undefined;
      case RST_STREAM:
        return this.#end(streamId, {
          code: grpcStatus.UNAVAILABLE,
          message: `The server reset the stream, HTTP/2 error ${uint32At(payload, 0)}`,
        });
      case SETTINGS:
        return (flags & ACK) === 0 ? this.#takeSettings(payload) : undefined;
      case PING:
        return (flags & ACK) === 0 ? this.#sendFrame(PING, ACK, 0, payload) : undefined;
      case GOAWAY:
        return this.#takeGoaway(uint32At(payload, 0), uint32At(payload, 4));
      case WINDOW_UPDATE:
        return this.#takeWindowUpdate(streamId, uint32At(payload, 0));
    }
    // RFC 9113 section 4.1: frames of other types are ignored.
  }

  #takeData(flags: number, streamId: number, payload: Uint8Array): void {
    this.#taken += payload.length;
    if (this.#taken > CONNECTION_WINDOW_BYTES / 2) {
      this.#sendWindowUpdate(0, this.#taken);
      this.#taken = 0;
    }
    const call = this.#calls.get(streamId);
    if (call === undefined) return;
    call.taken += payload.length;
    if (call.taken > STREAM_WINDOW_BYTES / 2) {
      this.#sendWindowUpdate(streamId, call.taken);
      call.taken = 0;
    }
    call.onData(withoutPadding(flags, payload));
    if ((flags & END_STREAM) !== 0) {
      this.#end(streamId, { code: grpcStatus.UNKNOWN, message: "The call ended without a status" });
    }
  }

  #takeHeaders(flags: number, streamId: number, payload: Uint8Array): void {
    const block = withoutPadding(flags, payload).subarray((flags & PRIORITY) !== 0 ? 5 : 0);
    this.#headerBlock = { streamId, ended: (flags & END_STREAM) !== 0, parts: [block.slice()] };
    if ((flags & END_HEADERS) !== 0) this.#finishHeaders();
  }

  #finishHeaders(): void {
    if (this.#headerBlock === undefined) return;
    const { streamId, ended, parts } = this.#headerBlock;
    this.#headerBlock = undefined;
    for (const part of parts) this.#headerDecoder.write(part);
    this.#headerDecoder.execute();
    const headers = new Map<string, string>();
    for (let header = this.#headerDecoder.read(); header !== null; header = this.#headerDecoder.read()) {
      headers.set(header.name, header.value);
    }
    if (!ended) return;
    const code = headers.get("grpc-status");
    this.#end(
      streamId,
      code === undefined
        ? { code: grpcStatus.UNKNOWN, message: `No gRPC status; HTTP status ${headers.get(":status") ?? "none"}` }
        : { code: Number(code), message: decodeURIComponent(headers.get("grpc-message") ?? "") },
    );
  }

  #takeSettings(payload: Uint8Array): void {
    for (let at = 0; at + 6 <= payload.length; at += 6) {
      if (uint16At(payload, at) !== SETTINGS_INITIAL_WINDOW_SIZE) continue;
      // RFC 9113 section 6.9.2: what is under way counts against the new size.
      const size = uint32At(payload, at + 2);
      for (const call of this.#calls.values()) call.sendWindow += size - this.#streamSendWindow;
      this.#streamSendWindow = size;
    }
    this.#sendFrame(SETTINGS, ACK, 0, NOTHING);
    this.#unblock();
  }

  #takeGoaway(lastStreamId: number, error: number): void {
    for (const streamId of [...this.#calls.keys()]) {
      if (streamId <= lastStreamId) continue;
      this.#end(streamId, { code: grpcStatus.UNAVAILABLE, message: `The server takes no more, HTTP/2 error ${error}` });
    }
  }

  #takeWindowUpdate(streamId: number, bytes: number): void {
    if (streamId === 0) this.#sendWindow += bytes;
    else {
      const call = this.#calls.get(streamId);
      if (call !== undefined) call.sendWindow += bytes;
    }
    if (this.#blocked.size > 0) this.#unblock();
  }

  #end(streamId: number, end: CallEnd): void {
    this.#forget(streamId)?.onEnd(end);
  }

  #forget(streamId: number): GrpcCall | undefined {
    const call = this.#calls.get(streamId);
    if (call === undefined) return undefined;
    this.#calls.delete(streamId);
    this.#blocked.delete(call);
    return call;
  }

  #fail(error: unknown): void {
    const message = `Connection lost: ${error instanceof Error ? error.message : String(error)}`;
    this[Symbol.dispose]();
    for (const streamId of [...this.#calls.keys()]) this.#end(streamId, { code: grpcStatus.UNAVAILABLE, message });
  }
}

/** What a call has of its connection. */
interface CallTransport {
  /** @returns how many of the bytes went out */
  readonly send: (call: GrpcCall, bytes: Uint8Array) => number;
  readonly endInput: () => void;
  readonly cancel: () => void;
}

/** A call, unary or in streams; `GrpcConnection.call` makes it. */
export class GrpcCall {
  readonly streamId: number;
  /** Of the connection's accounts: what may be sent, and what was taken and not given back. */
  sendWindow: number;
  taken = 0;
  readonly #listener: CallListener;
  readonly #transport: CallTransport;
  /** What no window has had room for yet. */
  readonly #unsent: Uint8Array[] = [];
  /** The start of a message whose end has not come. */
  #partial: Uint8Array = NOTHING;
  #inputEnded = false;
  #state: "open" | "ended" = "open";

  constructor(streamId: number, sendWindow: number, listener: CallListener, transport: CallTransport) {
    this.streamId = streamId;
    this.sendWindow = sendWindow;
    this.#listener = listener;
    this.#transport = transport;
  }

  /** Whether messages wait for the server to take those before. */
  get isBlocked(): boolean {
    return this.#unsent.length > 0;
  }

  write(message: Uint8Array): void {
    if (this.#state === "ended" || this.#inputEnded) return;
    const bytes = new Uint8Array(MESSAGE_HEAD_BYTES + message.length);
    new DataView(bytes.buffer).setUint32(1, message.length);
    bytes.set(message, MESSAGE_HEAD_BYTES);
    this.#unsent.push(bytes);
    if (this.#unsent.length === 1) this.resume();
  }

  /** Half-closes. */
  end(): void {
    if (this.#inputEnded || this.#state === "ended") return;
    this.#inputEnded = true;
    if (!this.isBlocked) this.#transport.endInput();
  }

  /** Ends it without another word to the listener. */
  cancel(): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    this.#transport.cancel();
  }

  /** The connection's: goes on sending. */
  resume(): void {
    for (let bytes = this.#unsent[0]; bytes !== undefined; bytes = this.#unsent[0]) {
      const sent = this.#transport.send(this, bytes);
      if (sent < bytes.length) {
        this.#unsent[0] = bytes.subarray(sent);
        return;
      }
      this.#unsent.shift();
    }
    if (this.#inputEnded) this.#transport.endInput();
  }

  /** The connection's: bytes of messages. */
  onData(bytes: Uint8Array): void {
    let rest = this.#partial.length === 0 ? bytes : concat(this.#partial, bytes);
    while (rest.length >= MESSAGE_HEAD_BYTES) {
      const end = MESSAGE_HEAD_BYTES + uint32At(rest, 1);
      if (end > rest.length) break;
      this.#listener.onMessage(rest.subarray(MESSAGE_HEAD_BYTES, end));
      rest = rest.subarray(end);
    }
    this.#partial = rest.length === 0 ? NOTHING : rest.slice();
  }

  /** The connection's: nothing more comes. */
  onEnd(end: CallEnd): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    this.#listener.onEnd(end);
  }
}

/** Bytes that wait to be written, in one of two buffers: the other one is being written. */
class WriteBuffer {
  #bytes = new Uint8Array(READ_BYTES);
  #spare = new Uint8Array(READ_BYTES);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  append(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  appendFrame(type: number, flags: number, streamId: number, payload: Uint8Array): void {
    this.#reserve(FRAME_HEAD_BYTES + payload.length);
    const [bytes, at, { length }] = [this.#bytes, this.#length, payload];
    bytes[at] = length >>> 16;
    bytes[at + 1] = length >>> 8;
    bytes[at + 2] = length;
    bytes[at + 3] = type;
    bytes[at + 4] = flags;
    bytes[at + 5] = streamId >>> 24;
    bytes[at + 6] = streamId >>> 16;
    bytes[at + 7] = streamId >>> 8;
    bytes[at + 8] = streamId;
    bytes.set(payload, at + FRAME_HEAD_BYTES);
    this.#length = at + FRAME_HEAD_BYTES + length;
  }

  /** Everything so far; good until the next `take`. */
  take(): Uint8Array {
    const bytes = this.#bytes.subarray(0, this.#length);
    [this.#bytes, this.#spare] = [this.#spare, this.#bytes];
    this.#length = 0;
    return bytes;
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(2 * this.#bytes.length, this.#length + more));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}

const NOTHING = new Uint8Array();

/** Literal fields without indexing and without Huffman's code, RFC 7541 section 6.2.2: no state to keep. */
function requestHeaders(path: string, authority: string, metadata: Readonly<Record<string, string>>): Uint8Array {
  // Of the static table, RFC 7541 appendix A: `:method: POST` and `:scheme: http` whole, names of the others.
  return concat(
    Uint8Array.of(0x83, 0x86),
    literalField(4, path),
    literalField(1, authority),
    literalField(31, "application/grpc"),
    ...Object.entries({ te: "trailers", ...metadata })
      .flatMap(([name, value]) => [Uint8Array.of(0), literalString(name), literalString(value)]),
  );
}

function literalField(nameIndex: number, value: string): Uint8Array {
  return concat(nameIndex < 15 ? Uint8Array.of(nameIndex) : Uint8Array.of(15, nameIndex - 15), literalString(value));
}

/** @throws {RangeError} when it is too long for a length of one byte */
function literalString(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length >= 127) throw new RangeError(`A header of ${bytes.length} bytes, at most 126: ${text}`);
  return concat(Uint8Array.of(bytes.length), bytes);
}

/** The content of a DATA or HEADERS frame that may be padded, RFC 9113 section 6.1. */
function withoutPadding(flags: number, payload: Uint8Array): Uint8Array {
  return (flags & PADDED) === 0 ? payload : payload.subarray(1, payload.length - (payload[0] ?? 0));
}

function uint32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}

// A frame's fields by shifts: a DataView for each frame would be an object for each frame. Frames are whole here.
function uint16At(bytes: Uint8Array, at: number): number {
  return bytes[at]! << 8 | bytes[at + 1]!;
}

function uint24At(bytes: Uint8Array, at: number): number {
  return uint16At(bytes, at) << 8 | bytes[at + 2]!;
}

function uint32At(bytes: Uint8Array, at: number): number {
  return (uint24At(bytes, at) << 8 | bytes[at + 3]!) >>> 0;
}
