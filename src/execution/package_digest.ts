/**
 * What code packages are known by.
 * @module
 */

import { createHash } from "node:crypto";

/** Longer ones are digested by another thread: this one has other calls to answer meanwhile. */
const SHORT_BYTES = 64 * 1024;

/** SHA-256 of a package, in hex: two packages with the same digest are the same. */
export async function packageDigestOf(codePackage: Uint8Array): Promise<string> {
  if (codePackage.length <= SHORT_BYTES) return createHash("sha256").update(codePackage).digest("hex");
  // The bytes came from the wire: never shared.
  const digest = await crypto.subtle.digest("SHA-256", codePackage as Uint8Array<ArrayBuffer>);
  return new Uint8Array(digest).toHex();
}
