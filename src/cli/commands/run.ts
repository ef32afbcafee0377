import { type Command, InvalidArgumentError } from "commander";
import {
  ExecutionError,
  packageFiles,
  type PackageManifest,
  readPackageFiles,
  type RemoteExecutionClient,
} from "../../client/mod.ts";
import { toExitCode } from "../exit_code.ts";
import { type LoadedInput, loadInput } from "../input.ts";
import { report } from "../report.ts";
import type { Session } from "../session.ts";
import { isPrinted, noteMetrics, showConsole, showResult } from "../show_result.ts";
import { addTaskOptions, limitsOf, type TaskOptions } from "../task_options.ts";
import { runOnChange } from "../watch.ts";

const EXAMPLES = `
PATH is a file, or a folder for code of more than one file; hidden files, node_modules and __pycache__ are left out, and
links that lead out of it are refused. The entry point counts from the folder: path/to/mod.ts:name for TypeScript and
JavaScript, package.module:function for Python. Without one it is the default export of the only module, or of main.ts,
mod.ts or index.ts.

The result alone goes to standard output. What the task writes to its console goes to standard error when the task has
ended, since the service sends it with the answer; each line is led by "stdout |" or "stderr |". --quiet leaves it out,
--json puts it beside the result.

Whether a task may use the network is up to the service's policy. --allow-net asks for it, and names the hosts in the
package's manifest; a service whose policy says no refuses the task (exit code 4).

Examples:
  rexec run double.ts --data 21
  rexec run ./pipeline --entry steps/clean.ts:clean --input in.json --output out.json
  rexec run ./filter --input in.wav --output out.wav --timeout 10 --memory 256
  rexec run ./pipeline --data '{"n": 3}' --watch
  rexec --json run fetch.ts --allow-net api.example.com`;

interface RunOptions extends TaskOptions {
  readonly entry?: string;
  readonly dependency: readonly string[];
  readonly allowNet: readonly string[];
  readonly watch?: boolean;
}

/** `rexec run PATH` */
export function addRun(program: Command, start: (command: Command) => Session): void {
  const command = program.command("run")
    .argument("<path>", "file or folder of code")
    .description("package code and run it")
    .option("--entry <point>", "what to run: mod.ts:name, or name alone for the main module");
  addTaskOptions(command)
    .option("--dependency <name>", "requirement of the code, repeatable: npm:zod@4", collect, [])
    .option("--allow-net <host>", "ask for the network, repeatable or with commas", collectHosts, [])
    .option("--watch", "run again when the code or the input file changes, ending what still runs")
    .addHelpText("after", EXAMPLES)
    .action(async (path: string, options: RunOptions, command: Command) => {
      const session = start(command);
      const { input, output, watch = false } = options;
      const inputFile = input === "-" ? undefined : input;
      // A file may change between runs; standard input can be read only once.
      const fixed = watch && inputFile !== undefined ? undefined : await loadInput(options, session);
      using client = await session.connect();
      const runOnce = async (signal: AbortSignal) => {
        const loaded = fixed ?? await loadInput(options, session);
        await run(path, options, { session, client, loaded, signal });
      };
      if (!watch) return await runOnce(session.signal);
      await runOnChange((signal) => watchedRun(runOnce, { path, session, signal }), {
        paths: inputFile === undefined ? [path] : [path, inputFile],
        except: output === undefined || output === "-" ? [] : [output],
        signal: session.signal,
      });
    });
}

interface RunContext {
  readonly session: Session;
  readonly client: RemoteExecutionClient;
  readonly loaded: LoadedInput;
  readonly signal: AbortSignal;
}

async function run(path: string, options: RunOptions, { session, client, loaded, signal }: RunContext): Promise<void> {
  const { files, manifest } = await readPackageFiles(path);
  const codePackage = packageFiles(files, { ...manifest, ...permissionsOf(options) });
  if (session.options.verbose) {
    await session.note(`Packaged ${files.size} ${files.size === 1 ? "file" : "files"}, ${codePackage.length} bytes`);
  }
  const limits = limitsOf(options);
  try {
    const result = await client.executeCustomTask(codePackage, {
      entryPoint: options.entry,
      input: loaded.input,
      format: options.format,
      dependencies: options.dependency,
      options: { ...limits.options, enableNetworking: options.allowNet.length > 0 },
      timeoutMs: limits.timeoutMs,
      signal,
    });
    // As JSON it stands beside the result, unless that goes elsewhere.
    if (!session.options.json || !isPrinted(options)) await showConsole(result, session);
    await showResult(result, options, { session, wavEncoding: loaded.wavEncoding });
  } catch (error) {
    // As JSON both stand in the report.
    if (error instanceof ExecutionError && !session.options.json) {
      await showConsole(error, session);
      await noteMetrics(error.metrics, session);
    }
    throw error;
  }
}

/** One run of several: what goes wrong is reported, and the next change gets its chance. */
async function watchedRun(
  run: (signal: AbortSignal) => Promise<void>,
  { path, session, signal }: { path: string; session: Session; signal: AbortSignal },
): Promise<void> {
  try {
    await run(signal);
  } catch (error) {
    // Ended because of a change or an interrupt, which the watch itself tells of.
    if (session.signal.aborted) return;
    if (signal.aborted) return await session.note(`${path} has changed: running anew`);
    await report(error, toExitCode(error), session);
  }
  if (!signal.aborted) await session.note(`Waiting for changes of ${path} (Ctrl-C ends it)`);
}

function permissionsOf({ allowNet }: RunOptions): PackageManifest {
  return allowNet.length === 0 ? {} : { permissions: { net: allowNet } };
}

function collect(item: string, items: readonly string[]): string[] {
  return [...items, item];
}

function collectHosts(list: string, hosts: readonly string[]): string[] {
  const added = list.split(",").map((host) => host.trim());
  if (added.some((host) => !/^[\w.*:[\]-]+$/.test(host))) {
    throw new InvalidArgumentError("It must be host or host:port.");
  }
  return [...hosts, ...added];
}
