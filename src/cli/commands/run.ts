import type { Command } from "commander";
import {
  ExecutionError,
  packageFiles,
  readPackageFiles,
  type RemoteExecutionClient,
  type RequestedGrants,
} from "../../client/mod.ts";
import { UsageError } from "../errors.ts";
import { toExitCode } from "../exit_code.ts";
import { addGrantOptions, type GrantOptions, grantsOf, permissionsOf } from "../grant_options.ts";
import { type LoadedInput, loadInput } from "../input.ts";
import { report } from "../report.ts";
import type { Session } from "../session.ts";
import { isPrinted, noteMetrics, showResult } from "../show_result.ts";
import { TaskConsole } from "../task_console.ts";
import {
  addPythonOption,
  addTaskOptions,
  collect,
  limitsOf,
  pythonManifest,
  type PythonOption,
  type TaskOptions,
} from "../task_options.ts";
import { runOnChange } from "../watch.ts";

const EXAMPLES = `
PATH is a file, or a folder for code of more than one file; hidden files, node_modules and __pycache__ are left out, and
links that lead out of it are refused. The entry point counts from the folder: path/to/mod.ts:name for TypeScript and
JavaScript, package.module:function for Python. Without one it is the default export of the only module, or of main.ts,
mod.ts or index.ts; of Python the function main of the only module, or of main.py, mod.py or index.py. Python runs on the
service's default version, unless --python names another one that it has.

The result alone goes to standard output. What the task writes to its console goes to standard error line by line while
it runs; each line is led by "stdout |" or "stderr |". --quiet leaves it out, --json puts it beside the result.

A task computes and no more, unless it asks for the network (--allow-net), a scratch folder (--allow-files) or environment
variables (--env) and the service's policy grants them; what it does not grant ends with exit code 4. Of your environment
the task sees only what --env and --env-file name, and nothing of the service's. --env NAME keeps a secret out of the
process list, where --env NAME=VALUE shows it. Limits without a flag are the service's defaults, and its policy has
ceilings for all of them.

Examples:
  rexec run double.ts --data 21
  rexec run ./pipeline --entry steps/clean.ts:clean --input in.json --output out.json
  rexec run ./filter --input in.wav --output out.wav --timeout 10 --memory 256 --cpu-time 5
  rexec run sums.py --data '[1, 2]' --python 3.11
  rexec run ./pipeline --data '{"n": 3}' --watch
  rexec run fetch.ts --allow-net                                 all hosts that the policy grants
  rexec run fetch.ts --allow-net=api.example.com:443 --env API_KEY
  rexec run convert.ts --allow-files --workdir work --env MODE=fast --env-file task.env`;

interface RunOptions extends TaskOptions, GrantOptions, PythonOption {
  readonly entry?: string;
  readonly dependency?: readonly string[];
  readonly watch?: boolean;
}

/** `rexec run PATH` */
export function addRun(program: Command, start: (command: Command) => Session): void {
  const command = program.command("run")
    // Optional to commander only, so that we can say who took the path.
    .usage("[options] <path>")
    .argument("[path]", "file or folder of code")
    .description("package code and run it")
    .option("--entry <point>", "what to run: mod.ts:name, or name alone for the main module");
  addPythonOption(addGrantOptions(addTaskOptions(command)))
    .option("--dependency <name>", "requirement of the code, repeatable: npm:zod@4, numpy>=2", collect)
    .option("--watch", "run again when the code or the input file changes, ending what still runs")
    .addHelpText("after", EXAMPLES)
    .action(async (path: string | undefined, options: RunOptions, command: Command) => {
      if (path === undefined) throw missingPath(options);
      const session = start(command);
      const grants = await grantsOf(options, session);
      const { input, output, watch = false } = options;
      const inputFile = input === "-" ? undefined : input;
      // A file may change between runs; standard input can be read only once.
      const fixed = watch && inputFile !== undefined ? undefined : await loadInput(options, session);
      using client = await session.connect();
      const runOnce = async (signal: AbortSignal) => {
        const loaded = fixed ?? await loadInput(options, session);
        await run(path, options, { session, client, loaded, grants, signal });
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
  readonly grants: RequestedGrants;
  readonly signal: AbortSignal;
}

async function run(
  path: string,
  options: RunOptions,
  { session, client, loaded, grants, signal }: RunContext,
): Promise<void> {
  const { files, manifest } = await readPackageFiles(path);
  const codePackage = packageFiles(files, { ...manifest, ...pythonManifest(options), ...permissionsOf(grants) });
  if (session.options.verbose) {
    await session.note(`Packaged ${files.size} ${files.size === 1 ? "file" : "files"}, ${codePackage.length} bytes`);
  }
  const limits = limitsOf(options);
  // As JSON it stands beside the result, unless that goes elsewhere.
  const isReported = session.options.json && isPrinted(options);
  const taskConsole = new TaskConsole(session);
  try {
    const result = await client.executeCustomTask(codePackage, {
      entryPoint: options.entry,
      input: loaded.input,
      format: options.format,
      dependencies: options.dependency,
      options: { ...limits.options, ...grants },
      timeoutMs: limits.timeoutMs,
      onConsole: isReported || session.options.quiet ? undefined : (text) => taskConsole.add(text),
      signal,
    });
    await taskConsole.end();
    await showResult(result, options, { session, wavEncoding: loaded.wavEncoding });
  } catch (error) {
    await taskConsole.end();
    // As JSON they stand in the report.
    if (error instanceof ExecutionError && !session.options.json) await noteMetrics(error.metrics, session);
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

/** `--allow-net PATH` reads the path as hosts. */
function missingPath({ allowNet = [] }: RunOptions): UsageError {
  const taken = allowNet.filter((host) => host !== "*").at(-1);
  return new UsageError(
    "missing required argument 'path'",
    taken === undefined
      ? "rexec run --help tells more"
      : `--allow-net took ${taken} for a host: put the path before it, or write --allow-net=HOSTS`,
  );
}
