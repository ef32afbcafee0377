import assert from "node:assert/strict";
import { type RequestedGrants, type RequestedLimits, toExecutionOptions } from "../../src/client/execution_options.ts";
import { ExecutionOptions } from "../../protos/generated/types.ts";

const ALL = {
  timeoutSeconds: 1,
  memoryLimitMb: 2,
  cpuLimitPercent: 3,
  cpuTimeSeconds: 4,
  maxOutputSizeMb: 5,
  enableNetworking: true,
  networkHosts: ["a.example:443"],
  enableFilesystem: true,
  workingDirectory: "in/here",
  environment: { APP_KEY: "k" },
} as const satisfies Required<RequestedLimits & RequestedGrants>;

Deno.test("toExecutionOptions() has a place for each option of the wire, and asks for nothing by itself", () => {
  assert.deepEqual(toExecutionOptions(ALL), ALL);
  assert.deepEqual(Object.keys(ExecutionOptions.fromPartial({})).sort(), Object.keys(ALL).sort());
  assert.deepEqual(toExecutionOptions({}), ExecutionOptions.fromPartial({}));
  assert.equal(toExecutionOptions(undefined), undefined);
});

for (const value of [-1, 0.5, 2 ** 31, NaN, Infinity]) {
  Deno.test(`toExecutionOptions() throws RangeError for a limit of ${value}`, () => {
    for (const name of ["timeoutSeconds", "memoryLimitMb", "cpuLimitPercent", "cpuTimeSeconds", "maxOutputSizeMb"]) {
      assert.throws(() => toExecutionOptions({ [name]: value }), {
        name: "RangeError",
        message: `options.${name} must be a whole number from 0 to 2147483647, not ${value}`,
      });
    }
  });
}
