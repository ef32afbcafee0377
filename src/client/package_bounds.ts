/**
 * How large a code package may be.
 * @module
 */

/** Bounds of a package. The service's own rule in the end; these keep a wrong folder from being read and sent. */
export interface PackageBounds {
  readonly maxFiles: number;
  /** All files together, in bytes. */
  readonly maxBytes: number;
  /** The package, in bytes. */
  readonly maxPackageBytes: number;
}

/** The defaults of the service's policy. */
export const DEFAULT_PACKAGE_BOUNDS: PackageBounds = {
  maxFiles: 10_000,
  maxBytes: 256 * 2 ** 20,
  maxPackageBytes: 64 * 2 ** 20,
};

/** A size for people. */
export function megabytes(bytes: number): string {
  return bytes < 2 ** 20 ? `${bytes} bytes` : `${(bytes / 2 ** 20).toFixed(1)} MB`;
}
