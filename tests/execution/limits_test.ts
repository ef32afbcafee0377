import assert from "node:assert/strict";
import { ExecutionOptions } from "../../protos/generated/types.ts";
import { ExecutionLimitOptions, PolicyOptions } from "../../src/config/schema.ts";
import { resolveLimits } from "../../src/execution/limits.ts";

const MEGABYTE = 1024 * 1024;
const DEFAULTS = ExecutionLimitOptions.parse({ timeoutSeconds: 7, memoryMb: 100, cpuPercent: 50, outputMb: 3 });
const CEILINGS = { timeoutSeconds: 10, memoryMb: 200, cpuPercent: 100, outputMb: 5, cpuSeconds: 20, threads: 8 };

function resolve(options: Partial<ExecutionOptions> | undefined, policy: object = {}) {
  return resolveLimits(options === undefined ? undefined : ExecutionOptions.fromPartial(options), {
    defaults: DEFAULTS,
    policy: PolicyOptions.parse({ ceilings: CEILINGS, ...policy }),
  });
}

const FALLBACK = {
  timeoutMs: 7_000,
  memoryBytes: 100 * MEGABYTE,
  cpuPercent: 50,
  outputBytes: 3 * MEGABYTE,
  cpuMs: 20_000,
  threads: 8,
};

for (
  const options of [undefined, {}, { timeoutSeconds: 0, memoryLimitMb: 0, cpuLimitPercent: 0, maxOutputSizeMb: 0 }]
) {
  Deno.test(`resolveLimits() gives the defaults for ${JSON.stringify(options)}`, () => {
    assert.deepEqual(resolve(options), FALLBACK);
  });
}

const WISHES: readonly [
  field: "timeoutSeconds" | "memoryLimitMb" | "cpuLimitPercent" | "maxOutputSizeMb" | "cpuTimeSeconds",
  name: string,
  ceiling: string,
  most: number,
  expected: object,
][] = [
  ["timeoutSeconds", "timeout_seconds", "ceilings.timeoutSeconds", 10, { timeoutMs: 10_000 }],
  ["memoryLimitMb", "memory_limit_mb", "ceilings.memoryMb", 200, { memoryBytes: 200 * MEGABYTE }],
  ["cpuLimitPercent", "cpu_limit_percent", "ceilings.cpuPercent", 100, { cpuPercent: 100 }],
  ["maxOutputSizeMb", "max_output_size_mb", "ceilings.outputMb", 5, { outputBytes: 5 * MEGABYTE }],
  ["cpuTimeSeconds", "cpu_time_seconds", "ceilings.cpuSeconds", 20, { cpuMs: 20_000 }],
];

for (const [field, name, ceiling, most, expected] of WISHES) {
  Deno.test(`resolveLimits() grants ${name} up to its ceiling`, () => {
    assert.deepEqual(resolve({ [field]: most }), { ...FALLBACK, ...expected });
  });

  Deno.test(`resolveLimits() refuses ${name} above its ceiling and names it`, () => {
    assert.throws(() => resolve({ [field]: most + 1 }), {
      name: "ServiceError",
      code: "PERMISSION_DENIED",
      message: `Cannot run task: options.${name} is "${most + 1}", above the policy's ceiling ${ceiling} of ${most}`,
      details: { rule: ceiling, ceiling: String(most) },
    });
  });

  Deno.test(`resolveLimits() refuses a negative ${name}`, () => {
    assert.throws(() => resolve({ [field]: -1 }), {
      code: "INVALID_ARGUMENT",
      message: `Cannot run task: options.${name} is "-1", must not be negative`,
    });
  });
}
