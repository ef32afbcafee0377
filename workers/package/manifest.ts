/**
 * `manifest.json`, which says what a code package is.
 * @module
 */

import * as z from "zod";
import { malformed } from "./limits.ts";

const LINES = z.array(z.string().min(1).max(1_000)).max(1_000);
const PERMISSION = z.union([z.boolean(), z.array(z.string().min(1).max(1_000)).max(1_000)]);

/** Languages that packages are written in. */
export const RUNTIMES = ["deno", "python"] as const;
/** See {@linkcode RUNTIMES}. */
export type PackageRuntime = typeof RUNTIMES[number];

/**
 * The manifest. Keys that are not listed are kept: packages made by other versions of the SDK may hold more.
 *
 * The request decides what a task is granted; `permissions` only says what its author expects to need.
 */
export const Manifest = z.looseObject({
  /** Version of the format. */
  version: z.literal("1.0"),
  type: z.literal("code_package"),
  /** Whether `serialized_object.pkl` is there. */
  has_serialized_object: z.boolean().default(false),
  /** Python requirements, as pip reads them. */
  pip_requirements: LINES.nullish().transform((lines) => lines ?? []),
  /** Files that the package was made from; the only one is run when no entry point names another. */
  entry_files: LINES.nullish().transform((lines) => lines ?? []),
  /** Modules from outside that the code imports: `npm:zod@4`, `jsr:@std/path@1`. */
  dependencies: LINES.nullish().transform((lines) => lines ?? []),
  /** Inferred from the files where it is missing. */
  runtime: z.enum(RUNTIMES).optional(),
  /** Python that a serialized object was made by, `3.11` or `3.11.2`. */
  python_version: z.string().regex(/^\d{1,2}\.\d{1,3}(\.\d{1,3})?\S{0,20}$/, "expected a version such as 3.11")
    .nullish()
    .transform((version) => version ?? undefined),
  permissions: z.union([
    LINES,
    z.record(z.string().max(100), z.union([PERMISSION, z.null()])),
  ]).nullish().transform((permissions) => permissions ?? undefined),
});
/** See {@linkcode Manifest}. */
export type Manifest = z.output<typeof Manifest>;

/** Size above which a manifest is not looked at. */
const MAX_MANIFEST_BYTES = 2 ** 20;

/**
 * Reads a manifest.
 * @throws {TaskError} `INVALID_TASK` with every fault that it has
 */
export function parseManifest(bytes: Uint8Array): Manifest {
  if (bytes.length > MAX_MANIFEST_BYTES) {
    throw malformed(`manifest.json is limited to ${MAX_MANIFEST_BYTES} bytes, and it has ${bytes.length}`);
  }
  const result = Manifest.safeParse(parseJson(bytes));
  if (result.success) return result.data;
  const faults = result.error.issues.slice(0, 20).map((issue) =>
    `${issue.path.map(String).join(".") || "manifest.json"}: ${issue.message}`
  );
  throw malformed(`manifest.json is not valid: ${faults.join("; ").slice(0, 4_000)}`);
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.slice(0, 300) : "it cannot be parsed";
    throw malformed(`manifest.json is not JSON: ${reason}`, { cause });
  }
}
