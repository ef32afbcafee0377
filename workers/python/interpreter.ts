/**
 * A Python interpreter with our library in it, and nothing of JavaScript's within its reach.
 *
 * Only strings and numbers cross the border, and files of the interpreter's own file system, which lives in memory. The
 * code on the other side is the user's: whatever it answers is bounded and checked like a stranger's word.
 *
 * @module
 */

import type { PythonFiles } from "../protocol.ts";
import { TaskError } from "../task_error.ts";
import type { ConsoleStream } from "../user_console.ts";
import { packSnapshot } from "./memory_snapshot.ts";
import { loadPyodide, type Pyodide, type PyodideDistribution, type PythonModule } from "./pyodide.ts";

/** Where package and messages lie. */
export const PACKAGE_FOLDER = "/package";
const DEPENDENCIES_FOLDER = "/packages";
const RUN_FOLDER = "/run";
const LIBRARY_PATH = "/lib/rexec_runtime.zip";
const SLEEP_DEVICE = "/dev/sleep";
/** Of no other device that Emscripten has. */
const SLEEP_DEVICE_MAJOR = 90;

const BRIDGE_MODULE = "rexec_runtime.bridge";

/** The longest answer that our library gives: a traceback and a message, each character escaped. */
const MAX_ANSWER_LENGTH = 512 * 1024;

/** Flags that the host shares: the signal that Python is to take, and whether it was the host that sent it. */
const SIGNAL = 0;
const WAS_INTERRUPTED = 1;

/** Files that messages are in. */
export type MessageFile = "input" | "config" | "object" | "output";

/** The functions of `rexec_runtime.bridge`. */
interface Bridge extends PythonModule {
  begin(request: string): unknown;
  poll(): unknown;
}

/** The functions of `rexec_runtime.closing`. */
interface ClosingModule extends PythonModule {
  close(): unknown;
}

/** What the library says of the operation that runs; see its `bridge.py`. */
export type Answer =
  | { readonly state: "waiting"; readonly seconds: number | null }
  | { readonly state: "output" | "done" }
  | { readonly state: "raised"; readonly message: string; readonly traceback: string }
  | { readonly state: "invalid" | "unreadable" | "unwritable"; readonly message: string };

/** Where what Python writes goes. */
export type WriteConsole = (stream: ConsoleStream, text: string) => void;

/** What an interpreter starts from. */
export interface InterpreterOptions {
  readonly distribution: PyodideDistribution;
  readonly files: PythonFiles;
  /** CPython, which is not needed before the rest has been set up. */
  readonly wasm: Promise<WebAssembly.Module>;
  readonly write: WriteConsole;
  /** Shared with the host: two flags. */
  readonly flags: Int32Array;
}

/** A running interpreter, for one task. */
export class Interpreter {
  readonly #python: Pyodide;
  readonly #bridge: Bridge;
  readonly #flags: Int32Array;
  /** Whether it was told to stop while it ran our own code, or what took the place of it. */
  #endedByInterrupt = false;

  private constructor(python: Pyodide, bridge: Bridge, flags: Int32Array) {
    this.#python = python;
    this.#bridge = bridge;
    this.#flags = flags;
  }

  /** Starts an interpreter. */
  static async start({ distribution, files, wasm, write, flags }: InterpreterOptions): Promise<Interpreter> {
    const python = await loadPyodide(distribution, { ...files, wasm }, false);
    python.FS.writeFile(LIBRARY_PATH, files.library, { canOwn: true });
    if (files.snapshot === undefined || !distribution.hasSnapshots) python.runPython(PREPARE);
    for (const folder of [PACKAGE_FOLDER, DEPENDENCIES_FOLDER, RUN_FOLDER]) python.FS.mkdirTree(folder);
    installSleep(python, flags);
    captureStreams(python, write);
    python.setInterruptBuffer(flags);
    const bridge = python.pyimport(BRIDGE_MODULE) as Bridge; // our own module, whose functions these are
    const closing = python.pyimport("rexec_runtime.closing") as ClosingModule; // likewise
    closing.close();
    const interpreter = new Interpreter(python, bridge, flags);
    interpreter.#run({ op: "start" });
    return interpreter;
  }

