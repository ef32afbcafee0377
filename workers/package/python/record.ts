/**
 * Lists of a package's files
 * (https://packaging.python.org/en/latest/specifications/recording-installed-packages/#the-record-file).
 * @module
 */

import { UnusablePackageError } from "./distribution.ts";

/** A file of a record. */
export interface RecordEntry {
  readonly path: string;
  /** `sha256=…`, in base64 for URLs without padding; empty for none. */
  readonly hash: string;
  /** In bytes; empty for none. */
  readonly size: string;
}

/** Digests that a record may have, by the names of WebCrypto. The specification forbids weaker ones. */
const ALGORITHMS: Readonly<Record<string, string>> = { sha256: "SHA-256", sha384: "SHA-384", sha512: "SHA-512" };

/** Reads a record: CSV with `,` and `"`, as Python's `csv` writes it. */
export function parseRecord(text: string): RecordEntry[] {
  const rows = text.split(/\r?\n/).filter((line) => line !== "");
  return rows.map((row) => {
    const fields = [...row.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)];
    const [path = "", hash = "", size = ""] = fields.map(([, quoted, plain]) =>
      quoted?.replaceAll('""', '"') ?? plain ?? ""
    );
    return { path, hash, size };
  });
}

/**
 * Compares files with their record, as installers must: every file is there, is listed once, and has its digest.
 * @param record path of the record, which cannot list its own digest; nor can its signatures
 * @throws {UnusablePackageError} naming the file
 */
export async function verifyRecord(files: ReadonlyMap<string, Uint8Array>, record: string): Promise<void> {
  const entries = parseRecord(new TextDecoder().decode(files.get(record)));
  const open = new Set(files.keys());
  for (const own of [record, `${record}.jws`, `${record}.p7s`]) open.delete(own);
  const listed = new Set<string>();
  for (const { path, hash, size } of entries) {
    if (listed.has(path)) throw new UnusablePackageError(`its RECORD lists ${JSON.stringify(path)} twice`);
    listed.add(path);
    if (path.startsWith(record)) continue;
    const content = files.get(path);
    if (content === undefined) {
      throw new UnusablePackageError(`it lacks ${JSON.stringify(path)}, which its RECORD lists`);
    }
    open.delete(path);
    const isSame = (size === "" || Number(size) === content.length) && await hasHash(content, hash);
    if (!isSame) throw new UnusablePackageError(`its ${JSON.stringify(path)} is not the file that its RECORD lists`);
  }
  for (const path of open) {
    throw new UnusablePackageError(`its RECORD does not list ${JSON.stringify(path)}`);
  }
}

async function hasHash(content: Uint8Array, hash: string): Promise<boolean> {
  const [name = "", digest = ""] = hash.split("=");
  if (!Object.hasOwn(ALGORITHMS, name)) return false;
  return (await digestOf(content, name)).toBase64({ alphabet: "base64url", omitPadding: true }) === digest;
}

/** The digest of bytes by `sha256`, `sha384` or `sha512`. */
export async function digestOf(content: Uint8Array, name: string): Promise<Uint8Array> {
  const algorithm = Object.hasOwn(ALGORITHMS, name) ? ALGORITHMS[name] : undefined;
  if (algorithm === undefined) throw new RangeError(`Cannot compute digest: ${JSON.stringify(name)} is not offered`);
  // The types leave open that memory is shared, which no file's is.
  return new Uint8Array(await crypto.subtle.digest(algorithm, content as Uint8Array<ArrayBuffer>));
}
