/**
 * The compiled program starts itself as a front by its environment. This starts its entry module as it would.
 */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { writeCompileConfig } from "../../scripts/compile.ts";
import { FRONT_ROLE, ROLE_VARIABLE } from "../../src/supervisor/mod.ts";
import { FRONT_PROTOCOL } from "../../src/supervisor/protocol.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

Deno.test("the compiled program in the role of a front says hello, and ends when nobody supervises it", async () => {
  await writeCompileConfig();
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--allow-all",
      "--no-prompt",
      "--no-lock",
      "--cached-only",
      `--config=${ROOT}dist/compile.json`,
      `${ROOT}scripts/compiled_main.ts`,
    ],
    env: { [ROLE_VARIABLE]: FRONT_ROLE },
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  await child.stdin.close();
  const { code, stdout } = await child.output();
  assert.equal(code, 0);
  const hello = JSON.parse(new TextDecoder().decode(stdout));
  assert.equal(hello.kind, "hello");
  assert.equal(hello.protocol, FRONT_PROTOCOL);
});
