import assert from "node:assert/strict";
import { status } from "@grpc/grpc-js";
import { type ErrorCode, ServiceError } from "../../src/errors.ts";
import { GRPC_STATUS, statusName, toGrpcError } from "../../src/rpc/status.ts";

// What clients see for each code, written out once more: a change here is a change of the contract.
const EXPECTED: Readonly<Record<ErrorCode, keyof typeof status>> = {
  INVALID_ARGUMENT: "INVALID_ARGUMENT",
  UNAUTHENTICATED: "UNAUTHENTICATED",
  PERMISSION_DENIED: "PERMISSION_DENIED",
  NOT_FOUND: "NOT_FOUND",
  QUEUE_FULL: "RESOURCE_EXHAUSTED",
  RATE_LIMITED: "RESOURCE_EXHAUSTED",
  DRAINING: "UNAVAILABLE",
  DEADLINE_EXCEEDED: "DEADLINE_EXCEEDED",
  CANCELLED: "CANCELLED",
  TASK_TIMEOUT: "DEADLINE_EXCEEDED",
  RESOURCE_LIMIT: "RESOURCE_EXHAUSTED",
  SECURITY_VIOLATION: "PERMISSION_DENIED",
  TASK_FAILED: "UNKNOWN",
  INVALID_TASK: "INVALID_ARGUMENT",
  SANDBOX_LOST: "UNAVAILABLE",
  SANDBOX_LEAK: "INTERNAL",
  CONFIG_INVALID: "INTERNAL",
  UNSUPPORTED_RUNTIME: "INTERNAL",
  UNIMPLEMENTED: "UNIMPLEMENTED",
  INTERNAL: "INTERNAL",
};

Deno.test("GRPC_STATUS has a status for each code and no other", () => {
  assert.deepEqual(Object.keys(GRPC_STATUS).sort(), Object.keys(EXPECTED).sort());
});

for (const [code, name] of Object.entries(EXPECTED)) {
  Deno.test(`toGrpcError() maps ${code} to ${name}`, () => {
    const error = toGrpcError(new ServiceError(code as ErrorCode, "Cannot do it: reason"), "ExecuteNode"); // a key
    assert.equal(error.code, status[name]);
    const isOurs = code === "INTERNAL";
    assert.equal(error.details, isOurs ? "Internal error; the service's log has the cause" : "Cannot do it: reason");
    assert.equal(statusName(status[name]), name);
  });
}

Deno.test("toGrpcError() cuts details that no header would hold", () => {
  const long = `Cannot run task: options.environment["${"ü😀".repeat(100_000)}"]`;
  const { details = "" } = toGrpcError(new ServiceError("PERMISSION_DENIED", long), "ExecuteNode");
  assert(encodeURIComponent(details).length < 8_192);
  assert(details.startsWith(long.slice(0, 1_000)) && details.endsWith(`… [${long.length} characters]`));
});

for (const thrown of [new TypeError("secret path /etc"), "text", undefined, null, { code: "QUEUE_FULL" }]) {
  Deno.test(`toGrpcError() tells nothing of ${String(thrown)}`, () => {
    const { code, details, message } = toGrpcError(thrown, "ExecuteNode");
    assert.deepEqual(
      [code, details, message],
      [status.INTERNAL, ...Array(2).fill("Internal error; the service's log has the cause")],
    );
  });
}
