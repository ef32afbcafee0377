import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { ConnectionFlow, MESSAGE_HEAD_BYTES } from "../../src/rpc/streams/connection_flow.ts";
import { concat } from "../support/zip_writer.ts";

const DATA = 0;
const HEADERS = 1;
const WINDOW_UPDATE = 8;
const PADDED = 8;

/** What a connection's flow needs of its socket. */
class FakeSocket extends EventEmitter {
  writableLength = 0;
}

function start() {
  const socket = new FakeSocket();
  // Nothing else of a socket is used.
  return { socket, flow: new ConnectionFlow(socket as unknown as Socket) };
}

/** A frame of HTTP/2 (RFC 9113, 4.1) whose payload looks like heads of DATA frames. */
function frame(type: number, streamId: number, payloadBytes: number, flags = 0): Uint8Array {
  const bytes = new Uint8Array(9 + payloadBytes);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, payloadBytes >> 16);
  view.setUint16(1, payloadBytes & 0xffff);
  view.setUint8(3, type);
  view.setUint8(4, flags);
  view.setUint32(5, streamId);
  for (let at = 9; at < bytes.length; at++) bytes[at] = at % 9 === 0 ? 1 : 0;
  return bytes;
}

Deno.test("ConnectionFlow counts DATA of each stream wherever the frames are cut", () => {
  const bytes = concat(
    frame(HEADERS, 1, 30),
    frame(DATA, 1, 100),
    frame(DATA, 3, 0),
    frame(WINDOW_UPDATE, 1, 4),
    frame(DATA, 5, 11),
    frame(DATA, 1, 1),
    frame(DATA, 3, 7, PADDED),
  );
  for (let cut = 0; cut <= bytes.length; cut++) {
    const { flow } = start();
    const [one, three] = [flow.open(1), flow.open(3)];
    one.wrote(200);
    three.wrote(20);
    flow.observe(bytes.subarray(0, cut));
    flow.observe(bytes.subarray(cut));
    assert.deepEqual(
      [one.unreadBytes, three.unreadBytes],
      [200 + MESSAGE_HEAD_BYTES - 101, 20 + MESSAGE_HEAD_BYTES - 7],
      `cut at ${cut}`,
    );
  }
  const { flow } = start();
  const one = flow.open(1);
  one.wrote(200);
  for (const byte of bytes) flow.observe(Uint8Array.of(byte));
  assert.equal(one.unreadBytes, 200 + MESSAGE_HEAD_BYTES - 101);
});

Deno.test("ConnectionFlow reads lengths and ids of every size", () => {
  const { flow } = start();
  const last = flow.open(0x7fff_ffff);
  last.wrote(0xff_ffff);
  // The first bit of an id is reserved, and to be ignored.
  flow.observe(frame(DATA, 0xffff_ffff, 0xff_ffff));
  assert.equal(last.unreadBytes, MESSAGE_HEAD_BYTES);
});

Deno.test("StreamFlow.unreadBytes comes back to nothing, however messages were cut into frames", () => {
  const { flow } = start();
  const stream = flow.open(1);
  let written = 0;
  for (let message = 0; message < 50; message++) {
    stream.wrote(message * 7);
    written += message * 7 + MESSAGE_HEAD_BYTES;
  }
  for (let left = written; left > 0;) {
    const part = Math.min(left, 1 + left % 97);
    flow.observe(frame(DATA, 1, part));
    left -= part;
    assert.equal(stream.unreadBytes, left);
  }
});

Deno.test("StreamFlow.unreadBytes is at least what the socket holds", () => {
  const { socket, flow } = start();
  const stream = flow.open(1);
  stream.wrote(10);
  socket.writableLength = 5_000;
  assert.equal(stream.unreadBytes, 5_000);
  socket.writableLength = 0;
  assert.equal(stream.unreadBytes, 10 + MESSAGE_HEAD_BYTES);
});

Deno.test("StreamFlow.onSent is called once a turn, and when the socket is empty, for every stream that awaits it", async () => {
  const { socket, flow } = start();
  const calls: string[] = [];
  const one = flow.open(1);
  one.onSent = () => calls.push("one") > 0;
  const three = flow.open(3);
  three.onSent = () => calls.push("three") > 0;
  const five = flow.open(5);
  five.onSent = () => calls.push("five") < 0;
  const seven = flow.open(7);
  seven.onSent = () => calls.push("seven") > 0;
  for (const stream of [one, three, five]) stream.awaitSent();
  flow.observe(concat(frame(DATA, 1, 5), frame(DATA, 1, 5)));
  assert.deepEqual(calls, [], "not within the write itself");
  await Promise.resolve();
  assert.deepEqual(calls, ["one", "three", "five"]);
  socket.emit("drain");
  one[Symbol.dispose]();
  await Promise.resolve();
  assert.deepEqual(calls, ["one", "three", "five", "three"]);
  flow.observe(frame(HEADERS, 3, 5));
  three[Symbol.dispose]();
  flow.observe(frame(DATA, 3, 5));
  socket.emit("drain");
  await Promise.resolve();
  assert.deepEqual(calls, ["one", "three", "five", "three"], "nothing of what is forgotten");
});
