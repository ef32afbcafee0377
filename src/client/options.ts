/**
 * Options of the client: types, defaults and checks in one.
 * @module
 */

import { Buffer } from "node:buffer";
import { type ChannelCredentials, type ChannelOptions, credentials } from "@grpc/grpc-js";
import { z } from "zod";

const Pem = z.union([z.string(), z.custom<Uint8Array>((value) => value instanceof Uint8Array)]);

/** How a connection is encrypted; all files as PEM. */
export const TlsOptions = z.strictObject({
  /** Certificates of the authorities to trust; the system's when absent. */
  caCert: Pem.optional(),
  /** The client's own certificate, for services that ask for one. Goes with `clientKey`. */
  clientCert: Pem.optional(),
  /** Private key of `clientCert`. */
  clientKey: Pem.optional(),
  /** Name that the service's certificate must be for, where it is not the host of the address. */
  serverName: z.string().min(1).optional(),
}).refine(({ clientCert, clientKey }) => (clientCert === undefined) === (clientKey === undefined), {
  message: "clientCert and clientKey go together",
});
export type TlsOptions = z.input<typeof TlsOptions>;

/** When and how often a call is made again. */
export const RetryOptions = z.strictObject({
  /** Times that a call is made at most; 1 never makes it again. */
  maxAttempts: z.int().min(1).max(20).default(4),
  /** Longest pause before the second attempt, in milliseconds. It doubles from attempt to attempt. */
  initialBackoffMs: z.int().min(1).default(100),
  /** Longest pause of all, in milliseconds. */
  maxBackoffMs: z.int().min(1).default(5_000),
});
export type RetryOptions = z.output<typeof RetryOptions>;

export const ClientOptions = z.strictObject({
  /** Encryption; none when absent. */
  tls: TlsOptions.optional(),
  /** Bearer token for the `authorization` header. Without `tls` it travels in the clear. */
  token: z.string().min(1).optional(),
  /** Time that a call may take with all its attempts, in milliseconds, where the call names none; streams have none. */
  timeoutMs: z.int().min(1).default(60_000),
  retry: RetryOptions.prefault({}),
  /** Quiet time on a connection in use after which it is probed, in milliseconds. */
  keepaliveTimeMs: z.int().min(1_000).default(60_000),
  /** Time that the probe's answer may take, in milliseconds. */
  keepaliveTimeoutMs: z.int().min(100).default(20_000),
  /** Largest message sent or taken, in bytes; the service's own default is the same. */
  maxMessageBytes: z.int().min(1_024).max(1_073_741_824).default(134_217_728),
});
export type ClientOptions = z.input<typeof ClientOptions>;
/** {@linkcode ClientOptions} with every default filled in. */
export type CompleteClientOptions = z.output<typeof ClientOptions>;

/** Port of the service where an address names none. */
const DEFAULT_PORT = 50051;

/**
 * The address with a port. Addresses with a scheme (`unix:/run/rexec.sock`, `dns:///host:port`) stay as they are.
 * @throws {RangeError} for an address that is empty, or whose port is none
 */
export function normalizeAddress(address: string): string {
  if (/^[a-z0-9-]+:(?!\d+$)/i.test(address) || address.includes("://")) return address;
  const match = /^(\[[^\]]+\]|[^:\s[\]]+)(?::(\d+))?$/.exec(address);
  const port = match?.[2] === undefined ? DEFAULT_PORT : Number(match[2]);
  if (match === null || port < 1 || port > 65_535) {
    throw new RangeError(`Address must be "host", "host:port" or "unix:path", not ${JSON.stringify(address)}`);
  }
  return `${match[1]}:${port}`;
}

/** Credentials for grpc-js. */
export function toCredentials(tls: TlsOptions | undefined): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure();
  const { caCert, clientCert, clientKey } = tls;
  return credentials.createSsl(toBuffer(caCert), toBuffer(clientKey), toBuffer(clientCert));
}

/** Channel options for grpc-js. */
export function toChannelOptions(options: CompleteClientOptions): ChannelOptions {
  const { serverName } = options.tls ?? {};
  return {
    "grpc.keepalive_time_ms": options.keepaliveTimeMs,
    "grpc.keepalive_timeout_ms": options.keepaliveTimeoutMs,
    "grpc.max_send_message_length": options.maxMessageBytes,
    "grpc.max_receive_message_length": options.maxMessageBytes,
    // Two layers of retries would multiply.
    "grpc.enable_retries": 0,
    ...(serverName === undefined ? {} : {
      "grpc.ssl_target_name_override": serverName,
      "grpc.default_authority": serverName,
    }),
  };
}

function toBuffer(pem: string | Uint8Array | undefined): Buffer | null {
  return pem === undefined ? null : Buffer.from(pem);
}
