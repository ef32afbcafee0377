/**
 * TLS of the listener: files checked at start, and the name that a client's certificate gives its caller.
 * @module
 */

import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { createServer, type Server, type TLSSocket } from "node:tls";
import { CALLER_NAME } from "../config/mod.ts";
import type { ServerOptions } from "../config/schema.ts";
import { messageOf, ServiceError } from "../errors.ts";
import { ANONYMOUS } from "../execution/callers.ts";
import { serviceLogger } from "../logging/mod.ts";

const logger = serviceLogger("rpc", "tls");

/** What TLS needs, read and checked. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  /** Present when clients have to show a certificate. */
  readonly ca: string | undefined;
}

/**
 * Reads and checks the files that the settings name. A certificate that is not valid today is used with a warning: the
 * service is not what decides whether clients take it.
 *
 * @param now milliseconds since the epoch
 * @returns `undefined` when the settings ask for no TLS
 * @throws {ServiceError} `CONFIG_INVALID`: a file is missing or holds something else, or the key is another's
 */
export function loadTls(options: ServerOptions["tls"], now: number): TlsFiles | undefined {
  const { certFile, keyFile, clientCaFile } = options;
  if (certFile === null || keyFile === null) return undefined;
  const cert = read(certFile, "certFile");
  const [certificate] = certificates(cert, certFile, "certFile");
  const key = read(keyFile, "keyFile");
  if (!certificate!.checkPrivateKey(privateKey(key, keyFile))) {
    throw new ServiceError(
      "CONFIG_INVALID",
      `Cannot use TLS: the key "${keyFile}" (server.tls.keyFile) is not that of the certificate "${certFile}" (server.tls.certFile)`,
    );
  }
  warnIfReadable(keyFile);
  warnIfInvalid(certificate!, certFile, now);
  if (clientCaFile === null) return { cert, key, ca: undefined };
  const ca = read(clientCaFile, "clientCaFile");
  for (const authority of certificates(ca, clientCaFile, "clientCaFile")) warnIfInvalid(authority, clientCaFile, now);
  return { cert, key, ca };
}

/**
 * A TLS server that does not listen: sockets are given to it with `emit("connection", socket)`, and come back secured
 * with its event `secureConnection`.
 *
 * Client certificates are either demanded or not asked for. To ask for them without demanding them is not safe on Deno
 * 2.9.3: a client whose certificate was not accepted resumes its session, and is then reported as authorized.
 */
export function createTlsServer({ cert, key, ca }: TlsFiles, handshakeTimeout: number): Server {
  return createServer({
    cert,
    key,
    ...(ca === undefined ? {} : { ca }),
    requestCert: ca !== undefined,
    rejectUnauthorized: true,
    minVersion: "TLSv1.2",
    ALPNProtocols: ["h2"],
    handshakeTimeout,
  });
}

/**
 * The caller that a client's certificate names: the common name of its subject, or else the only DNS name or URI among
 * its alternative names.
 *
 * @returns `undefined` when there is no certificate, or none of its names can be a caller's
 */
export function callerOfCertificate(socket: TLSSocket): string | undefined {
  if (!socket.authorized) return undefined;
  const certificate = socket.getPeerCertificate();
  if (certificate?.raw === undefined) return undefined;
  // Two common names come as a list, whatever the type says, and name nobody.
  const commonName: unknown = certificate.subject?.CN;
  const name = commonName ?? onlyAlternativeName(certificate.subjectaltname ?? "");
  return typeof name === "string" && CALLER_NAME.test(name) && name !== ANONYMOUS ? name : undefined;
}

/** Names with a comma or quotes are written with quotes around them, which no caller's name has. */
function onlyAlternativeName(names: string): string | undefined {
  const found = names.split(", ").flatMap((name) => /^(?:DNS|URI):(.+)$/.exec(name)?.[1] ?? []);
  return found.length === 1 ? found[0] : undefined;
}

function read(path: string, setting: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (cause) {
    const problem = cause instanceof Deno.errors.NotFound ? "there is no such file" : messageOf(cause);
    throw new ServiceError("CONFIG_INVALID", `Cannot read "${path}" (server.tls.${setting}): ${problem}`, { cause });
  }
}

function certificates(pem: string, path: string, setting: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  try {
    if (blocks.length > 0) return blocks.map((block) => new X509Certificate(block));
  } catch (cause) {
    throw new ServiceError("CONFIG_INVALID", `Cannot use "${path}" (server.tls.${setting}): ${messageOf(cause)}`, {
      cause,
    });
  }
  throw new ServiceError("CONFIG_INVALID", `Cannot use "${path}" (server.tls.${setting}): it holds no PEM certificate`);
}

function privateKey(pem: string, path: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    throw new ServiceError(
      "CONFIG_INVALID",
      `Cannot use "${path}" (server.tls.keyFile): it holds no PEM private key, or one with a passphrase`,
      { cause },
    );
  }
}

function warnIfInvalid(certificate: X509Certificate, path: string, now: number): void {
  const { validFrom, validTo, subject } = certificate;
  if (Date.parse(validTo) < now) {
    logger.warn("Certificate {subject} in {path} has expired: it was valid until {validTo}", {
      subject,
      path,
      validTo,
    });
  } else if (Date.parse(validFrom) > now) {
    logger.warn("Certificate {subject} in {path} is not valid before {validFrom}", { subject, path, validFrom });
  }
}

function warnIfReadable(path: string): void {
  const { mode } = Deno.statSync(path);
  if (mode !== null && (mode & 0o004) !== 0) {
    logger.warn("Every user of this machine can read the private key {path}: chmod 600 it", { path });
  }
}
