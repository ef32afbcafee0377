/**
 * Runs user code in Python: the entry point of a package, a node that takes Python, or an object that stays.
 * @module
 */

import { type Codec, codecFor } from "../codecs/mod.ts";
import { parseLiteral } from "../codecs/literal.ts";
import { zipSync } from "fflate";
import { readPackage } from "../package/read_package.ts";
import { mergeLayers } from "../package/python/layer.ts";
import { readZip } from "../package/read_zip.ts";
import { DEFAULT_PACKAGE_LIMITS } from "../package/limits.ts";
import type { PackageEntry } from "../package/resolve_entry.ts";
import { OutputCredit } from "../output_credit.ts";
import {
  decodePackageTask,
  type PackageOptions,
  type PackageStreamOptions,
  type PackageTask,
  type ProbeOutcome,
  type StreamStep,
} from "../protocol.ts";
import { samplePayload, WARM_UP_ROUNDS } from "../sample_task.ts";
import { TaskError } from "../task_error.ts";
import type { StreamServices, TaskRuntime, TaskServices, TaskStream } from "../task_service.ts";
import { RaisedFailure } from "../user_failure.ts";
import type { Value } from "../values.ts";
import type { Answer, Interpreter, MessageFile, WriteConsole } from "./interpreter.ts";

const NOTHING = new Uint8Array();
const PICKLE = codecFor("pickle");
const NEVER = new Promise<never>(() => {});
/** The longest timer that JavaScript has, in milliseconds. */
const MAX_WAIT_MS = 2 ** 31 - 1;

/** After so long no further round of warming up begins: a version without a snapshot takes ten times as long for one. */
const WARM_UP_MS = 20;

/** A package like those of tasks. */
const WARM_UP_PACKAGE = zipSync({
  "manifest.json": new TextEncoder().encode('{"version":"1.0","type":"code_package","runtime":"python"}'),
  "code/main.py": new TextEncoder().encode("def main(item):\n    return item\n"),
});

/** What bounds the values of a task. */
type ValueLimits = Pick<PackageTask, "memoryLimitBytes" | "maxOutputBytes">;

/** Runs one task, or one stream, in an interpreter of its own. */
export class PythonRuntime implements TaskRuntime {
  readonly #interpreter: Interpreter;
  readonly #write: WriteConsole;

  constructor(interpreter: Interpreter, write: WriteConsole) {
    this.#interpreter = interpreter;
    this.#write = write;
  }

