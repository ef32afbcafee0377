/**
 * The reference of the benchmarks: a bare grpc-js server that answers each message with the bytes it got, one call at a
 * time (`Echo`) and in streams both ways (`EchoStream`).
 * Prints its port as a line of JSON and serves until its standard input ends.
 *
 * @module
 */

import { Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import type { Buffer } from "node:buffer";

const server = new Server();
const identity = (bytes: Buffer) => bytes;
const AS_THEY_ARE = {
  requestSerialize: identity,
  requestDeserialize: identity,
  responseSerialize: identity,
  responseDeserialize: identity,
};
server.addService({
  echo: { path: "/benchmark.Echo/Echo", requestStream: false, responseStream: false, ...AS_THEY_ARE },
  echoStream: { path: "/benchmark.Echo/EchoStream", requestStream: true, responseStream: true, ...AS_THEY_ARE },
}, {
  echo(call: { request: Buffer }, callback: (error: null, response: Buffer) => void) {
    callback(null, call.request);
  },
  echoStream(call: ServerDuplexStream<Buffer, Buffer>) {
    call.on("data", (bytes: Buffer) => call.write(bytes));
    call.on("end", () => call.end());
  },
});
const { promise, resolve, reject } = Promise.withResolvers<number>();
server.bindAsync(
  "127.0.0.1:0",
  ServerCredentials.createInsecure(),
  (error, port) => error ? reject(error) : resolve(port),
);
console.log(JSON.stringify({ port: await promise }));
await Deno.stdin.readable.pipeTo(new WritableStream());
server.forceShutdown();
