/**
 * The corpus' attacks on the transport (`proto-conn-…`), on HTTP/2 without gRPC's library.
 * @module
 */

import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp2 } from "node:http2";
import { connect as connectTcp } from "node:net";
import { constants, crc32, deflateRawSync } from "node:zlib";
import { status as callStatus } from "@grpc/grpc-js";
import { concat, u } from "../support/zip_writer.ts";
import { latin1 } from "./protocol_bodies.ts";
import { type Outcome, outcomeOfTask, type ProtocolCases } from "./target.ts";

const MEGABYTE = 1024 * 1024;
/** A flag and a length stand before each message. */
const PREFIX_BYTES = 5;
const EXECUTE_TASK = "/remotemedia.execution.RemoteExecutionService/ExecuteCustomTask";
const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const GRPC = { ":method": "POST", ":path": EXECUTE_TASK, "content-type": "application/grpc", "te": "trailers" };

export const CONNECTIONS: ProtocolCases = {
  "proto-conn-frame-lie": {
    attack: async ({ port }) => [await exchange(port, "4 GB", { data: latin1("\0\xff\xff\xff\xff" + "x".repeat(10)) })],
  },
  "proto-conn-flag": {
    attack: async ({ port }) => [
      await exchange(port, "flag 1", { data: latin1("\x01\0\0\0\x04abcd") }),
      await exchange(port, "flag 7", { data: latin1("\x07\0\0\0\0") }),
      await exchange(port, "flags 1 and 7", { data: latin1("\x01\0\0\0\x04abcd\x07\0\0\0\0") }),
    ],
  },
  "proto-conn-gzip-bomb": {
    async attack({ port }) {
      const packed = gzipOfZeros(1024);
      const data = concat(Uint8Array.of(1), prefix(packed.length), packed);
      return [await exchange(port, "gzip", { headers: { "grpc-encoding": "gzip" }, data })];
    },
  },
  // The corpus has 65 MB in mind for a service that takes 64; this one takes 128.
  "proto-conn-oversize": {
    attack: async ({ port }) => {
      const length = 129 * MEGABYTE;
      return [await exchange(port, "129 MB", { data: concat(Uint8Array.of(0), prefix(length)), zeros: length })];
    },
  },
  "proto-conn-wrong-path": {
    async attack({ port }) {
      const outcomes = [];
      for (
        const path of [
          "/x.Y/Z",
          "/../../etc/passwd",
          "//",
          `/grpc.reflection.v1.ServerReflection/${"A".repeat(50_000)}`,
        ]
      ) {
        outcomes.push(await exchange(port, path.slice(0, 60), { headers: { ":path": path } }));
      }
      outcomes.push(
        await exchange(port, "GET", { headers: { ":method": "GET" } }),
        await exchange(port, "content-type", { headers: { "content-type": "text/html" } }),
        await sendUntilClosed(port, "HTTP/1.1", latin1("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")),
        await sendUntilClosed(port, "a path of 100,000 bytes", requestWithPath(`/${"A".repeat(100_000)}`)),
      );
      return outcomes;
    },
    instead: { status: "CLOSED", why: "what is not HTTP/2, or too much of it, ends its connection" },
  },
};

/** Sends a task, waits for something, and goes away without a word. */
export async function leaveTask(port: number, request: Uint8Array, meanwhile: () => Promise<void>): Promise<void> {
  const session = await openSession(port);
  const stream = session.request(GRPC);
  stream.on("error", () => {});
  stream.end(concat(Uint8Array.of(0), prefix(request.length), request));
  await meanwhile();
  await closed(session, () => session.destroy());
}

/** What is sent in one exchange. */
interface Sent {
  readonly headers?: Readonly<Record<string, string>>;
  readonly data?: Uint8Array;
  /** How many zeros follow the data. */
  readonly zeros?: number;
}

/** One request on a connection of its own. */
async function exchange(port: number, what: string, { headers, data, zeros = 0 }: Sent): Promise<Outcome> {
  const session = await openSession(port);
  try {
    const stream = session.request({ ...GRPC, ...headers });
    const said: Record<string, unknown> = {};
    let end = "CLOSED";
    stream.on("response", (fields) => Object.assign(said, fields));
    stream.on("trailers", (fields) => Object.assign(said, fields));
    stream.on("error", (error: Error) => end = error.message);
    const parts: Uint8Array[] = [];
    stream.on("data", (part: Uint8Array) => parts.push(part));
    const over = closed(stream, () => {});
    await Promise.race([over, write(stream, data ?? new Uint8Array(), zeros)]);
    await over;
    return outcomeOf(what, said, { message: concat(...parts).subarray(PREFIX_BYTES), end });
  } finally {
    await closed(session, () => session.destroy());
  }
}

