/**
 * Calls with certificates and tokens, and the certificates of tests/data/tls.
 * @module
 */

import { mendGrpc } from "../../src/client/mend_grpc.ts";
import {
  type ChannelCredentials,
  type ChannelOptions,
  credentials,
  Metadata,
  type ServiceError,
  type StatusObject,
} from "@grpc/grpc-js";
import { Buffer } from "node:buffer";
import { RemoteExecutionServiceClient } from "../../protos/generated/execution.ts";

const FOLDER = new URL("../data/tls/", import.meta.url);

/** Path of a certificate or key, `client.pem` say. */
export function tlsFile(name: string): string {
  return new URL(name, FOLDER).pathname;
}

/** Contents of a certificate or key. */
export function tlsBytes(name: string): Buffer {
  return Buffer.from(Deno.readFileSync(tlsFile(name)));
}

/** Credentials that trust the test authority, and show a client certificate when one is named. */
export function tlsCredentials(client?: string): ChannelCredentials {
  if (client === undefined) return credentials.createSsl(tlsBytes("ca.pem"));
  return credentials.createSsl(tlsBytes("ca.pem"), tlsBytes(`${client}.key`), tlsBytes(`${client}.pem`));
}

/** What came of a call. */
export type CallEnd =
  | { readonly ok: true; readonly nodes: number }
  | { readonly ok: false; readonly code: number; readonly details: string; readonly metadata: Metadata };

/** Calls ListNodes over a connection of its own. */
export async function listNodes(
  address: string,
  { channel = credentials.createInsecure(), headers = {}, options = {} }: {
    readonly channel?: ChannelCredentials;
    readonly headers?: Readonly<Record<string, string>>;
    readonly options?: ChannelOptions;
  } = {},
): Promise<CallEnd> {
  mendGrpc();
  const stub = new RemoteExecutionServiceClient(address, channel, { "grpc.use_local_subchannel_pool": 1, ...options });
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  try {
    return await new Promise<CallEnd>((resolve) => {
      stub.listNodes({ category: "" }, metadata, (error: ServiceError | null, response) => {
        if (error === null) resolve({ ok: true, nodes: response.availableNodes.length });
        else resolve({ ok: false, code: error.code, details: error.details, metadata: error.metadata });
      });
    });
  } finally {
    stub.close();
  }
}

/** Opens a StreamNode call and tells how it ends; nothing is sent. */
export async function openStream(
  address: string,
  { channel = credentials.createInsecure(), headers = {} }: {
    readonly channel?: ChannelCredentials;
    readonly headers?: Readonly<Record<string, string>>;
  } = {},
): Promise<StatusObject> {
  mendGrpc();
  const stub = new RemoteExecutionServiceClient(address, channel, { "grpc.use_local_subchannel_pool": 1 });
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  try {
    return await new Promise<StatusObject>((resolve) => {
      const call = stub.streamNode(metadata);
      call.on("status", resolve);
      call.on("error", () => {});
      call.on("data", () => {});
      call.end();
    });
  } finally {
    stub.close();
  }
}
