import assert from "node:assert/strict";
import { Interrupts } from "../../src/cli/interrupts.ts";
import { run } from "../../src/cli/program.ts";
import { rexec } from "../fakes/cli.ts";
import { TestFolder } from "../fakes/folder.ts";
import { FakeTerminal } from "../fakes/terminal.ts";
import { startTestServer } from "../support/server.ts";

const MAIN = `import { twice } from "./lib/twice.ts";
export default ({ n }: { n: number }): number[] => {
  console.log("n is", n);
  console.error("careful");
  return [n, twice(n)];
};
export function fail(): never {
  throw new Error("boom");
}
export async function forever() {
  for (;;) await new Promise((done) => setTimeout(done, 10));
}
`;

/** Code that writes and never ends. */
const ENDLESS = {
  "waits.ts": `export default async () => {
  console.log("first");
  console.error("second");
  console.log("third");
  await new Promise(() => setTimeout(() => {}, 100_000));
};`,
  "computes.ts": `export default () => {
  console.log("first");
  console.error("second");
  console.log("third");
  for (;;);
};`,
  "computes.py": `import sys
def main(_):
    print("first")
    print("second", file=sys.stderr)
    print("third")
    while True:
        pass
`,
};

Deno.test("rexec run against the service", async (test) => {
  await using server = await startTestServer({ settings: { "pool.maxWorkers": 1 } });
  await using folder = await TestFolder.make({
    "main.ts": MAIN,
    "lib/twice.ts": "export const twice = (n: number): number => 2 * n;",
    "python/main.py": "def main(x):\n    return x\n",
  });
  await folder.write("outside.ts", "import 'node:fs'; export default () => 1;");
  const service = (...args: string[]) => rexec(["--address", server.address, ...args]);
  await Deno.mkdir(folder.file("code"));
  for (const name of ["main.ts", "lib"]) await Deno.rename(folder.file(name), folder.file(`code/${name}`));
  const code = folder.file("code");

  await test.step("prints the result of a folder with two modules, and its console apart", async () => {
    const result = await service("run", code, "--data", '{"n": 21}');
    assert.equal(result.code, 0, result.stderr);
    assert.deepEqual([result.stdout, result.stderr], ["[21,42]\n", "stdout | n is 21\nstderr | careful\n"]);
  });

  for (const [file, source] of Object.entries(ENDLESS)) {
    await test.step(`prints the console of ${file} while it runs, its lines in order`, async () => {
      await folder.write(file, source);
      const terminal = new FakeTerminal();
      const interrupts = new Interrupts();
      const ended = run(["--address", server.address, "run", folder.file(file)], terminal, interrupts);
      await terminal.printed("stdout | third\n");
      interrupts.interrupt();
      assert.equal(await ended, 130);
      assert.deepEqual(terminal.stdout, "");
      assert.match(terminal.stderr, /^stdout \| first\nstderr \| second\nstdout \| third\n(?!std)/);
    });
  }

  await test.step("prints what it cost", async () => {
    const { stderr } = await service("--verbose", "run", code, "--data", '{"n": 1}', "--entry", "main.ts:default");
    assert.match(
      stderr,
      /^Packaged 2 files, \d+ bytes\n[\s\S]*\nTook \d+ ms in \S+: waited \d+ ms, \d+ ms of CPU time/,
    );
  });

  const failures = [
    {
      name: "code that throws",
      args: [code, "--entry", "fail"],
      code: 1,
      message: /^Error \(ERROR, EXCEPTION\): boom\n/,
    },
    { name: "a missing entry point", args: [code, "--entry", "main.ts:gone"], code: 1, message: /INVALID_TASK.*gone/ },
    {
      name: "a path that is no module",
      args: [folder.file("outside.ts")],
      code: 4,
      message: /SECURITY_VIOLATION.*node:fs/,
    },
    { name: "time that is up", args: [code, "--entry", "forever", "--timeout", "1"], code: 5, message: /TIMEOUT/ },
    {
      name: "a network that the policy forbids",
      args: [code, "--allow-net", "a.example"],
      code: 4,
      message: /network\.allowed/,
    },
    { name: "a dependency", args: [code, "--dependency", "npm:zod@4"], code: 1, message: /Cannot install dependency/ },
    {
      name: "a Python that there is not",
      args: [folder.file("python"), "--python", "3.9"],
      code: 1,
      message: /INVALID_TASK.*asks for Python "3\.9"/,
    },
  ];
  for (const { name, args, code, message } of failures) {
    await test.step(`exits with ${code} at ${name}`, async () => {
      const result = await service("run", ...args);
      assert.equal(result.code, code, result.stderr);
      assert.match(result.stderr, message);
      assert.equal(result.stdout, "");
    });
  }
});
