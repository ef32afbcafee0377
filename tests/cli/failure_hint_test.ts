import assert from "node:assert/strict";
import { failureHint } from "../../src/cli/failure_hint.ts";
import { ExecutionError, ExecutionStatus, FailureReason } from "../../src/client/mod.ts";

const LAST_WORD = "; the service's policy has the last word";
const hints: readonly { reason: FailureReason; status?: ExecutionStatus; message?: string; hint: string }[] = [
  {
    reason: FailureReason.TIME_LIMIT,
    status: ExecutionStatus.TIMEOUT,
    hint: `Give it more time with --timeout${LAST_WORD}`,
  },
  {
    reason: FailureReason.UNSPECIFIED,
    status: ExecutionStatus.TIMEOUT,
    hint: `Give it more time with --timeout${LAST_WORD}`,
  },
  { reason: FailureReason.MEMORY_LIMIT, hint: `Give it more memory with --memory${LAST_WORD}` },
  { reason: FailureReason.CPU_LIMIT, hint: `Give it more CPU time with --cpu-time${LAST_WORD}` },
  { reason: FailureReason.RESULT_LIMIT, hint: `Return less, or allow more with --output-limit${LAST_WORD}` },
  {
    reason: FailureReason.THREAD_LIMIT,
    hint: "Do less at once: no flag raises this limit, only the service's policy (ceilings.threads)",
  },
  {
    reason: FailureReason.SCRATCH_LIMIT,
    hint: "Keep fewer files: no flag raises this limit, only the service's policy (filesystem.scratchMb)",
  },
  {
    reason: FailureReason.INPUT_LIMIT,
    hint: "Send less: no flag raises this limit, only the service's configuration",
  },
  {
    reason: FailureReason.CRASH,
    status: ExecutionStatus.ERROR,
    hint: "Its sandbox died under it, by no limit; the service's log says more",
  },
  {
    reason: FailureReason.EXCEPTION,
    status: ExecutionStatus.ERROR,
    message: "Deno is not defined",
    hint:
      "A task has Deno only when it runs with --allow-net, --allow-files or --env, and the service's policy grants that",
  },
  { reason: FailureReason.EXCEPTION, status: ExecutionStatus.ERROR, message: "x is not defined", hint: "" },
  {
    reason: FailureReason.SECURITY_VIOLATION,
    status: ExecutionStatus.SECURITY_VIOLATION,
    message: 'Requires read access to "/etc/passwd", run again with the --allow-read flag',
    hint:
      "That flag is Deno's. Here --allow-net=HOSTS asks for hosts and --allow-files for a scratch folder, and a task " +
      `reaches nothing else${LAST_WORD}`,
  },
  { reason: FailureReason.SECURITY_VIOLATION, status: ExecutionStatus.SECURITY_VIOLATION, hint: "" },
  { reason: 99 as FailureReason, hint: "" }, // A number of a later service, as the wire gives it.
];

for (const { reason, status = ExecutionStatus.RESOURCE_LIMIT, message = "broke", hint } of hints) {
  const name = `${ExecutionStatus[status]} ${FailureReason[reason] ?? reason} "${message}"`;
  Deno.test(`failureHint() says what to do at ${name}`, () => {
    const error = new ExecutionError({ status, failureReason: reason, errorMessage: message });
    assert.equal(failureHint(error, {}) ?? "", hint);
    if (status !== ExecutionStatus.ERROR) return;
    const traced = new ExecutionError({ status, failureReason: reason, errorMessage: message, errorTraceback: "at x" });
    assert.equal(failureHint(traced, {}), [hint, "--verbose shows the traceback"].filter((line) => line).join("\n"));
    assert.equal(failureHint(traced, { verbose: true }) ?? "", hint);
  });
}
