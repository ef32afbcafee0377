/**
 * What the server asks an installer for, and what it answers. Imports nothing: both sides share this file.
 *
 * The request is the input of a task whose host has network to one registry, and the answer its output. The answer is
 * made by code that has read strangers' archives: the server bounds it, checks its shape, and looks no further into it.
 *
 * @module
 */

/** Packages of npm that are to be installed, and the policy's rules for them. */
export interface NpmInstallRequest {
  readonly kind: "npm";
  /** Base URL of the registry, the only one that is asked. */
  readonly registry: string;
  /** Authorities of its certificate beside the usual ones, in PEM. */
  readonly caCerts: readonly string[];
  /** As declared: `npm:name@range`, or without the prefix. */
  readonly requirements: readonly string[];
  /** Names that may be installed: `zod`, `@scope/*`, `*`. */
  readonly allow: readonly string[];
  /** A version that was published later is not installed. */
  readonly minimumAgeDays: number;
  /** Packages of one layer, those that others need included. */
  readonly maxPackages: number;
  /** What they may have together once unpacked, in bytes. */
  readonly maxBytes: number;
  /** The time, in milliseconds since 1970. */
  readonly nowMs: number;
}

/** What a code package declares by itself, in its manifest. */
export interface ReadRequirementsRequest {
  readonly kind: "requirements";
}

/** What an installer may be asked for. */
export type InstallRequest = NpmInstallRequest | ReadRequirementsRequest;

/** What became of it, before the layer. */
export interface InstallAnswer {
  /** What was installed, `npm:zod@4.1.5` each; or what the code package declares. */
  readonly lines: readonly string[];
}

/** Joins the answer and the layer. */
export function encodeInstallAnswer(answer: InstallAnswer, layer: Uint8Array): Uint8Array {
  const head = new TextEncoder().encode(JSON.stringify(answer));
  const bytes = new Uint8Array(4 + head.length + layer.length);
  new DataView(bytes.buffer).setUint32(0, head.length, true);
  bytes.set(head, 4);
  bytes.set(layer, 4 + head.length);
  return bytes;
}

/**
 * Takes an answer apart; whoever asked validates its shape. The layer is a view.
 * @throws {RangeError} when it is cut off
 * @throws {SyntaxError} when its head is not JSON
 */
export function splitInstallAnswer(bytes: Uint8Array): { readonly answer: unknown; readonly layer: Uint8Array } {
  const length = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0, true);
  if (length > bytes.length - 4) throw new RangeError("Cannot read the installer's answer: it is cut off");
  const answer: unknown = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  return { answer, layer: bytes.subarray(4 + length) };
}