  async run(task: PackageTask, services: TaskServices): Promise<Uint8Array> {
    const operation = this.#operation(task, services);
    const codec = codecFor(task.format);
    this.#prepare(task);
    const { pythonNode } = task.options;
    const request = pythonNode === undefined
      ? { op: "run", ...entryOf(this.#load(task)) }
      : { op: "node", nodeType: pythonNode.nodeType, nodeName: `remote_${pythonNode.nodeType}` };
    if (pythonNode !== undefined) operation.send("config", literals(pythonNode.config));
    operation.sendInput(codec, task.input);
    await operation.complete(request);
    return operation.receive(codec);
  }

  async open(task: PackageTask, options: PackageStreamOptions, services: StreamServices): Promise<TaskStream> {
    const operation = this.#operation(task, services);
    this.#prepare(task);
    const { mode, config, creditBytes } = options;
    const { pythonNode } = task.options;
    operation.send("config", literals(pythonNode?.config ?? config));
    const opening = pythonNode === undefined
      ? { entry: this.#load(task) }
      : { entry: { kind: "node", nodeType: pythonNode.nodeType, nodeName: `remote_${pythonNode.nodeType}` } };
    await operation.complete({ op: "open", mode, config: true, ...opening });
    return new PythonStream(operation, new OutputCredit(creditBytes), services);
  }

  async warmUp(isIdle: () => boolean): Promise<void> {
    try {
      const payload = samplePayload();
      const until = performance.now() + WARM_UP_MS;
      for (let round = 0; round < WARM_UP_ROUNDS && performance.now() < until && isIdle(); round++) {
        this.#interpreter.warmUp();
        decodePackageTask(payload);
        readPackage(WARM_UP_PACKAGE, { entryPoint: "main:main" });
        PICKLE.decode(PICKLE.encode(new Map<string, Value>([["a", [1, 2.5, "x", null]]])));
        codecFor("json").encode(codecFor("json").decode(new TextEncoder().encode('{"a": [1, 2.5, "x"]}')));
        // A task that comes meanwhile is heard between two rounds.
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
    } catch {
      // A task that meets the same fault tells of it.
    }
  }

  probe(targets: unknown): readonly ProbeOutcome[] {
    return JSON.parse(String(PICKLE.decode(this.#interpreter.probe(targets))));
  }

  #operation({ memoryLimitBytes, maxOutputBytes }: PackageTask, { signal }: TaskServices): Operation {
    return new Operation(this.#interpreter, { memoryLimitBytes, maxOutputBytes }, { signal, write: this.#write });
  }

  /** Before the package is there, so that no module of it can take the place of one that this needs. */
  #prepare({ options: { environment }, layers }: PackageTask): void {
    if (Object.keys(environment).length > 0) this.#interpreter.setEnvironment(environment);
    const [first, ...others] = layers.map((layer) => readZip(layer, LAYER_LIMITS));
    for (const [path, content] of first === undefined ? [] : mergeLayers(first, others)) {
      this.#interpreter.writeDependencyFile(path, content);
    }
  }

  /** Puts the package in its place. @returns what of it is run */
  #load({ options, codePackage }: PackageTask): Exclude<PackageEntry, { kind: "module" }> {
    const read = readPackage(codePackage, packageOptions(options));
    if (read.runtime !== "python") {
      throw new TaskError(
        "INVALID_TASK",
        "Cannot run package: it is TypeScript or JavaScript, and this sandbox is Python's",
      );
    }
    for (const [path, content] of read.files) this.#interpreter.writePackageFile(path, content);
    if (read.serializedObject !== undefined) this.#interpreter.writeMessage("object", read.serializedObject);
    return read.entry;
  }
}

/** The server made it, within the policy's bounds. */
const LAYER_LIMITS = {
  ...DEFAULT_PACKAGE_LIMITS,
  maxCompressedBytes: Infinity,
  maxUnpackedBytes: Infinity,
  maxFiles: Infinity,
};

function packageOptions({ entryPoint, dependencies, maxPackageBytes, maxUnpackedBytes, maxFiles }: PackageOptions) {
  return {
    entryPoint,
    dependencies,
    limits: { maxCompressedBytes: maxPackageBytes, maxUnpackedBytes, maxFiles },
  };
}

function entryOf(entry: Exclude<PackageEntry, { kind: "module" }>): Readonly<Record<string, unknown>> {
  if (entry.kind === "python") return { module: entry.module, attribute: entry.attribute };
  throw new TaskError(
    "INVALID_TASK",
    'Cannot run package: it has a serialized object, and no entry point says what to call; write "package.module:function"',
  );
}

function literals(config: Readonly<Record<string, string>>): Value {
  return new Map(Object.entries(config).map(([key, text]) => [key, parseLiteral(text)]));
}

/** How long the interpreter waits, and what it writes when it is told to stop. */
interface OperationContext {
  readonly signal: AbortSignal;
  readonly write: WriteConsole;
}

/** One thing after the other that the interpreter is asked for. */
class Operation {
  readonly limits: ValueLimits;
  readonly #interpreter: Interpreter;
  readonly #context: OperationContext;
  /** Why an input could not be read is found out by our own decoder, which knows the words. */
  #explainInput: () => void = () => {};

  constructor(interpreter: Interpreter, limits: ValueLimits, context: OperationContext) {
    this.limits = limits;
    this.#interpreter = interpreter;
    this.#context = context;
  }

  /** Leaves a value for the operation that begins next. */
  send(file: Exclude<MessageFile, "output">, value: Value): void {
    this.#interpreter.writeMessage(
      file,
      PICKLE.encode(value, { maxOutputBytes: this.limits.memoryLimitBytes }).slice(),
    );
  }

  /** Leaves an encoded input. @throws {TaskError} for what its format or the service does not allow */
  sendInput(codec: Codec, input: Uint8Array): void {
    if (codec.format === "pickle") {
      // By Python itself, which makes its own types of it and knows the classes of the package.
      this.#explainInput = () => void PICKLE.decode(input, this.limits);
      this.#interpreter.writeMessage("input", input.slice());
    } else {
      this.send("input", codec.decode(input, this.limits));
    }
  }

  /** Takes an output, encoded anew where the format is not Python's own. @throws {TaskError} */
  receive(codec: Codec): Uint8Array {
    const isPickle = codec.format === "pickle";
    const output = this.#interpreter.readOutput(isPickle ? this.limits.maxOutputBytes : this.limits.memoryLimitBytes);
    return isPickle ? output : codec.encode(PICKLE.decode(output, this.limits), this.limits);
  }

  /** Runs an operation that gives no outputs on its way. */
  async complete(request: Readonly<Record<string, unknown>>): Promise<void> {
    for await (const _ of this.outputs(request)) {
      throw new TaskError("TASK_FAILED", "The Python interpreter gave an output that nobody asked for");
    }
  }

  /** Runs an operation; goes on after each output when the next one is asked for. */
  async *outputs(request: Readonly<Record<string, unknown>>): AsyncGenerator<void, void> {
    this.#interpreter.begin(request);
    while (true) {
      const answer = this.#interpreter.poll();
      switch (answer.state) {
        case "waiting":
          await wait(answer.seconds, this.#context.signal);
          break;
        case "output":
          yield;
          break;
        case "done":
          return;
        case "raised":
          this.#refuseInterrupted(answer);
          throw new RaisedFailure(answer.message, answer.traceback);
        case "unreadable":
          this.#explainInput();
          throw new TaskError("TASK_FAILED", answer.message);
        case "unwritable":
          throw new TaskError("TASK_FAILED", answer.message);
        case "invalid":
          throw new TaskError("INVALID_TASK", answer.message);
      }
    }
  }

  /** Whoever was told to stop and did so has met a limit: which one, the server knows, and has the words for it. */
  #refuseInterrupted({ message, traceback }: Extract<Answer, { state: "raised" }>): void {
    if (!this.#interpreter.wasInterrupted || !message.startsWith("KeyboardInterrupt")) return;
    this.#context.write("stderr", traceback);
    throw new TaskError("CANCELLED", "Task stopped: it was told to");
  }
}

/** Waits for a timer of Python's, or until the task is told that its time is over. */
async function wait(seconds: number | null, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = seconds === null ? undefined : setTimeout(resolve, Math.min(seconds * 1_000, MAX_WAIT_MS));
  const wake = () => resolve();
  if (signal.aborted) {
    // It has been told; what it does until the end is its own affair.
    if (seconds === null) await NEVER;
  } else {
    signal.addEventListener("abort", wake);
  }
  await promise;
  signal.removeEventListener("abort", wake);
  if (timer !== undefined) clearTimeout(timer);
}

/** A user's object, function or generator over a stream of inputs. */
class PythonStream implements TaskStream {
  readonly #operation: Operation;
  readonly #credit: OutputCredit;
  readonly #services: StreamServices;

  constructor(operation: Operation, credit: OutputCredit, services: StreamServices) {
    this.#operation = operation;
    this.#credit = credit;
    this.#services = services;
  }

  grant(bytes: number): void {
    this.#credit.grant(bytes);
  }

  async step({ action, format, method, input }: StreamStep): Promise<Uint8Array> {
    if (action === "close") {
      await this.#operation.complete({ op: "close" });
      return NOTHING;
    }
    const codec = codecFor(format);
    switch (action) {
      case "process":
        this.#operation.sendInput(codec, input);
        await this.#giveAll({ op: "process" }, codec);
        return NOTHING;
      case "flush":
        await this.#giveAll({ op: "flush" }, codec);
        return NOTHING;
      case "call":
        if (input.length === 0) this.#operation.send("input", []);
        else this.#operation.sendInput(codec, input);
        await this.#operation.complete({ op: "call", method });
        return this.#operation.receive(codec);
    }
  }

  async #giveAll(request: Readonly<Record<string, unknown>>, codec: Codec): Promise<void> {
    const startedAt = this.#services.nowMs();
    for await (const _ of this.#operation.outputs(request)) {
      const output = this.#operation.receive(codec);
      await this.#credit.available();
      this.#credit.spend(output.length);
      this.#services.give({ runMicros: Math.max(0, (this.#services.nowMs() - startedAt) * 1_000), output });
    }
  }
}
