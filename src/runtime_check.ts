/**
 * Refuses versions of Deno on which the service is known not to work.
 * @module
 */
import { ServiceError } from "./errors.ts";

/** The version that everything here is tested and measured on. */
export const PINNED_DENO_VERSION = "2.9.3";

/** Environment variable that lets versions start about which nothing is known. It does not let known-bad ones start. */
export const ALLOW_UNTESTED_VARIABLE = "REXEC_ALLOW_UNTESTED_DENO";

const WHAT_TO_RUN = `Run \`npx -y deno@${PINNED_DENO_VERSION} task start\``;

/** Whether a version may serve. */
export interface RuntimeVerdict {
  /** `pinned` is the tested one, `untested` was let through by {@linkcode ALLOW_UNTESTED_VARIABLE} and deserves a warning. */
  readonly kind: "pinned" | "untested";
  readonly version: string;
}

/**
 * Checks the version of Deno.
 *
 * @param version Such as `Deno.version.deno`
 * @param env The environment; `REXEC_ALLOW_UNTESTED_DENO=1` lets versions start about which nothing is known
 * @throws {ServiceError} `UNSUPPORTED_RUNTIME`, with the reason and the command that gets the right version
 */
export function checkRuntime(
  version: string,
  env: Readonly<Record<string, string | undefined>> = {},
): RuntimeVerdict {
  if (version === PINNED_DENO_VERSION) return { kind: "pinned", version };
  const defect = knownDefect(version);
  if (defect !== undefined) {
    throw new ServiceError("UNSUPPORTED_RUNTIME", `Cannot serve on Deno "${version}": ${defect}. ${WHAT_TO_RUN}`);
  }
  if (env[ALLOW_UNTESTED_VARIABLE] === "1") return { kind: "untested", version };
  throw new ServiceError(
    "UNSUPPORTED_RUNTIME",
    `Cannot serve on Deno "${version}": nothing is tested on it. ${WHAT_TO_RUN}, or set ${ALLOW_UNTESTED_VARIABLE}=1`,
  );
}

/** What is known to break, or `undefined`. */
function knownDefect(version: string): string | undefined {
  const match = /^(\d+)\.(\d+)\.(\d+)/.exec(version);
  if (match === null) return undefined;
  const [major = 0, minor = 0, patch = 0] = match.slice(1).map(Number);
  if (major === 2 && minor === 9 && patch >= 4 && patch <= 6) {
    // https://github.com/denoland/deno/issues/36788
    return "it aborts when an ordinary client disconnects " +
      "(nghttp2 assertion find_stream_on_goaway_func, denoland/deno issue 36788)";
  }
  if (major < 2 || (major === 2 && minor <= 6)) return "its HTTP/2 cannot serve grpc-js";
  return undefined;
}
