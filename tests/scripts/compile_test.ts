import assert from "node:assert/strict";
import { SOURCE_DIGEST } from "../../protos/generated/descriptor_set.ts";
import { compileArguments, writeCompileConfig } from "../../scripts/compile.ts";

const ROOT = new URL("../../", import.meta.url);
/** Stands in for Deno's base binary, which has to be some program in the platform's format. */
const STAND_IN = "/bin/true";

interface Built {
  readonly listing: string;
  readonly binary: Uint8Array;
}

/** Embeds the program into the stand-in. */
async function build(directory: string): Promise<Built> {
  await writeCompileConfig();
  const output = `${directory}/rexec`;
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: await compileArguments({ output }),
    cwd: ROOT,
    env: { DENORT_BIN: STAND_IN, NO_COLOR: "1" },
  }).output();
  const listing = new TextDecoder().decode(stderr);
  assert.ok(success, listing);
  return { listing, binary: await Deno.readFile(output) };
}

/** Every file that the sandbox consists of, by its path in `dist/sandbox/`. */
async function sandboxFiles(folder = ""): Promise<string[]> {
  const files: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(new URL(`dist/sandbox/${folder}`, ROOT))) {
    if (isDirectory) files.push(...await sandboxFiles(`${folder}${name}/`));
    else files.push(`${folder}${name}`);
  }
  return files.sort();
}

Deno.test({
  name: "compileArguments() embed the program and every file that a sandbox host starts",
  // The format of the stand-in is Linux's.
  ignore: Deno.build.os !== "linux",
  async fn(t) {
    const directory = await Deno.makeTempDir();
    try {
      const { listing, binary } = await build(directory);
      // Bytes as characters, so that one text can be looked for in the other.
      const haystack = new TextDecoder("latin1").decode(binary);
      for (const name of await sandboxFiles()) {
        await t.step(`dist/sandbox/${name} is inside, byte for byte`, async () => {
          const bytes = await Deno.readFile(new URL(`dist/sandbox/${name}`, ROOT));
          assert.ok(haystack.includes(new TextDecoder("latin1").decode(bytes)));
        });
      }
      for (
        const part of [
          "protos",
          "src",
          "runtime_check.ts",
          "sandbox",
          "cli",
          "commander",
          "zod",
          "grpc-js",
        ]
      ) {
        await t.step(`${part} is listed`, () => assert.match(listing, new RegExp(`[─ ]${part}[ /]`)));
      }
      await t.step("the contract that reflection answers from is inside", () => {
        assert.ok(haystack.includes(SOURCE_DIGEST));
      });
      await t.step("tests, benchmarks and docs are not", () => {
        assert.doesNotMatch(listing, /─ (?:tests|benchmarks|docs)[ /]/);
      });
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});

Deno.test("compileArguments() pass the platform on, and leave nothing to be asked for", async () => {
  const args = await compileArguments({ output: "out", target: "aarch64-unknown-linux-gnu" });
  assert.ok(args.includes("--target=aarch64-unknown-linux-gnu"));
  assert.ok(args.includes("--allow-all") && args.includes("--no-prompt"));
});

Deno.test("writeCompileConfig() denies the sandbox's modules every builtin of Node, and nobody else", async () => {
  await writeCompileConfig();
  const config = JSON.parse(await Deno.readTextFile(new URL("dist/compile.json", ROOT)));
  const sandbox = JSON.parse(await Deno.readTextFile(new URL("dist/sandbox/import_map.json", ROOT)));
  assert.deepEqual(Object.keys(config.scopes), ["./sandbox/"]);
  assert.deepEqual(Object.keys(config.scopes["./sandbox/"]), Object.keys(sandbox.imports));
  assert.equal(config.scopes["./sandbox/"]["node:fs"], "./sandbox/denied.js");
  assert.equal(config.imports["node:fs"], undefined);
  assert.ok(config.unstable.includes("worker-options"));
});
