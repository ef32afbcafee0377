/**
 * The Python library of Python sandboxes on the machine's own CPython, without a sandbox. The cases are unit tests in
 * the folder `python` beside this file; each becomes a step here.
 *
 * `python/packages.txt` lists the Debian packages that they need. Where they are missing the test is ignored, but fails
 * in CI.
 * @module
 */

import assert from "node:assert/strict";
import { z } from "zod";

/** Debian's, with Debian's packages; any other comes without them. */
const PYTHON = "/usr/bin/python3";
const FOLDER = new URL("python/", import.meta.url).pathname;
const LIBRARY = new URL("../../workers/python/lib/", import.meta.url).pathname;

/** A line of driver.py. */
const Line = z.union([
  z.strictObject({ plan: z.int() }),
  z.strictObject({
    theme: z.string(),
    name: z.string(),
    skipped: z.string().optional(),
    failure: z.string().optional(),
  }),
]);

const missing = await findMissing();
if (missing !== undefined) console.warn(`Tests of the Python library are ignored: ${missing}`);

Deno.test({
  name: "The Python library does on CPython what sandboxes need of it",
  ignore: missing !== undefined && Deno.env.get("CI") === undefined,
  async fn(t) {
    assert.equal(missing, undefined);
    const { code, stdout, stderr } = await run([`${FOLDER}driver.py`, LIBRARY]);
    const lines = stdout.split("\n").filter((text) => text !== "").map((text) => Line.parse(JSON.parse(text)));
    const [first, ...tests] = lines;
    const themes = Map.groupBy(tests.filter((line) => "theme" in line), ({ theme }) => theme);
    for (const [theme, results] of themes) {
      await t.step(theme, async (t) => {
        for (const { name, skipped, failure } of results) {
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
      assert.deepEqual({ code, first }, { code: 0, first: { plan: tests.length } }, stderr);
    });
  },
});

/** What is missing to run the tests, and what to do about it; `undefined` when nothing is. */
async function findMissing(): Promise<string | undefined> {
  const packages = (await Deno.readTextFile(`${FOLDER}packages.txt`)).trim().split(/\s+/).join(" ");
  const { code, stderr } = await run(["-c", "import cloudpickle, numpy"]).catch((error: unknown) => {
    if (error instanceof Deno.errors.NotFound) return { code: 1, stderr: `there is no ${PYTHON}` };
    throw error;
  });
  if (code === 0) return undefined;
  return `${stderr.trim().split("\n").at(-1)}; to run them: apt-get install -y ${packages}`;
}

/** Runs Python; leaves no bytecode behind. */
async function run(args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(PYTHON, { args: ["-B", ...args] }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}
