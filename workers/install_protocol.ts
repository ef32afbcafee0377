/**
 * What the server asks an installer for, and what it answers. Imports nothing: both sides share this file.
 *
 * The request is the input of a task whose host has network to one registry, and the answer its output. The answer is
 * made by code that has read strangers' archives: the server bounds it, checks its shape, and looks no further into it.
 *
 * @module
 */

/** What is to be installed, and the policy's rules for it. */
interface Installation {
  /** Authorities of the registry's certificate beside the usual ones, in PEM. */
  readonly caCerts: readonly string[];
  /** As declared: `npm:name@range`, with or without the prefix, or lines as in a requirements file of Python's. */
  readonly requirements: readonly string[];
  /** Names that may be installed from the registry: `zod`, `@scope/*`, `acme-*`, `*`. */
  readonly allow: readonly string[];
  /** What was published later is not installed. */
  readonly minimumAgeDays: number;
  /** Packages of one layer, those that others need included. */
  readonly maxPackages: number;
  /** What they may have together once unpacked, in bytes. */
  readonly maxBytes: number;
  /** The time, in milliseconds since 1970. */
  readonly nowMs: number;
}

/** Packages of npm that are to be installed. */
export interface NpmInstallRequest extends Installation {
  readonly kind: "npm";
  /** Base URL of the registry, the only one that is asked. */
  readonly registry: string;
}

/** A package of the service's own, as an installer has to know it. Its files stay where they are. */
export interface LocalPackage {
  /** Normalised. */
  readonly name: string;
  /** `null` where nothing says it. */
  readonly version: string | null;
  /** Name of the wheel's file; `null` for a folder. */
  readonly wheel: string | null;
  /** Digest of the wheel's file in hexadecimal, where somebody asks for it. */
  readonly sha256: string | null;
  /** Why it cannot be used, as the end of a sentence about it; `null` when it can. */
  readonly unusable: string | null;
  /** Texts of its metadata; empty where it cannot be used. */
  readonly headers: string;
  readonly requiresText: string | null;
}

/** Packages of Python that are to be installed. */
export interface PythonInstallRequest extends Installation {
  readonly kind: "python";
  /** Base URL of the index, the only one that is asked (PEP 503, PEP 691). */
  readonly index: string;
  /** Hosts where its files may lie, beside its own: `name`, or `name:port`. */
  readonly fileHosts: readonly string[];
  /** Of the sandbox that they are for, `3.14` say. */
  readonly version: string;
  /** Names of which the service has packages of its own: the index is never asked for them. Normalised. */
  readonly localNames: readonly string[];
  /** Those packages, as far as the service knows that they are needed. */
  readonly local: readonly LocalPackage[];
}

/** What a code package declares by itself, in its manifest. */
export interface ReadRequirementsRequest {
  readonly kind: "requirements";
}

/** What an installer may be asked for. */
export type InstallRequest = NpmInstallRequest | PythonInstallRequest | ReadRequirementsRequest;

/** What became of it, before the layer. */
export interface InstallAnswer {
  /**
   * For npm what was installed, `npm:zod@4.1.5` each; what the code package declares; for Python `attrs==25.3.0` for each
   * package of the index, `local 3` for each of the request's own by its place there, or `unknown numpy` alone for names of
   * the service's packages that the request has to describe first.
   */
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