  /** Starts an interpreter and gives what others start faster from: {@linkcode PythonFiles.snapshot}. */
  static async makeSnapshot(
    { distribution, files, wasm }: Pick<InterpreterOptions, "distribution" | "files" | "wasm">,
  ): Promise<Uint8Array> {
    const python = await loadPyodide(distribution, { ...files, wasm }, true);
    python.FS.writeFile(LIBRARY_PATH, files.library, { canOwn: true });
    python.runPython(PREPARE);
    if (distribution.hasSnapshots && python.makeMemorySnapshot !== undefined) {
      return packSnapshot(python.makeMemorySnapshot());
    }
    python.runPython(PRECOMPILE);
    return python.FS.readFile(PRECOMPILED_PATH);
  }

  /** Does what makes the first task faster. Never fails. */
  warmUp(): void {
    try {
      this.#run({ op: "warm" });
    } catch {
      // A task that meets the same fault tells of it.
    }
  }

  /** Tries from inside what must be impossible. @returns the pickle of a JSON text: a list of `ProbeOutcome` */
  probe(targets: unknown): Uint8Array {
    this.#run({ op: "probe", targets });
    return this.readOutput(MAX_ANSWER_LENGTH);
  }

  /** Whether the host had it interrupted: its time is nearly over, or nobody waits for it. */
  get wasInterrupted(): boolean {
    return Atomics.load(this.#flags, WAS_INTERRUPTED) !== 0;
  }

  /** Puts a file into the package's folder. @param path from there, checked by who read the package */
  writePackageFile(path: string, content: Uint8Array): void {
    this.#write(`${PACKAGE_FOLDER}/${path}`, content);
  }

  /** Puts a file where dependencies are looked for. */
  writeDependencyFile(path: string, content: Uint8Array): void {
    this.#write(`${DEPENDENCIES_FOLDER}/${path}`, content);
  }

  /** Leaves a message for the operation that begins next. */
  writeMessage(name: Exclude<MessageFile, "output">, bytes: Uint8Array): void {
    this.#python.FS.writeFile(`${RUN_FOLDER}/${name}`, bytes, { canOwn: true });
  }

  /**
   * Takes an output.
   * @throws {TaskError} `RESOURCE_LIMIT` when it has more bytes than it may, `TASK_FAILED` when there is none
   */
  readOutput(maxBytes: number): Uint8Array {
    const path = `${RUN_FOLDER}/output`;
    try {
      const { size } = this.#python.FS.stat(path);
      if (size > maxBytes) {
        throw new TaskError("RESOURCE_LIMIT", `Cannot encode output: it exceeds the limit of ${maxBytes} bytes`);
      }
      const bytes = this.#python.FS.readFile(path);
      this.#python.FS.unlink(path);
      return bytes;
    } catch (cause) {
      if (cause instanceof TaskError) throw cause;
      throw new TaskError("TASK_FAILED", "Cannot read output: the code has taken it away", { cause });
    }
  }

  /** Sets the environment variables of the task. */
  setEnvironment(environment: Readonly<Record<string, string>>): void {
    this.#run({ op: "environment", environment });
  }

  /** Runs an operation of ours before any code of the user's. */
  #run(request: Readonly<Record<string, unknown>>): void {
    this.begin(request);
    let answer = this.poll();
    // It gives way now and then to messages, of which there are none yet.
    while (answer.state === "waiting" && answer.seconds === 0) answer = this.poll();
    if (answer.state !== "done") {
      throw new TaskError("TASK_FAILED", `The Python interpreter did not start: ${JSON.stringify(answer)}`);
    }
  }

  /** Begins an operation. @throws {TaskError} `TASK_FAILED` when the interpreter has ended */
  begin(request: Readonly<Record<string, unknown>>): void {
    this.#call(() => this.#bridge.begin(JSON.stringify(request)));
  }

  /** Goes on with it. @throws {TaskError} `TASK_FAILED` when the interpreter has ended */
  poll(): Answer {
    const text = this.#endedByInterrupt ? undefined : this.#call(() => this.#bridge.poll());
    return this.#endedByInterrupt ? INTERRUPTED : readAnswer(text);
  }

