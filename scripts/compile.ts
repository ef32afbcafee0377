/**
 * Builds one self-contained binary of the service, the command line and the sandbox: `dist/rexec`.
 *
 * ```sh
 * deno task compile
 * deno task compile --target aarch64-unknown-linux-gnu --output dist/rexec-arm64
 * ```
 *
 * `deno compile` gets Deno's base binary from Deno's own download site the first time; `DENORT_BIN` names one that is
 * there already.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { messageOf } from "../src/errors.ts";
import { SERVICE_V8_FLAGS } from "../src/v8_flags.ts";

const ROOT = new URL("../", import.meta.url);
const ENTRYPOINT = "scripts/compiled_main.ts";
const CONFIG = "dist/compile.json";
const SANDBOX = "dist/sandbox/";

/**
 * Parts of packages that are not embedded. `deno compile` parses every file of a package as JavaScript; a list of a
 * million numbers among the tests of bintrees is one expression to it, and overflows its stack.
 */
const EXCLUDED_PACKAGE_FOLDERS = [{ name: "bintrees", folder: "test" }];

/** What to build. */
export interface CompileOptions {
  /** Platform, such as `aarch64-unknown-linux-gnu`; this one's when absent. */
  readonly target?: string | undefined;
  readonly output: string;
}

/**
 * The arguments of `deno` that build the binary. All rights and no prompt: the server role needs the rights, and a
 * sandbox host, which is the same binary, gives them up before it starts a worker.
 */
export async function compileArguments({ target, output }: CompileOptions): Promise<string[]> {
  return [
    "compile",
    "--allow-all",
    "--no-prompt",
    `--v8-flags=${SERVICE_V8_FLAGS}`,
    `--config=${CONFIG}`,
    "--exclude-unused-npm",
    ...(await excludedFolders()).map((folder) => `--exclude=${folder}`),
    ...(await sandboxCode()).map((path) => `--include=${path}`),
    ...(target === undefined ? [] : [`--target=${target}`]),
    `--output=${output}`,
    ENTRYPOINT,
  ];
}

/**
 * Writes the configuration that the binary carries: the repository's, and the import map of the sandbox for all that lies
 * in `dist/sandbox/`. From sources a host gets that map by a flag, which a compiled program cannot take.
 */
export async function writeCompileConfig(): Promise<void> {
  const { imports, unstable, nodeModulesDir, allowScripts, compilerOptions } = await readJson("deno.json");
  const denied = (await readJson(`${SANDBOX}import_map.json`))["imports"];
  const inSandbox = Object.entries(denied as Record<string, string>).map(([specifier, module]) =>
    [specifier, module.replace("./", "./sandbox/")] as const
  );
  const config = {
    imports,
    scopes: { "./sandbox/": Object.fromEntries(inSandbox) },
    unstable,
    nodeModulesDir,
    allowScripts,
    compilerOptions,
    lock: { path: "../deno.lock" },
  };
  await Deno.writeTextFile(new URL(CONFIG, ROOT), JSON.stringify(config, undefined, 2));
}

/**
 * What a sandbox host runs and reads. It starts the modules by their URL, which no compiler sees, so each is named; the
 * folder brings what is no module.
 */
async function sandboxCode(): Promise<string[]> {
  const found = await Array.fromAsync(Deno.readDir(new URL(SANDBOX, ROOT)));
  const modules = found.map(({ name }) => name).filter((name) => name.endsWith(".js")).sort();
  return [SANDBOX, ...modules.map((name) => `${SANDBOX}${name}`)];
}

async function readJson(path: string): Promise<Record<string, unknown>> {
  return JSON.parse(await Deno.readTextFile(new URL(path, ROOT)));
}

/** Where the packages lie whose folders are excluded: `<cache>/<registry>/<name>/<version>/<folder>`. */
async function excludedFolders(): Promise<string[]> {
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output();
  const { npmCache } = JSON.parse(new TextDecoder().decode(stdout));
  const folders: string[] = [];
  for (const registry of await entries(npmCache)) {
    for (const { name, folder } of EXCLUDED_PACKAGE_FOLDERS) {
      for (const version of await entries(`${registry}/${name}`)) folders.push(`${version}/${folder}`);
    }
  }
  return folders;
}

/** Folders in a folder, none when it does not exist. */
async function entries(folder: string): Promise<string[]> {
  try {
    const found = await Array.fromAsync(Deno.readDir(folder));
    return found.filter(({ isDirectory }) => isDirectory).map(({ name }) => `${folder}/${name}`);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

const HELP = `Builds the service as one binary.

Usage: deno task compile [--target PLATFORM] [--output FILE]

  --target   platform such as x86_64-unknown-linux-gnu or aarch64-unknown-linux-gnu; default: this machine's
  --output   file to write; default: dist/rexec
`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    args: Deno.args,
    options: {
      target: { type: "string" },
      output: { type: "string", default: "dist/rexec" },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  await writeCompileConfig();
  const args = await compileArguments({ target: values.target, output: values.output });
  const { code } = await new Deno.Command(Deno.execPath(), { args, cwd: ROOT, stdin: "null" }).spawn().status;
  if (code === 0) console.log(`\nBuilt ${values.output}. Next: ${values.output} serve`);
  return code;
}

if (import.meta.main) {
  try {
    Deno.exit(await main());
  } catch (error) {
    console.error(`Cannot compile: ${messageOf(error)}`);
    Deno.exit(1);
  }
}
