/**
 * Code of the Web Worker that runs user code in Python, but for Pyodide itself: each version has an entry of its own that
 * loads this first, which locks, then Pyodide's modules, and then starts the interpreter.
 *
 * @module
 */

import { postSnapshot, pythonStart, pythonWasm } from "./harden.ts";
import { Interpreter } from "./python/interpreter.ts";
import type { PyodideDistribution } from "./python/pyodide.ts";
import { PythonRuntime } from "./python/tasks.ts";
import { serveTask, writeOutput } from "./task_service.ts";

/** Starts the interpreter, and serves. */
export async function startPython(bundled: PyodideDistribution): Promise<void> {
  const { pythonMode, sharesMemory, files, flags } = await pythonStart();
  const distribution = { ...bundled, hasSnapshots: bundled.hasSnapshots && sharesMemory };
  const wasm = pythonWasm();
  if (pythonMode === "snapshot") {
    postSnapshot(await Interpreter.makeSnapshot({ distribution, files, wasm }));
    return serveTask(NO_RUNTIME);
  }
  const interpreter = await Interpreter.start({ distribution, files, wasm, write: writeOutput, flags });
  serveTask(new PythonRuntime(interpreter, writeOutput));
}

/** Of a host that only makes a snapshot: it gets no task. */
const NO_RUNTIME = {
  run: () => Promise.reject(new Error("Cannot run task: this sandbox only makes a snapshot")),
  open: () => Promise.reject(new Error("Cannot open stream: this sandbox only makes a snapshot")),
  warmUp: () => Promise.resolve(),
};