  /** Whatever comes out of a call besides its answer means that no further one will have any. */
  #call(call: () => unknown): unknown {
    try {
      return call();
    } catch (cause) {
      const end = describeEnd(cause);
      this.#endedByInterrupt = this.wasInterrupted && end === INTERRUPTED.message;
      if (this.#endedByInterrupt) return undefined;
      throw new TaskError("TASK_FAILED", `The Python interpreter ended: ${end}`, { cause });
    }
  }

  #write(path: string, content: Uint8Array): void {
    this.#python.FS.mkdirTree(path.slice(0, path.lastIndexOf("/")));
    this.#python.FS.writeFile(path, content);
  }
}

const INTERRUPTED = { state: "raised", message: "KeyboardInterrupt", traceback: "KeyboardInterrupt\n" } as const;

const PREPARE = `import sys
sys.path.append("${LIBRARY_PATH}")
import ${BRIDGE_MODULE}, rexec_runtime.closing
${BRIDGE_MODULE}.prepare()
del sys, rexec_runtime`;

const PRECOMPILED_PATH = "/precompiled.zip";
const PRECOMPILE = `import rexec_runtime.precompiled
rexec_runtime.precompiled.write_precompiled("${PRECOMPILED_PATH}")`;

/** `time.sleep` without burning CPU time: whoever writes a number of milliseconds to the device is held for so long. */
function installSleep({ FS }: Pyodide, flags: Int32Array): void {
  const device = FS.makedev(SLEEP_DEVICE_MAJOR, 0);
  FS.registerDevice(device, {
    open: () => {},
    close: () => {},
    write: (_stream: unknown, buffer: Uint8Array, offset: number, length: number): number => {
      if (length !== 8) return length;
      const ms = new DataView(buffer.buffer, buffer.byteOffset + offset, length).getFloat64(0, true);
      // A signal that came before would not be heard.
      if (ms > 0 && Atomics.load(flags, SIGNAL) === 0) Atomics.wait(flags, SIGNAL, 0, ms);
      return length;
    },
  });
  FS.mkdev(SLEEP_DEVICE, device);
}

/** Bytes of one write: a line of a hundred megabytes is not decoded to be thrown away. */
const MAX_WRITE_BYTES = 4 * 1024 * 1024;

function captureStreams(python: Pyodide, write: WriteConsole): void {
  python.setStdin({ stdin: () => null });
  for (const stream of ["stdout", "stderr"] as const) {
    const decoder = new TextDecoder();
    const device = {
      write: (bytes: Uint8Array): number => {
        write(stream, decoder.decode(bytes.subarray(0, MAX_WRITE_BYTES), { stream: true }));
        return bytes.length;
      },
    };
    if (stream === "stdout") python.setStdout(device);
    else python.setStderr(device);
  }
}

function readAnswer(text: unknown): Answer {
  if (typeof text === "string" && text.length <= MAX_ANSWER_LENGTH) {
    const answer = parse(text);
    if (answer !== undefined) return answer;
  }
  throw new TaskError("TASK_FAILED", "The Python interpreter gave an answer that cannot be read");
}

/** Looks at every field: the code on the other side may have put its own function in the place of ours. */
function parse(text: string): Answer | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { state, seconds, message, traceback } = value as Readonly<Record<string, unknown>>; // an object, as JSON has them
  switch (state) {
    case "waiting":
      return { state, seconds: typeof seconds === "number" && seconds >= 0 ? seconds : null };
    case "output":
    case "done":
      return { state };
    case "raised":
      return typeof message === "string" && typeof traceback === "string" ? { state, message, traceback } : undefined;
    case "invalid":
    case "unreadable":
    case "unwritable":
      return typeof message === "string" ? { state, message } : undefined;
  }
  return undefined;
}

function describeEnd(cause: unknown): string {
  if (!(cause instanceof Error)) return "for a reason that cannot be shown";
  // Emscripten's: how a process ends that asks for it.
  if (cause.name === "Exit" || cause.name === "ExitStatus") return "it exited";
  const [line = ""] = cause.message.trim().split("\n").slice(-1);
  return line.slice(0, 500);
}
