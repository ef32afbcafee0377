/**
 * What to do about an execution that failed.
 * @module
 */

import { ExecutionStatus } from "../../protos/generated/types.ts";
import { type ExecutionError, FailureReason } from "../client/mod.ts";

const LAST_WORD = "the service's policy has the last word";

/** In words, and with the flag that raises the limit. */
const BY_REASON = {
  [FailureReason.UNSPECIFIED]: undefined,
  [FailureReason.INVALID_TASK]: undefined,
  [FailureReason.EXCEPTION]: undefined,
  [FailureReason.CRASH]: "Its sandbox died under it, by no limit; the service's log says more",
  [FailureReason.SECURITY_VIOLATION]: undefined,
  [FailureReason.TIME_LIMIT]: `Give it more time with --timeout; ${LAST_WORD}`,
  [FailureReason.MEMORY_LIMIT]: `Give it more memory with --memory; ${LAST_WORD}`,
  [FailureReason.CPU_LIMIT]: `Give it more CPU time with --cpu-time; ${LAST_WORD}`,
  [FailureReason.INPUT_LIMIT]: "Send less: no flag raises this limit, only the service's configuration",
  [FailureReason.RESULT_LIMIT]: `Return less, or allow more with --output-limit; ${LAST_WORD}`,
  [FailureReason.THREAD_LIMIT]:
    "Do less at once: no flag raises this limit, only the service's policy (ceilings.threads)",
  [FailureReason.CANCELLED]: undefined,
  [FailureReason.SCRATCH_LIMIT]:
    "Keep fewer files: no flag raises this limit, only the service's policy (filesystem.scratchMb)",
  [FailureReason.UNRECOGNIZED]: undefined,
} as const satisfies Record<FailureReason, string | undefined>;

/** What user code stumbles over when it did not ask for a right: the global that comes with it is not there. */
const MISSING_GLOBAL = /\b(fetch|Request|Response|Headers|FormData|File|Deno) is not defined$/;

/** How Deno ends its messages of denied permissions, with a flag of its own. */
const DENO_ADVICE = /, run again with the --allow-[a-z-]+ flag$/;

/**
 * One or two sentences, if there is anything to say. Messages of user code are looked at for what Deno says when a right
 * is missing; whoever words an error so gets a hint that does not fit, and nothing else depends on it.
 */
export function failureHint(error: ExecutionError, { verbose = false }: { verbose?: boolean }): string | undefined {
  // A service that does not say the reason says the status.
  if (error.status === ExecutionStatus.TIMEOUT) return BY_REASON[FailureReason.TIME_LIMIT];
  if (DENO_ADVICE.test(error.message)) {
    return "That flag is Deno's. Here --allow-net=HOSTS asks for hosts and --allow-files for a scratch folder, and a task " +
      `reaches nothing else; ${LAST_WORD}`;
  }
  if (error.status !== ExecutionStatus.ERROR) return BY_REASON[error.failureReason];
  const missing = error.failureReason === FailureReason.EXCEPTION ? MISSING_GLOBAL.exec(error.message)?.[1] : undefined;
  const hints = [
    BY_REASON[error.failureReason],
    missing === undefined ? undefined : whatBrings(missing),
    error.traceback !== "" && !verbose ? "--verbose shows the traceback" : undefined,
  ].filter((hint) => hint !== undefined);
  return hints.length === 0 ? undefined : hints.join("\n");
}

function whatBrings(name: string): string {
  const flags = name === "Deno" ? "--allow-net, --allow-files or --env" : "--allow-net";
  return `A task has ${name} only when it runs with ${flags}, and the service's policy grants that`;
}
