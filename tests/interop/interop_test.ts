/**
 * The service against a real Python client: grpcio with stubs that protoc makes of `protos/`, CPython's own pickle and
 * numpy. The cases are in the Python files of this folder; each becomes a step here.
 *
 * `packages.txt` lists the Debian packages that it needs. Where they are missing the test is ignored, but fails in CI.
 * @module
 */

import assert from "node:assert/strict";
import { z } from "zod";
import { addNumpy } from "../support/numpy.ts";
import { startTestServer } from "../support/server.ts";

/** Debian's, with Debian's packages; any other comes without them. */
const PYTHON = "/usr/bin/python3";
const FOLDER = new URL("./", import.meta.url).pathname;
const PROTOS = new URL("../../protos/", import.meta.url).pathname;
const VECTORS = new URL("../data/pickle-vectors.json", import.meta.url).pathname;

/** The SDK's base classes, which a client that has the SDK has as well. */
const PYTHON_LIBRARY = new URL("../../workers/python/lib/", import.meta.url).pathname;

/** Small enough that a message above it is soon sent, large enough for a payload of 50 MB. */
const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;

/** A line of driver.py. */
const Line = z.union([
  z.strictObject({ plan: z.int() }),
  z.strictObject({ theme: z.string(), case: z.string(), ok: z.boolean(), detail: z.string().optional() }),
  z.strictObject({ theme: z.string(), case: z.string(), skipped: z.string() }),
]);

/** What one case of the suite came to. */
interface CaseResult {
  readonly name: string;
  readonly failure: string | undefined;
  /** Why it was not run. */
  readonly skipped: string | undefined;
}

const missing = await findMissing();
if (missing !== undefined) console.warn(`Interop tests are ignored: ${missing}`);

Deno.test({
  name: "The service answers a Python client as its contract says",
  ignore: missing !== undefined && Deno.env.get("CI") === undefined,
  async fn(t) {
    assert.equal(missing, undefined);
    const folder = await Deno.makeTempDir({ prefix: "rexec-interop-" });
    const stubs = `${folder}/stubs`;
    const packages = `${folder}/packages`;
    try {
      await Deno.mkdir(stubs);
      await generateStubs(stubs);
      await copyCloudpickle(packages);
      await addNumpy(packages);
      await using server = await startTestServer({
        settings: {
          "server.maxMessageBytes": MAX_MESSAGE_BYTES,
          // What the client's bytecode needs.
          "python.version": "3.11",
          "python.packagesDirectory": packages,
        },
      });
      const driver = await runDriver({
        address: server.address,
        serverPid: server.pid,
        stubs,
        vectors: VECTORS,
        pythonLibrary: PYTHON_LIBRARY,
        maxMessageBytes: MAX_MESSAGE_BYTES,
      });
      for (const [theme, results] of driver.themes) {
        await t.step(theme.replaceAll("_", " "), async (t) => {
          for (const { name, failure, skipped } of results) {
            await t.step({
              name: skipped === undefined ? name : `${name} (skipped: ${skipped})`,
              ignore: skipped !== undefined,
              fn() {
                if (failure !== undefined) assert.fail(failure);
              },
            });
          }
        });
      }
      await t.step("the whole suite ran", () => {
        assert.deepEqual({ code: driver.code, cases: driver.count }, { code: 0, cases: driver.plan }, driver.stderr);
      });
      await t.step("the server drains and ends well after it all", async () => {
        const { code, stderr } = await server.stop();
        assert.equal(code, 0, stderr);
      });
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

/** What is missing to run the suite, and what to do about it; `undefined` when nothing is. */
async function findMissing(): Promise<string | undefined> {
  const packages = (await Deno.readTextFile(`${FOLDER}packages.txt`)).trim().split(/\s+/).join(" ");
  const imports = "import cloudpickle, google.protobuf, grpc, grpc_tools.protoc, numpy";
  const { success, stderr } = await run(["-c", imports]).catch((error: unknown) => {
    if (error instanceof Deno.errors.NotFound) return { success: false, stderr: `there is no ${PYTHON}` };
    throw error;
  });
  if (success) return undefined;
  return `${stderr.trim().split("\n").at(-1)}; to run them: apt-get install -y ${packages}`;
}

/** Writes the Python modules for our protos, and those of health checks, which must not lie in a folder named grpc. */
async function generateStubs(folder: string): Promise<void> {
  for (const root of [PROTOS, `${PROTOS}grpc/health/v1/`]) {
    const files: string[] = [];
    for await (const { name } of Deno.readDir(root)) if (name.endsWith(".proto")) files.push(name);
    const output = [`--python_out=${folder}`, `--grpc_python_out=${folder}`];
    const { success, stderr } = await run(["-m", "grpc_tools.protoc", `-I${root}`, ...output, ...files]);
    assert.ok(success, stderr);
  }
}

/** Makes a folder of packages of Debian's cloudpickle. */
async function copyCloudpickle(folder: string): Promise<void> {
  const find = "import cloudpickle, pathlib; print(pathlib.Path(cloudpickle.__file__).parent)";
  const { success, stdout, stderr } = await run(["-c", find]);
  assert.ok(success, stderr);
  const source = stdout.trim();
  const site = source.slice(0, source.lastIndexOf("/"));
  for await (const { name } of Deno.readDir(site)) {
    if (!/^cloudpickle(?:-.*\.(?:egg|dist)-info)?$/.test(name)) continue;
    await Deno.mkdir(`${folder}/${name}`, { recursive: true });
    for await (const { name: file, isFile } of Deno.readDir(`${site}/${name}`)) {
      if (isFile) await Deno.copyFile(`${site}/${name}/${file}`, `${folder}/${name}/${file}`);
    }
  }
}

/** Runs the suite to its end and sorts its lines. */
async function runDriver(settings: Record<string, unknown>) {
  const { code, stdout, stderr } = await run([`${FOLDER}driver.py`, JSON.stringify(settings)]);
  const themes = new Map<string, CaseResult[]>();
  let plan: number | undefined;
  let count = 0;
  for (const text of stdout.split("\n").filter((text) => text !== "")) {
    const line = Line.parse(JSON.parse(text));
    if ("plan" in line) {
      plan = line.plan;
      continue;
    }
    count++;
    const results = themes.get(line.theme) ?? [];
    themes.set(line.theme, results);
    if ("skipped" in line) results.push({ name: line.case, failure: undefined, skipped: line.skipped });
    else {
      const failure = line.ok ? undefined : line.detail ?? "it failed without a word";
      results.push({ name: line.case, failure, skipped: undefined });
    }
  }
  return { code, plan, count, themes, stderr };
}

/** Runs Python; it leaves no compiled files behind, and sees nothing of our environment. */
async function run(args: readonly string[]) {
  const { code, success, stdout, stderr } = await new Deno.Command(PYTHON, {
    args: ["-B", ...args],
    stdin: "null",
    clearEnv: true,
    env: { PATH: "/usr/bin:/bin", LANG: "C.UTF-8" },
  }).output();
  const decoder = new TextDecoder();
  return { code, success, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}