function outcomeOf(
  what: string,
  said: Readonly<Record<string, unknown>>,
  { message, end }: { readonly message: Uint8Array; readonly end: string },
): Outcome {
  if (said["grpc-status"] !== undefined) {
    const code = Number(said["grpc-status"]);
    const details = decodeURIComponent(String(said["grpc-message"] ?? ""));
    return outcomeOfTask(what, code === callStatus.OK ? { bytes: message } : { code, details });
  }
  const httpStatus = Number(said[":status"]);
  return { what, statuses: [httpStatus >= 400 && httpStatus < 500 ? "HTTP 4xx" : end], text: "" };
}

/** Writes as fast as the server takes it, and ends the stream. */
async function write(stream: ClientHttp2Stream, data: Uint8Array, zeros: number): Promise<void> {
  const chunk = new Uint8Array(MEGABYTE);
  const send = (bytes: Uint8Array) => new Promise<void>((resolve) => stream.write(bytes, () => resolve()));
  await send(data);
  for (let sent = 0; sent < zeros && !stream.destroyed; sent += chunk.length) await send(chunk);
  stream.end();
}

function openSession(port: number): Promise<ClientHttp2Session> {
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  session.on("error", () => {});
  return new Promise((resolve) => session.once("connect", () => resolve(session)));
}

async function closed(subject: ClientHttp2Session | ClientHttp2Stream, close: () => void): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  subject.once("close", () => resolve());
  close();
  await promise;
}

/** Sends the bytes and waits until the service has closed the connection. */
async function sendUntilClosed(port: number, what: string, bytes: Uint8Array): Promise<Outcome> {
  const socket = connectTcp(port, "127.0.0.1");
  const { promise, resolve } = Promise.withResolvers<void>();
  socket.on("error", () => {});
  socket.on("data", () => {});
  socket.once("close", () => resolve());
  socket.write(bytes);
  await promise;
  return { what, statuses: ["CLOSED"], text: "" };
}

/** A request whose headers take several frames (RFC 9113, 6.2 and 6.10), packed by hand (RFC 7541, 6.2.2). */
function requestWithPath(path: string): Uint8Array {
  const MAX_FRAME_BYTES = 16_384;
  const [HEADERS, SETTINGS, CONTINUATION] = [1, 4, 9];
  const [END_STREAM, END_HEADERS] = [1, 4];
  // :method POST, :scheme http, and :path as a literal that is not indexed.
  const block = concat(Uint8Array.of(0x83, 0x86, 0x04), hpackLength(path.length), latin1(path));
  const frames = [latin1(PREFACE), frame(SETTINGS, 0, 0, new Uint8Array())];
  for (let at = 0; at < block.length; at += MAX_FRAME_BYTES) {
    const isLast = at + MAX_FRAME_BYTES >= block.length;
    const flags = (at === 0 ? END_STREAM : 0) | (isLast ? END_HEADERS : 0);
    frames.push(frame(at === 0 ? HEADERS : CONTINUATION, flags, 1, block.subarray(at, at + MAX_FRAME_BYTES)));
  }
  return concat(...frames);
}

function frame(type: number, flags: number, stream: number, payload: Uint8Array): Uint8Array {
  const header = new Uint8Array(9);
  const view = new DataView(header.buffer);
  view.setUint32(0, payload.length << 8 | type);
  view.setUint8(4, flags);
  view.setUint32(5, stream);
  return concat(header, payload);
}

/** An integer with a prefix of seven bits (RFC 7541, 5.1); this one does not fit into it. */
function hpackLength(length: number): Uint8Array {
  const bytes = [127];
  let rest = length - 127;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push(rest % 128 + 128);
  return Uint8Array.of(...bytes, rest);
}

/** Length of a message as gRPC has it before each. */
function prefix(length: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, length);
  return bytes;
}

/** A gzip of so many megabytes of zeros (RFC 1952): one megabyte, deflated so that it can be repeated. */
function gzipOfZeros(megabytes: number): Uint8Array {
  const zeros = new Uint8Array(MEGABYTE);
  const block = deflateRawSync(zeros, { level: 9, finishFlush: constants.Z_FULL_FLUSH });
  let crc = 0;
  for (let count = 0; count < megabytes; count++) crc = crc32(zeros, crc);
  const header = latin1("\x1f\x8b\x08\0\0\0\0\0\0\xff");
  const end = deflateRawSync(new Uint8Array());
  return concat(
    header,
    ...new Array<Uint8Array>(megabytes).fill(block),
    end,
    u(4, crc),
    u(4, megabytes * MEGABYTE),
  );
}
