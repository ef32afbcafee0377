/**
 * The reference of the unary benchmarks: a bare grpc-js server that answers with the bytes it got.
 * Prints its port as a line of JSON and serves until its standard input ends.
 *
 * @module
 */

import { Server, ServerCredentials } from "@grpc/grpc-js";
import type { Buffer } from "node:buffer";

const server = new Server();
const identity = (bytes: Buffer) => bytes;
server.addService({
  echo: {
    path: "/benchmark.Echo/Echo",
    requestStream: false,
    responseStream: false,
    requestSerialize: identity,
    requestDeserialize: identity,
    responseSerialize: identity,
    responseDeserialize: identity,
  },
}, {
  echo(call: { request: Buffer }, callback: (error: null, response: Buffer) => void) {
    callback(null, call.request);
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
