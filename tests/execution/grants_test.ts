import assert from "node:assert/strict";
import { ExecutionOptions } from "../../protos/generated/types.ts";
import { PolicyOptions } from "../../src/config/schema.ts";
import { refuseUngranted, resolveGrants } from "../../src/execution/grants.ts";
import { NO_GRANTS } from "../../src/sandbox/grants.ts";

const GENEROUS = {
  network: { allowed: true, hosts: ["api.example.com:443"] },
  filesystem: { allowed: true, scratchMb: 3 },
  environment: { allowedNames: ["A", "B_*"] },
};

function resolve(options: Partial<ExecutionOptions> | undefined, policy: object = {}) {
  return resolveGrants(options && ExecutionOptions.fromPartial(options), PolicyOptions.parse(policy));
}

Deno.test("resolveGrants() grants nothing to who asks for nothing, whatever the policy would grant", () => {
  assert.deepEqual(resolve(undefined, GENEROUS), NO_GRANTS);
  assert.deepEqual(resolve({}, GENEROUS), NO_GRANTS);
});

const RIGHTS: readonly [options: Partial<ExecutionOptions>, rule: string][] = [
  [{ enableNetworking: true }, "network.allowed"],
  [{ enableFilesystem: true }, "filesystem.allowed"],
  [{ environment: { A: "1" } }, "environment.allowedNames"],
  [{ environment: { B_C: "1" } }, "environment.allowedNames"],
];

for (const [options, rule] of RIGHTS) {
  Deno.test(`resolveGrants() refuses ${JSON.stringify(options)} unless ${rule} grants it`, () => {
    assert.throws(() => resolve(options), { code: "PERMISSION_DENIED", details: { rule } });
    assert.throws(() => refuseUngranted(ExecutionOptions.fromPartial(options), PolicyOptions.parse({})), {
      code: "PERMISSION_DENIED",
      details: { rule },
    });
    resolve(options, GENEROUS);
  });
}

Deno.test("resolveGrants() takes a name without a star as the whole name", () => {
  assert.throws(() => resolve({ environment: { AB: "1" } }, GENEROUS), { code: "PERMISSION_DENIED" });
});

Deno.test("resolveGrants() gives what the policy says", () => {
  assert.deepEqual(resolve({ enableNetworking: true, enableFilesystem: true, workingDirectory: "a//./b/" }, GENEROUS), {
    networkHosts: ["api.example.com:443"],
    wantedHosts: [],
    scratchBytes: 3 * 1024 * 1024,
    workingDirectory: "a/b",
  });
});

for (const workingDirectory of ["/", "/etc", "..", "a/../../b", "a\0b", "x".repeat(256)]) {
  Deno.test(`resolveGrants() refuses the working directory ${JSON.stringify(workingDirectory.slice(0, 20))}`, () => {
    assert.throws(() => resolve({ enableFilesystem: true, workingDirectory }, GENEROUS), { code: "INVALID_ARGUMENT" });
  });
}

Deno.test("resolveGrants() refuses wishes that need another wish", () => {
  assert.throws(() => resolve({ workingDirectory: "a" }, GENEROUS), /needs options.enable_filesystem/);
  assert.throws(() => resolve({ networkHosts: ["a"] }, GENEROUS), /needs options.enable_networking/);
  assert.throws(() => resolve({ environment: { A: "a\0b" } }, GENEROUS), /must not hold a NUL/);
});
