/**
 * Reads an npm package's archive: a gzip (RFC 1952) of a tar (POSIX.1-2017 pax, and GNU's long names) of plain files.
 *
 * Nothing is written, no declared size is believed, and whatever an honest package has no need of is refused: links,
 * devices, paths that lead out, two files at one place.
 *
 * @module
 */

import { faultOfPath, PathRegister } from "../entry_name.ts";
import { show } from "../limits.ts";
import { joinPieces } from "../../protocol.ts";
import { TaskError } from "../../task_error.ts";

const BLOCK_BYTES = 512;
/** Longest extended header that is read; npm's own hold a path. */
const MAX_HEADER_BYTES = 64 * 1024;
const MAX_PATH_BYTES = 400;
const MAX_PATH_DEPTH = 30;

/** What the files of an archive may take. */
export interface ArchiveLimits {
  /** Unpacked, padding and headers included, in bytes. */
  readonly maxBytes: number;
  readonly maxFiles: number;
}

/**
 * Gives the files of an archive by their paths, without the folder that they all lie in.
 *
 * @param name of the package, for messages
 * @throws {TaskError} `SECURITY_VIOLATION` when it is made to deceive, `RESOURCE_LIMIT` when it is too large, `INVALID_TASK` when
 * it is damaged
 */
export async function readTarball(
  name: string,
  packed: Uint8Array<ArrayBuffer>,
  limits: ArchiveLimits,
): Promise<Map<string, Uint8Array>> {
  const tar = await unzip(name, packed, limits.maxBytes);
  const files = new Map<string, Uint8Array>();
  const register = new PathRegister();
  let longPath: string | undefined;
  for (let at = 0; at + BLOCK_BYTES <= tar.length;) {
    const header = tar.subarray(at, at + BLOCK_BYTES);
    // Two empty blocks end it; one is enough for us.
    if (header.every((byte) => byte === 0)) break;
    if (!hasGoodChecksum(header)) throw damaged(name, "a header's checksum does not match");
    const size = octal(header, 124, 12);
    const start = at + BLOCK_BYTES;
    const end = start + (size ?? Infinity);
    if (size === undefined || end > tar.length) throw damaged(name, "a file is longer than the archive");
    const content = tar.subarray(start, end);
    at = start + Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
    const type = String.fromCharCode(header[156] ?? 0);
    if ("xgL".includes(type)) {
      if (size > MAX_HEADER_BYTES) throw hostileArchive(name, "an extended header is too long");
      longPath = type === "L" ? text(content) : paxPath(content) ?? longPath;
      continue;
    }
    const whole = longPath ?? ustarPath(header);
    longPath = undefined;
    // The folder of a folder entry need not be there.
    if (type === "5") continue;
    if (type !== "0" && type !== "\0") {
      throw hostileArchive(name, `the entry ${show(whole)} is no plain file: links and devices are refused`);
    }
    const path = whole.slice(whole.indexOf("/") + 1);
    const fault = whole.startsWith("/") || whole.includes("/") === false ? "lies outside" : faultOfPath(whole);
    if (fault !== undefined) throw hostileArchive(name, `the path ${show(whole)} ${fault}`);
    if (path.length > MAX_PATH_BYTES || path.split("/").length > MAX_PATH_DEPTH) {
      throw hostileArchive(name, `the path ${show(path)} is too long`);
    }
    register.add(path, false);
    files.set(path, content);
    if (files.size > limits.maxFiles) {
      throw new TaskError("RESOURCE_LIMIT", `Cannot unpack ${show(name)}: it has more than ${limits.maxFiles} files`);
    }
  }
  if (files.size === 0) throw damaged(name, "it has no files");
  return files;
}

/** Unpacks into one buffer, and stops at the first byte that is too many. */
async function unzip(name: string, packed: Uint8Array<ArrayBuffer>, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))) {
      length += chunk.length;
      if (length > maxBytes) {
        throw new TaskError(
          "RESOURCE_LIMIT",
          `Cannot unpack ${
            show(name)
          }: all packages together are limited by the policy (packages.npm.maxMb), and it is more than what is left of that, ${maxBytes} bytes`,
        );
      }
      chunks.push(chunk);
    }
  } catch (cause) {
    if (cause instanceof TaskError) throw cause;
    throw damaged(name, "it is no gzip", cause);
  }
  return joinPieces(chunks, length);
}

/** The sum of a header's bytes, its own field taken as spaces. */
function hasGoodChecksum(header: Uint8Array): boolean {
  let sum = 0;
  for (const [index, byte] of header.entries()) sum += index >= 148 && index < 156 ? 0x20 : byte;
  return octal(header, 148, 8) === sum;
}

function octal(header: Uint8Array, offset: number, length: number): number | undefined {
  const digits = text(header.subarray(offset, offset + length)).trim();
  return /^[0-7]{1,11}$/.test(digits) ? Number.parseInt(digits, 8) : undefined;
}

/** Text up to the first NUL. */
function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}

function ustarPath(header: Uint8Array): string {
  const path = text(header.subarray(0, 100));
  const isUstar = text(header.subarray(257, 262)) === "ustar";
  const prefix = isUstar ? text(header.subarray(345, 500)) : "";
  return prefix === "" ? path : `${prefix}/${path}`;
}

/** `path` of an extended header: `<length> path=<value>\n`. */
function paxPath(content: Uint8Array): string | undefined {
  return /(?:^|\n)\d+ path=([^\n]*)\n/.exec(new TextDecoder().decode(content))?.[1];
}

function damaged(name: string, state: string, cause?: unknown): TaskError {
  return new TaskError("INVALID_TASK", `Cannot unpack ${show(name)}: ${state}`, { cause });
}

function hostileArchive(name: string, state: string): TaskError {
  return new TaskError("SECURITY_VIOLATION", `Cannot unpack ${show(name)}: ${state}`);
}
