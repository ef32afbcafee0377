/**
 * A grpc-js client of the unary benchmarks: sends a number of calls, so many at once, and fails on the first error.
 * Arguments: port, path, message as base64, calls, calls at once.
 *
 * @module
 */

import { Client, credentials } from "@grpc/grpc-js";
import { Buffer } from "node:buffer";

const [port, path, message, calls, concurrency] = Deno.args;
if (port === undefined || path === undefined || message === undefined) throw new TypeError("Arguments are missing");
const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
const identity = (bytes: Buffer) => bytes;
const request = Buffer.from(message, "base64");
let left = Number(calls);

async function sendAll(): Promise<void> {
  while (left-- > 0) {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    client.makeUnaryRequest(path ?? "", identity, identity, request, (error) => error ? reject(error) : resolve());
    await promise;
  }
}

await Promise.all(Array.from({ length: Number(concurrency) }, sendAll));
client.close();
