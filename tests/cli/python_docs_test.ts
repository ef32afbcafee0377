/**
 * The Python packages that the documents have for an example do what is said of them.
 * @module
 */

import assert from "node:assert/strict";
import { dirname } from "node:path/posix";
import { fileURLToPath } from "node:url";
import { TestFolder } from "../fakes/folder.ts";
import { startTestServer } from "../support/server.ts";

const ROOT = new URL("../../", import.meta.url);

/** A document, the heading that the commands stand below, and what they print. */
const EXAMPLES = [
  {
    document: "docs/python.md",
    heading: "# Python",
    stdout: '{"mean":3.0}\n3.0\n',
    stderr: "stdout | Python 3.14\n",
  },
  { document: "README.md", heading: "### In Python", stdout: "6\n", stderr: "stdout | got 3 numbers\n" },
];

/** The first block of commands below a heading. */
function commandsBelow(document: string, heading: string): string {
  const text = Deno.readTextFileSync(new URL(document, ROOT));
  const from = text.indexOf(`${heading}\n`);
  const commands = from < 0 ? undefined : /^```sh\n([\s\S]*?)^```$/m.exec(text.slice(from))?.[1];
  assert(commands !== undefined, `${document} has no commands below "${heading}"`);
  return commands;
}

Deno.test("The documents' packages of Python run as they say", async (test) => {
  await using server = await startTestServer({ settings: { "pool.maxWorkers": 1, "execution.queueTimeoutMs": 0 } });
  for (const { document, heading, stdout, stderr } of EXAMPLES) {
    await test.step(`${document}, below "${heading}"`, async () => {
      await using folder = await TestFolder.make();
      await Deno.symlink(fileURLToPath(new URL("scripts", ROOT)), folder.file("scripts"));
      const output = await new Deno.Command("sh", {
        args: ["-ec", commandsBelow(document, heading)],
        cwd: folder.path,
        env: {
          REXEC_ADDRESS: server.address,
          PATH: `${dirname(Deno.execPath())}:${Deno.env.get("PATH") ?? ""}`,
          NO_COLOR: "1",
        },
      }).output();
      const decoder = new TextDecoder();
      assert.deepEqual([decoder.decode(output.stdout), decoder.decode(output.stderr)], [stdout, stderr]);
    });
  }
});
