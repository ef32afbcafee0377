import assert from "node:assert/strict";
import { ServiceError } from "../src/errors.ts";
import { ALLOW_UNTESTED_VARIABLE, checkRuntime, PINNED_DENO_VERSION } from "../src/runtime_check.ts";

Deno.test("checkRuntime() accepts the pinned version", () => {
  assert.deepEqual(checkRuntime(PINNED_DENO_VERSION), { kind: "pinned", version: "2.9.3" });
});

const REFUSED: readonly [version: string, reason: RegExp][] = [
  ["2.9.4", /aborts when an ordinary client disconnects .*36788/],
  ["2.9.6", /aborts when an ordinary client disconnects/],
  ["2.6.10", /cannot serve grpc-js/],
  ["1.46.3", /cannot serve grpc-js/],
];

for (const [version, reason] of REFUSED) {
  Deno.test(`checkRuntime() refuses ${version} with the reason and a remedy, whatever the environment says`, () => {
    for (const env of [{}, { [ALLOW_UNTESTED_VARIABLE]: "1" }]) {
      assert.throws(() => checkRuntime(version, env), (error) => {
        assert(error instanceof ServiceError);
        assert.equal(error.code, "UNSUPPORTED_RUNTIME");
        assert.match(error.message, reason);
        assert.match(error.message, /npx -y deno@2\.9\.3 task start/);
        return true;
      });
    }
  });
}

for (const version of ["2.9.7", "2.8.0", "3.0.0", "2.9.3-rc.1", "nonsense"]) {
  Deno.test(`checkRuntime() refuses ${version} unless the environment allows untested versions`, () => {
    assert.throws(() => checkRuntime(version), /nothing is tested on it.*REXEC_ALLOW_UNTESTED_DENO=1/);
    assert.throws(() => checkRuntime(version, { [ALLOW_UNTESTED_VARIABLE]: "0" }), ServiceError);
    assert.equal(checkRuntime(version, { [ALLOW_UNTESTED_VARIABLE]: "1" }).kind, "untested");
  });
}
