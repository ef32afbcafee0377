/**
 * Packages of npm by the whole way: request, policy, installer, task, answer.
 * @module
 */

import assert from "node:assert/strict";
import { ExecutionStatus } from "../../protos/generated/types.ts";
import { FakeRegistry } from "../fakes/npm_registry.ts";
import { TestClient } from "../support/client.ts";
import { zipOf } from "../support/packages.ts";
import { startTestServer } from "../support/server.ts";
import { resultOf, run } from "./run.ts";

const PACKAGES = {
  adder: { "1.2.0": { files: { "index.js": "exports.add = (a, b) => a + b;" } } },
  young: { "1.0.0": { ageDays: 1, files: { "index.js": "" } } },
};
const CODE = 'import { add } from "npm:adder@^1"; export default (n: number) => add(n, 1);';

Deno.test("A task has the packages that it declares, and its answer says which", async (test) => {
  await using registry = FakeRegistry.serve(PACKAGES);
  await using server = await startTestServer({
    settings: {
      "pool.maxWorkers": 1,
      "policy.packages.npm.allowed": true,
      "policy.packages.npm.registry": registry.url,
    },
  });
  using client = new TestClient(server.address);

  await test.step("those of the request", async () => {
    for (let round = 0; round < 2; round++) {
      const response = await run(client, CODE, { dependencies: ["npm:adder@^1"], input: 4 });
      assert.deepEqual(resultOf(response), 5);
      assert.deepEqual(response.installedDeps, ["npm:adder@1.2.0"]);
    }
    assert.equal(registry.requests.length, 2);
  });

  await test.step("those of its manifest", async () => {
    const manifest = JSON.stringify({ version: "1.0", type: "code_package", dependencies: ["npm:adder@^1"] });
    const codePackage = zipOf({ "manifest.json": manifest, "code/main.ts": CODE });
    assert.deepEqual(resultOf(await run(client, codePackage, { input: 6 })), 7);
  });

  await test.step("and none that a rule refuses, which is named", async () => {
    const response = await run(client, "export default () => 1;", { dependencies: ["npm:young"] });
    assert.equal(response.status, ExecutionStatus.SECURITY_VIOLATION);
    assert.match(response.errorMessage, /packages\.npm\.minimumAgeDays/);
  });

  await test.step("nor any that it does not declare", async () => {
    const response = await run(client, CODE);
    assert.equal(response.status, ExecutionStatus.SECURITY_VIOLATION);
    assert.match(response.errorMessage, /"npm:adder@\^1" is not declared in the dependencies/);
  });
});

Deno.test("A task has no packages where the policy allows none", async () => {
  await using server = await startTestServer({ settings: { "pool.maxWorkers": 1 } });
  using client = new TestClient(server.address);
  const response = await run(client, CODE, { dependencies: ["npm:adder@^1"] });
  assert.equal(response.status, ExecutionStatus.ERROR);
  assert.match(response.errorMessage, /^Cannot install dependency "npm:adder@\^1": .*packages\.npm\.allowed/);
});
