/**
 * Tasks in Python with packages of a wheelhouse and of an index.
 * @module
 */

import assert from "node:assert/strict";
import { ExecutionStatus } from "../../protos/generated/types.ts";
import { packageFiles } from "../../src/client/mod.ts";
import { FakeIndex } from "../fakes/python_index.ts";
import { TestClient, unary } from "../support/client.ts";
import { startTestServer } from "../support/server.ts";
import { TestWheelhouse } from "../support/wheels.ts";
import { resultOf } from "./run.ts";

Deno.test("A task in Python imports packages of the wheelhouse and of an index together", async (test) => {
  await using index = await FakeIndex.serve({
    "public-1.0-py3-none-any.whl": {
      requires: ["private>=1"],
      files: { "public.py": "import private\ndef words(): return ['public', private.word]\n" },
    },
    "clash-1.0-py3-none-any.whl": { files: { "private.py": "word = 'stolen'\n" } },
  });
  await using house = await TestWheelhouse.make({
    "private-1.0-py3-none-any.whl": { files: { "private.py": "word = 'private'\n" } },
  });
  await using server = await startTestServer({
    settings: {
      "pool.maxWorkers": 1,
      "python.readySandboxes": 0,
      "python.packagesDirectory": house.folder.path,
      "policy.packages.python.allowed": true,
      "policy.packages.python.index": index.url,
      "policy.packages.python.fileHosts": [],
    },
  });
  using client = new TestClient(server.address);
  const run = async (code: string, dependencies: readonly string[]) => {
    const answer = await unary(client.stub, client.stub.executeCustomTask, {
      codePackage: packageFiles(new Map([["main.py", new TextEncoder().encode(code)]]), { runtime: "python" }),
      entryPoint: "",
      inputData: new TextEncoder().encode("null"),
      serializationFormat: "json",
      dependencies: [...dependencies],
      options: undefined,
    }).answer;
    assert(answer.ok, answer.ok ? "" : answer.details);
    return answer.response;
  };
  const code = "import public\ndef main(item):\n    return public.words()\n";

  await test.step("what is asked for, and what that needs", async () => {
    const response = await run(code, ["public"]);
    assert.deepEqual(resultOf(response), ["public", "private"]);
    assert.deepEqual(response.installedDeps, ["private==1.0", "public==1.0"]);
    assert(!index.requests.some((path) => path.includes("private")));
  });

  await test.step("a package that brings another's file is told of", async () => {
    const { status, errorMessage } = await run(code, ["public", "clash"]);
    assert.equal(status, ExecutionStatus.ERROR);
    assert.equal(errorMessage, 'Cannot install packages: two of them have a file "private.py", and they differ');
  });

  await test.step("what nobody has is named", async () => {
    const { status, errorMessage } = await run(code, ["public", "no-such-package"]);
    assert.equal(status, ExecutionStatus.ERROR);
    assert.match(errorMessage, /"no-such-package", which the task asks for, is not in the service's own packages and/);
  });
});
