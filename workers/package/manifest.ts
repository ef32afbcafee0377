/**
 * `manifest.json`, which says what a code package is.
 * @module
 */

import * as z from "zod/mini";
import en from "zod/v4/locales/en.js";
import { malformed } from "./limits.ts";

/** Languages that packages are written in. */
export const RUNTIMES = ["deno", "python"] as const;
/** See {@linkcode RUNTIMES}. */
export type PackageRuntime = typeof RUNTIMES[number];

/** Made when the first manifest comes: a worker that runs a package without one starts the sooner. */
let schema: ReturnType<typeof manifestSchema> | undefined;

/**
 * The manifest. Keys that are not listed are kept: packages made by other versions of the SDK may hold more.
 *
 * The request decides what a task is granted; `permissions` only says what its author expects to need.
 */
function manifestSchema() {
  const lines = z.array(z.string().check(z.minLength(1), z.maxLength(1_000))).check(z.maxLength(1_000));
  const permission = z.union([z.boolean(), lines]);
  const someLines = z.pipe(z.nullish(lines), z.transform((given) => given ?? []));
  const version = z.string().check(
    z.regex(/^\d{1,2}\.\d{1,3}(\.\d{1,3})?\S{0,20}$/, "expected a version such as 3.11"),
  );
  const permissions = z.union([
    lines,
    z.record(z.string().check(z.maxLength(100)), z.union([permission, z.null()])),
  ]);
  return z.looseObject({
    /** Version of the format. */
    version: z.literal("1.0"),
    type: z.literal("code_package"),
    /** Whether `serialized_object.pkl` is there. */
    has_serialized_object: z._default(z.boolean(), false),
    /** Python requirements, as pip reads them. */
    pip_requirements: someLines,
    /** Files that the package was made from; the only one is run when no entry point names another. */
    entry_files: someLines,
    /** Modules from outside that the code imports: `npm:zod@4`, `jsr:@std/path@1`. */
    dependencies: someLines,
    /** Inferred from the files where it is missing. */
    runtime: z.optional(z.enum(RUNTIMES)),
    /** Python that a serialized object was made by, `3.11` or `3.11.2`. */
    python_version: z.pipe(z.nullish(version), z.transform((given) => given ?? undefined)),
    permissions: z.pipe(z.nullish(permissions), z.transform((given) => given ?? undefined)),
  });
}

/** What a manifest says, with defaults for what it leaves out. */
export type Manifest = z.output<ReturnType<typeof manifestSchema>>;

/** The small zod brings no texts of its own. */
const ENGLISH = en().localeError;

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
  schema ??= manifestSchema();
  const result = schema.safeParse(parseJson(bytes), { error: ENGLISH });
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
