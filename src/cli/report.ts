/**
 * What went wrong, for people and for programs.
 * @module
 */

import { status as GrpcStatus } from "@grpc/grpc-js";
import { ExecutionError, RpcError } from "../client/mod.ts";
import { messageOf } from "../errors.ts";
import { OutputError, UsageError } from "./errors.ts";
import { EXIT, type ExitCode, toExitCode } from "./exit_code.ts";
import { failureHint } from "./failure_hint.ts";
import type { GlobalOptions } from "./session.ts";
import { printable, styleFor, type Terminal } from "./terminal.ts";

/** Prints what was thrown to standard error, with what to do about it. */
export async function report(
  error: unknown,
  exitCode: ExitCode,
  { terminal, options }: { terminal: Terminal; options: GlobalOptions },
): Promise<void> {
  const hint = hintFor(error, options);
  if (options.json) {
    const record = { error: { message: messageOf(error), ...detailsOf(error), hint, exitCode } };
    return await terminal.writeError(`${JSON.stringify(record)}\n`);
  }
  const { red, dim } = styleFor(terminal.stderrIsTerminal, { env: terminal.env, color: options.color });
  const lines = [`${red("Error")}${kindOf(error)}: ${printable(messageOf(error))}`];
  if (hint !== undefined) lines.push(hint);
  if (options.verbose) {
    if (error instanceof ExecutionError && error.traceback !== "") lines.push(dim(printable(error.traceback)));
    lines.push(dim(Deno.inspect(error, { colors: false })));
  }
  await terminal.writeError(`${lines.join("\n")}\n`);
}

/** What the error of an execution or a call has beside its message. */
function detailsOf(error: unknown): Record<string, unknown> {
  if (error instanceof RpcError) return { status: error.codeName };
  if (!(error instanceof ExecutionError)) return {};
  return {
    status: error.statusName,
    failureReason: error.reasonName,
    traceback: error.traceback || undefined,
    stdout: error.stdout || undefined,
    stderr: error.stderr || undefined,
    metrics: error.metrics,
  };
}

/** Status and reason of an execution, the reason where it tells more. */
function kindOf(error: unknown): string {
  if (!(error instanceof ExecutionError)) return "";
  const { statusName, reasonName } = error;
  return reasonName === undefined || reasonName === statusName ? ` (${statusName})` : ` (${statusName}, ${reasonName})`;
}

/** What to do about it. */
function hintFor(error: unknown, { address, verbose = false }: GlobalOptions): string | undefined {
  if (error instanceof UsageError || error instanceof OutputError) return error.hint;
  if (error instanceof RpcError) {
    switch (error.code) {
      case GrpcStatus.UNAVAILABLE:
        return `Is the service running at ${address}? Start it with: rexec serve. Elsewhere: --address or REXEC_ADDRESS`;
      case GrpcStatus.UNAUTHENTICATED:
        return "Give a token with REXEC_TOKEN or --token";
      case GrpcStatus.PERMISSION_DENIED:
        return "The service's policy decides; whoever runs the service can change it in config/security.yaml";
      case GrpcStatus.DEADLINE_EXCEEDED:
        return "Give it more time with --timeout";
      case GrpcStatus.RESOURCE_EXHAUSTED:
        return "Try again later, or with a smaller input";
      default:
        return undefined;
    }
  }
  if (error instanceof ExecutionError) return failureHint(error, { verbose });
  return toExitCode(error) === EXIT.INTERNAL && !verbose ? "--verbose shows where it comes from" : undefined;
}
