/**
 * numpy as a wheel: an extension module of WebAssembly in a package.
 * @module
 */

import assert from "node:assert/strict";
import { ExecutionStatus } from "../../protos/generated/types.ts";
import { packageFiles } from "../../src/client/mod.ts";
import { TestFolder } from "../fakes/folder.ts";
import { TestClient, unary } from "../support/client.ts";
import { NUMPY_VERSION, numpyFiles } from "../support/numpy.ts";
import { startTestServer } from "../support/server.ts";
import { writeZip } from "../support/zip_writer.ts";
import { resultOf } from "./run.ts";

const WHEEL = `numpy-${NUMPY_VERSION}-cp311-cp311-emscripten_3_1_46_wasm32.whl`;
const CODE = "import numpy\ndef main(items):\n    return numpy.cumsum(items).tolist()\n";

Deno.test("A wheel with code for WebAssembly runs on its version of Python, and is no choice on another", async (test) => {
  await using folder = await TestFolder.make();
  await Deno.writeFile(folder.file(WHEEL), await numpyWheel());
  await using server = await startTestServer({
    settings: { "pool.maxWorkers": 1, "python.readySandboxes": 0, "python.packagesDirectory": folder.path },
  });
  using client = new TestClient(server.address);
  const run = async (pythonVersion: string) => {
    const files = new Map([["main.py", new TextEncoder().encode(CODE)]]);
    const answer = await unary(client.stub, client.stub.executeCustomTask, {
      codePackage: packageFiles(files, { runtime: "python", pythonVersion }),
      entryPoint: "",
      inputData: new TextEncoder().encode("[1, 2, 3.5]"),
      serializationFormat: "json",
      dependencies: ["numpy"],
      options: undefined,
    }).answer;
    assert(answer.ok, answer.ok ? "" : answer.details);
    return answer.response;
  };

  await test.step("3.11", async () => {
    const response = await run("3.11");
    assert.deepEqual(resultOf(response), [1, 3, 6.5]);
    assert.deepEqual(response.installedDeps, [`numpy==${NUMPY_VERSION}`]);
  });

  await test.step("3.14", async () => {
    const { status, errorMessage } = await run("3.14");
    assert.equal(status, ExecutionStatus.ERROR);
    assert.match(errorMessage, /numpy.*cp311/);
  });
});

/** conda's build has all that a wheel has but its tag. */
async function numpyWheel(): Promise<Uint8Array> {
  const files = await numpyFiles();
  const info = `numpy-${NUMPY_VERSION}.dist-info`;
  files.set(
    `${info}/WHEEL`,
    new TextEncoder().encode(
      "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: false\nTag: cp311-cp311-emscripten_3_1_46_wasm32\n",
    ),
  );
  const record: string[] = [];
  for (const [path, content] of files) {
    if (path === `${info}/RECORD`) continue;
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content as Uint8Array<ArrayBuffer>)); // From a file.
    record.push(`${path},sha256=${digest.toBase64({ alphabet: "base64url", omitPadding: true })},${content.length}\n`);
  }
  files.set(`${info}/RECORD`, new TextEncoder().encode(`${record.join("")}${info}/RECORD,,\n`));
  return writeZip([...files].map(([name, data]) => ({ name, data })));
}
