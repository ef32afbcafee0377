/**
 * Messages between the server and a sandbox host, and between the host and its worker. Imports nothing: both sides
 * share this file and nothing else.
 *
 * A frame is a little-endian `u32` length of all that follows, a `u8` kind, a `u32` task id and a payload. The host
 * relays frames to the worker by their bytes and looks into none but those that bring a package, which it opens; each
 * receiver bounds and validates what it decodes and treats a violation as the sender's end.
 *
 * @module
 */

/** The most that UTF-8 needs for one UTF-16 unit. */
const UTF8_BYTES_PER_UNIT = 3;

/** Both sides are the same program; a host of another build is refused by this number. */
export const PROTOCOL_VERSION = 5;

/** Bytes before a frame's payload. */
export const FRAME_HEADER_BYTES = 9;

/** What a frame is. The server sends kinds below 64, the host and its worker those from 64 up. */
export const FrameKind = {
  /** server → worker: run a node; payload {@linkcode NodeTask}. */
  Task: 1,
  /** server → worker: stop the task of this id; no payload. */
  Cancel: 2,
  /** server → host and worker: try what must be impossible; payload {@linkcode ProbeTargets} as JSON. */
  Probe: 3,
  /** server → worker: run user code; payload {@linkcode PackageTask}. */
  Package: 4,
  /** server → worker: a limit is near; payload {@linkcode SoftLimit}. */
  SoftLimit: 5,
  /** server → host: end the worker of the last task and start another, which says that it is ready; no payload. */
  Renew: 6,
  /** server → worker of user code: nobody waits for it now, so it may do what makes its task faster; no payload. */
  WarmUp: 7,
  /** server → worker: make a node that stays until it is closed; payload {@linkcode NodeTask}, its input empty. */
  Open: 8,
  /** server → worker: the same with user code; payload {@linkcode PackageTask}, its input empty. */
  OpenPackage: 9,
  /** server → worker: go on with a stream; payload {@linkcode StreamStep}. */
  Step: 10,
  /** server → worker of user code: there is room for so many more bytes of outputs; payload a `f64`. */
  Credit: 11,
  /** host → server, once: payload is the version as `u8`, then the token. */
  Hello: 64,
  /** worker → server, once: ready for tasks; payload JSON, the nodes it has. */
  Ready: 65,
  /** worker → server: payload {@linkcode TaskResult}; ends the task. */
  Result: 66,
  /** worker → server: a line of the task's log; payload {@linkcode TaskLog}. */
  Log: 67,
  /** host and worker → server: payload JSON, a list of {@linkcode ProbeOutcome}. */
  ProbeReport: 68,
  /** host → server: the worker ended; payload is the reason as UTF-8. The host exits next. */
  Fatal: 69,
  /** worker → server: user code wrote to its console; payload {@linkcode ConsoleText}. */
  Console: 70,
  /** worker → server: one output of a stream; payload {@linkcode StreamOutput}. */
  Output: 71,
  /** host → server: the task's package passed every check, and depends on nothing outside; no payload. */
  Validated: 72,
} as const;

/** One of {@linkcode FrameKind}. */
export type FrameKind = typeof FrameKind[keyof typeof FrameKind];

/**
 * Assets: files beside the worker's code that it may ask its host for, since it can read none itself. They never pass
 * the server: the worker posts a name as a string, and the host answers with an {@linkcode AssetReply}, neither of them
 * a frame.
 */
export const ASSET_NAMES = ["libsamplerate.wasm", "squoosh_resize.wasm"] as const;

/** One of {@linkcode ASSET_NAMES}. */
export type AssetName = typeof ASSET_NAMES[number];

/** Whether a host hands this out. */
export function isAssetName(name: string): name is AssetName {
  return ASSET_NAMES.some((known) => known === name);
}

/** host → worker: a file, or why there is none. */
export type AssetReply =
  | { readonly name: AssetName; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly name: AssetName; readonly error: string };

/** Files that an interpreter is made of. */
export interface PythonFiles {
  /** Zip of Python's standard library. */
  readonly standardLibrary: Uint8Array<ArrayBuffer>;
  /** Zip of `workers/python/lib`. */
  readonly library: Uint8Array<ArrayBuffer>;
  /**
   * What an interpreter that was started before has left: its memory, or its compiled modules in a zip where memory is
   * not shared or its version cannot give it. `undefined` to start from nothing.
   */
  readonly snapshot: Uint8Array<ArrayBuffer> | undefined;
}

/** host → worker of Python's, before anything else: what it is started with and for, and two flags that they share. Never a frame. */
export interface PythonStart {
  readonly files: PythonFiles;
  /** `snapshot`: make one and give it as a {@linkcode PythonSnapshot} before being ready. */
  readonly pythonMode: "cold" | "from snapshot" | "snapshot";
  /** Whether a snapshot is of the interpreter's memory, where its version can give it, and not of its compiled modules. */
  readonly sharesMemory: boolean;
  /** The signal that the interpreter is to take, and whether the host has sent one. */
  readonly flags: Int32Array;
}

/** host → worker of Python's, after {@linkcode PythonStart}: CPython, compiled meanwhile. Never a frame. */
export interface PythonWasm {
  readonly pythonWasm: WebAssembly.Module;
}

/**
 * worker → host: what other interpreters start from, the memory of one or its compiled modules. Never a frame.
 */
export interface PythonSnapshot {
  readonly pythonSnapshot: Uint8Array;
}

/** A received frame: a view on the receive buffer. */
export class Frame {
  constructor(
    readonly kind: number,
    readonly taskId: number,
    /** The whole frame, header included, as it can be sent on. */
    readonly bytes: Uint8Array,
  ) {}

  get payload(): Uint8Array {
    return this.bytes.subarray(FRAME_HEADER_BYTES);
  }
}

/** The other side broke the protocol; nothing it sent afterwards can be trusted. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}

/** An execution of a built-in node. */
export interface NodeTask {
  readonly nodeType: string;
  readonly format: string;
  readonly config: ReadonlyMap<string, string>;
  /** Bytes that the task may allocate. */
  readonly memoryLimitBytes: number;
  readonly maxOutputBytes: number;
  readonly input: Uint8Array;
}

/** Bytes that a task's frame may have besides its input. */
export const MAX_TASK_TEXT_BYTES = 1024 * 1024;

/** The most bytes that a task's frame can have besides its input. */
export function taskTextBytes({ nodeType, format, config }: Pick<NodeTask, "nodeType" | "format" | "config">): number {
  let characters = nodeType.length + format.length;
  for (const [key, value] of config) characters += key.length + value.length;
  return 64 + 8 * config.size + UTF8_BYTES_PER_UNIT * characters;
}

/** Versions of CPython that sandboxes offer, the oldest first. Another one is a line here, and one in deno.json. */
export const PYTHON_VERSIONS = ["3.11", "3.14"] as const;

/** One of {@linkcode PYTHON_VERSIONS}. */
export type PythonVersion = typeof PYTHON_VERSIONS[number];

/** A built-in node that runs Python, `CodeExecutorNode` say, instead of a package. */
export interface PythonNode {
  readonly nodeType: string;
  /** Each a literal as text. */
  readonly config: Readonly<Record<string, string>>;
}

/** What user code is validated and run by. */
export interface PackageOptions {
  readonly entryPoint: string;
  /** Packages that the request declares, `npm:name@version` say. */
  readonly dependencies: readonly string[];
  readonly maxPackageBytes: number;
  readonly maxUnpackedBytes: number;
  readonly maxFiles: number;
  /** Modules that the policy forbids. */
  readonly blockedImports: readonly string[];
  /** Whether the server knows that this very package passed every check before, by the same rules. */
  readonly validated: boolean;
  /** Environment variables that the task sees: those of its request, and no others. */
  readonly environment: Readonly<Record<string, string>>;
  /** What a task with network proves itself to its egress proxy with; set by the host's owner. */
  readonly egress?: {
    readonly user: string;
    readonly token: string;
    /** Certificates to trust beside the usual ones, in PEM. */
    readonly caCerts?: readonly string[];
  };
  /** Of a stream or a session. */
  readonly stream?: PackageStreamOptions;
  /** Of a task that runs a node of Python's; its package is empty. */
  readonly pythonNode?: PythonNode;
}

/** How user code that stays is used. */
export interface PackageStreamOptions {
  /** `stream`: anything that takes items; `object`: a class or an object, whose methods may be called. */
  readonly mode: "stream" | "object";
  /** Parameters of the request, each a literal as text. */
  readonly config: Readonly<Record<string, string>>;
  /** Bytes of outputs that may be sent before the first {@linkcode FrameKind.Credit}. */
  readonly creditBytes: number;
}

/** What a stream may be asked to do; the index is the number on the wire. */
export const STEP_ACTIONS = ["process", "flush", "call", "close"] as const;

/** One of {@linkcode STEP_ACTIONS}. */
export type StepAction = typeof STEP_ACTIONS[number];

/**
 * A task that goes on with a stream: `process` one input, `flush` what it holds at the end of its inputs, `call` a method
 * of the user's object, whose result is the task's, or `close` it. A stream is named by the id of the task that opened it.
 */
export interface StreamStep {
  readonly streamId: number;
  readonly action: StepAction;
  readonly format: string;
  /** Of `call`; empty otherwise. */
  readonly method: string;
  readonly input: Uint8Array;
}

/** What an output costs of its stream's credit besides its bytes: empty ones are not free. */
export const OUTPUT_COST_BYTES = 64;

/** An output of a stream. */
export interface StreamOutput {
  /** Time since its step began, in microseconds. */
  readonly runMicros: number;
  readonly output: Uint8Array;
}

/** An execution of user code. */
export interface PackageTask {
  readonly format: string;
  readonly memoryLimitBytes: number;
  readonly maxOutputBytes: number;
  /** Bytes of console output that are kept. */
  readonly maxConsoleBytes: number;
  readonly options: PackageOptions;
  readonly input: Uint8Array;
  /**
   * The packages that the code depends on: for Python zips of them as they are to lie in `site-packages`, for TypeScript and
   * JavaScript one, as `package/npm/layer_index.ts` says.
   */
  readonly layers: readonly Uint8Array[];
  readonly codePackage: Uint8Array;
}

/** A limit that is near. */
export interface SoftLimit {
  /** Which, `time limit` say. */
  readonly reason: string;
  readonly leftMs: number;
}

/** Text that user code wrote. */
export interface ConsoleText {
  readonly stream: "stdout" | "stderr";
  /** Untrusted. */
  readonly text: string;
}

/** How a task ended, as the worker says; the index is the number on the wire. */
export const TASK_OUTCOMES = [
  "OK",
  "INVALID_TASK",
  "TASK_FAILED",
  "SECURITY_VIOLATION",
  "RESOURCE_LIMIT",
  "CANCELLED",
] as const;

/** One of {@linkcode TASK_OUTCOMES}. */
export type TaskOutcome = typeof TASK_OUTCOMES[number];

/** A code package in TypeScript or JavaScript that was opened, without its files. */
export interface OpenedPackage {
  /** Folder that its files lie in, a `file:` URL that ends with a slash. */
  readonly codeUrl: string;
  /** Module that is run, from that folder. */
  readonly path: string;
  readonly exportName: string;
}

/** Why a code package was not opened. */
export interface PackageFault {
  readonly fault: Exclude<TaskOutcome, "OK">;
  readonly message: string;
}

/** host → worker of user code: the package of its task. Never a frame. */
export type PackageReply = OpenedPackage | PackageFault;

/** Lines of one task's log; the last says that more were dropped. */
export const MAX_LOG_LINES = 100;
/** UTF-16 units of a log line. */
export const MAX_LOG_LINE_LENGTH = 2_000;
/** UTF-16 units of a result's message. */
export const MAX_MESSAGE_LENGTH = 8_192;
/** UTF-16 units of a result's traceback. */
export const MAX_TRACEBACK_LENGTH = 32_768;

/** The end of a task. */
export interface TaskResult {
  readonly outcome: TaskOutcome;
  /** Time from the task's start to its end inside the worker, in microseconds. */
  readonly runMicros: number;
  /** What went wrong; empty for `OK`. Untrusted text. */
  readonly message: string;
  /** The error's stack; empty for `OK`. Untrusted text. */
  readonly traceback: string;
  /** The encoded output; empty for all but `OK`. */
  readonly output: Uint8Array;
}

/** A line of a task's log. */
export interface TaskLog {
  readonly level: "warning" | "info";
  readonly message: string;
}

/** Where the probe finds things that a sandbox must not reach. */
export interface ProbeTargets {
  /** A readable file outside the sandbox's code. */
  readonly file: string;
  /** A TypeScript module outside the sandbox's code. */
  readonly moduleUrl: string;
  /** A folder that the server may write to. */
  readonly writableDirectory: string;
  /** A listening TCP port on the loopback interface. */
  readonly loopbackPort: number;
  /** An environment variable that the server has. */
  readonly environmentVariable: string;
}

/** What became of one forbidden operation. */
export interface ProbeOutcome {
  /** `host`, `worker` (permissions none, before hardening), `task` (as tasks run), or `interpreter` (as Python runs). */
  readonly place: "host" | "worker" | "task" | "interpreter";
  /** The operation, `read file` say. */
  readonly attempt: string;
  /** `true` when it succeeded: the sandbox leaks. */
  readonly leaked: boolean;
  /** The refusal, or what came out. */
  readonly detail: string;
}

/** Up to this length, most text is encoded and decoded faster here than by a call into the runtime. */
const SHORT_LENGTH = 32;

const encoder = new TextEncoder();
const strictDecoder = new TextDecoder("utf-8", { fatal: true });

/** One number and its bytes, in the byte order of all machines that Deno runs on: little-endian. */
const number = new Float64Array(1);
const numberBytes = new Uint8Array(number.buffer);

/**
 * Writes little-endian fields into one growing buffer. A few bytes, which most heads of frames are, lie on the runtime's
 * heap, and a view of them, a DataView for one, would have it allocate a buffer for each.
 */
class ByteWriter {
  #bytes: Uint8Array;
  #length: number;

  constructor(capacity: number, start = 0) {
    this.#bytes = new Uint8Array(capacity);
    this.#length = start;
  }

  #reserve(count: number): number {
    const start = this.#length;
    const needed = start + count;
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
      grown.set(this.#bytes.subarray(0, start));
      this.#bytes = grown;
    }
    this.#length = needed;
    return start;
  }

  u8(value: number): void {
    const at = this.#reserve(1);
    this.#bytes[at] = value;
  }

  u32(value: number): void {
    this.patchU32(this.#reserve(4), value);
  }

  f64(value: number): void {
    const at = this.#reserve(8);
    number[0] = value;
    this.#bytes.set(numberBytes, at);
  }

  /** A length-prefixed UTF-8 string. */
  string(value: string): void {
    if (isShortAscii(value)) return this.#ascii(value);
    const start = this.#reserve(4 + value.length * UTF8_BYTES_PER_UNIT);
    const { written } = encoder.encodeInto(value, this.#bytes.subarray(start + 4));
    this.patchU32(start, written);
    this.#length = start + 4 + written;
  }

  #ascii(value: string): void {
    const start = this.#reserve(4 + value.length);
    const bytes = this.#bytes;
    for (let index = 0; index < value.length; index++) bytes[start + 4 + index] = value.charCodeAt(index);
    this.patchU32(start, value.length);
  }

  /** Bytes up to the end of the payload, without a length. */
  rest(value: Uint8Array): void {
    const at = this.#reserve(value.length);
    this.#bytes.set(value, at);
  }

  patchU32(at: number, value: number): void {
    const bytes = this.#bytes;
    bytes[at] = value;
    bytes[at + 1] = value >>> 8;
    bytes[at + 2] = value >>> 16;
    bytes[at + 3] = value >>> 24;
  }

  get length(): number {
    return this.#length;
  }

  finish(): Uint8Array<ArrayBuffer> {
    const bytes = this.#bytes as Uint8Array<ArrayBuffer>; // allocated above, never shared
    return this.#length === bytes.length ? bytes : bytes.subarray(0, this.#length);
  }
}

function isShortAscii(text: string): boolean {
  if (text.length > SHORT_LENGTH) return false;
  for (let index = 0; index < text.length; index++) {
    if (text.charCodeAt(index) > 0x7f) return false;
  }
  return true;
}

/** A little-endian number of four bytes, which must be there. */
function u32At(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | bytes[at + 1]! << 8 | bytes[at + 2]! << 16 | bytes[at + 3]! << 24) >>> 0;
}

/** Reads what {@linkcode ByteWriter} wrote; every read is bounded by the payload. */
class ByteReader {
  readonly #bytes: Uint8Array;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  #take(count: number): number {
    const start = this.#offset;
    if (count > this.#bytes.length - start) {
      throw new ProtocolError(`Cannot read message: ${count} bytes needed at ${start}, ${this.#bytes.length} there`);
    }
    this.#offset = start + count;
    return start;
  }

  u8(): number {
    return this.#bytes[this.#take(1)]!; // taken
  }

  u32(): number {
    return u32At(this.#bytes, this.#take(4));
  }

  /** A finite number that is not negative. */
  amount(): number {
    const start = this.#take(8);
    for (let index = 0; index < 8; index++) numberBytes[index] = this.#bytes[start + index]!; // taken
    const value = number[0]!;
    if (!(value >= 0 && value <= Number.MAX_SAFE_INTEGER)) {
      throw new ProtocolError(`Cannot read message: amount is ${value}`);
    }
    return value;
  }

  /** @param maxLength UTF-16 units, more than which the sender never writes */
  string(maxLength = Infinity): string {
    const length = this.u32();
    // Before it is decoded; afterwards once more, since ASCII needs a third of these bytes.
    if (length > maxLength * UTF8_BYTES_PER_UNIT) throw tooLong(`${length} bytes`, maxLength);
    const start = this.#take(length);
    const text = decodeUtf8(this.#bytes.subarray(start, start + length));
    if (text.length > maxLength) throw tooLong(`${text.length} characters`, maxLength);
    return text;
  }

  /** A view on the next bytes. */
  bytes(count: number): Uint8Array {
    const start = this.#take(count);
    return this.#bytes.subarray(start, start + count);
  }

  /** A view on all that is left. */
  rest(): Uint8Array {
    const start = this.#offset;
    this.#offset = this.#bytes.length;
    return this.#bytes.subarray(start);
  }
}

/** Text of ASCII; `undefined` for any other. */
function decodeAscii(bytes: Uint8Array): string | undefined {
  let text = "";
  for (let index = 0; index < bytes.length; index++) {
    const unit = bytes[index] ?? 0;
    if (unit > 0x7f) return undefined;
    text += String.fromCharCode(unit);
  }
  return text;
}

function decodeUtf8(bytes: Uint8Array): string {
  if (bytes.length <= SHORT_LENGTH) {
    const text = decodeAscii(bytes);
    if (text !== undefined) return text;
  }
  try {
    return strictDecoder.decode(bytes);
  } catch (cause) {
    throw new ProtocolError("Cannot read message: text is not UTF-8", { cause });
  }
}

function tooLong(length: string, maxLength: number): ProtocolError {
  return new ProtocolError(`Cannot read message: text has ${length}, allowed are ${maxLength} characters`);
}

/** Frames whose payload is at least this long keep it apart, so that it is not copied into the header's buffer. */
const SEPARATE_PAYLOAD_BYTES = 512;

/** An encoded frame: one or two pieces to send in order. */
export type FramePieces = readonly [Uint8Array] | readonly [Uint8Array, Uint8Array];

function startFrame(kind: FrameKind, taskId: number, capacity: number): ByteWriter {
  const writer = new ByteWriter(FRAME_HEADER_BYTES + capacity);
  writer.u32(0);
  writer.u8(kind);
  writer.u32(taskId);
  return writer;
}

function endFrame(writer: ByteWriter, tail: Uint8Array): FramePieces {
  const apart = tail.length >= SEPARATE_PAYLOAD_BYTES;
  if (!apart) writer.rest(tail);
  writer.patchU32(0, writer.length - 4 + (apart ? tail.length : 0));
  return apart ? [writer.finish(), tail] : [writer.finish()];
}

/** Encodes a frame with an opaque payload. */
export function encodeFrame(kind: FrameKind, taskId: number, payload: Uint8Array = new Uint8Array()): FramePieces {
  return endFrame(startFrame(kind, taskId, payload.length), payload);
}

/** Encodes a frame whose payload is JSON. */
export function encodeJsonFrame(kind: FrameKind, taskId: number, value: unknown): FramePieces {
  return encodeFrame(kind, taskId, encoder.encode(JSON.stringify(value)));
}

/** Parses a JSON payload. The caller validates the shape. @throws {ProtocolError} when it is not JSON. */
export function decodeJsonPayload(payload: Uint8Array): unknown {
  return parseJson(decodeUtf8(payload));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ProtocolError("Cannot read message: payload is not JSON", { cause });
  }
}

/** Encodes a {@linkcode FrameKind.Task}, or a {@linkcode FrameKind.Open}. */
export function encodeTask(
  taskId: number,
  task: NodeTask,
  kind: typeof FrameKind.Task | typeof FrameKind.Open = FrameKind.Task,
): FramePieces {
  const writer = startFrame(kind, taskId, 128 + inlineLength(task.input));
  writer.f64(task.memoryLimitBytes);
  writer.f64(task.maxOutputBytes);
  writer.string(task.nodeType);
  writer.string(task.format);
  writer.u32(task.config.size);
  for (const [key, value] of task.config) {
    writer.string(key);
    writer.string(value);
  }
  return endFrame(writer, task.input);
}

/** Decodes the payload of a {@linkcode FrameKind.Task} or {@linkcode FrameKind.Open}. The input is a view. @throws {ProtocolError} */
export function decodeTask(payload: Uint8Array): NodeTask {
  const reader = new ByteReader(payload);
  const memoryLimitBytes = reader.amount();
  const maxOutputBytes = reader.amount();
  const nodeType = reader.string();
  const format = reader.string();
  const config = new Map<string, string>();
  for (let left = reader.u32(); left > 0; left--) config.set(reader.string(), reader.string());
  return { nodeType, format, config, memoryLimitBytes, maxOutputBytes, input: reader.rest() };
}

/** Encodes a {@linkcode FrameKind.Result}. */
export function encodeResult(taskId: number, result: TaskResult): FramePieces {
  const writer = startFrame(
    FrameKind.Result,
    taskId,
    17 + result.message.length + result.traceback.length + inlineLength(result.output),
  );
  writer.u8(TASK_OUTCOMES.indexOf(result.outcome));
  writer.f64(result.runMicros);
  writer.string(result.message);
  writer.string(result.traceback);
  return endFrame(writer, result.output);
}

/** Decodes the payload of a {@linkcode FrameKind.Result}. The output is a view. @throws {ProtocolError} */
export function decodeResult(payload: Uint8Array): TaskResult {
  const reader = new ByteReader(payload);
  const outcome = TASK_OUTCOMES[reader.u8()];
  if (outcome === undefined) throw new ProtocolError("Cannot read message: unknown task outcome");
  return {
    outcome,
    runMicros: reader.amount(),
    message: reader.string(MAX_MESSAGE_LENGTH),
    traceback: reader.string(MAX_TRACEBACK_LENGTH),
    output: reader.rest(),
  };
}

/** Encodes a {@linkcode FrameKind.Log}. */
export function encodeLog(taskId: number, log: TaskLog): FramePieces {
  const writer = startFrame(FrameKind.Log, taskId, 16 + log.message.length);
  writer.u8(log.level === "warning" ? 1 : 0);
  writer.string(log.message);
  return endFrame(writer, new Uint8Array());
}

/** Decodes the payload of a {@linkcode FrameKind.Log}. @throws {ProtocolError} */
export function decodeLog(payload: Uint8Array): TaskLog {
  const reader = new ByteReader(payload);
  return { level: reader.u8() === 1 ? "warning" : "info", message: reader.string(MAX_LOG_LINE_LENGTH) };
}

/** Encodes a {@linkcode FrameKind.Package}, or a {@linkcode FrameKind.OpenPackage}. */
export function encodePackageTask(
  taskId: number,
  task: PackageTask,
  kind: typeof FrameKind.Package | typeof FrameKind.OpenPackage = FrameKind.Package,
): FramePieces {
  const layersLength = task.layers.reduce((sum, layer) => sum + 4 + layer.length, 0);
  const writer = startFrame(kind, taskId, 512 + task.input.length + layersLength + inlineLength(task.codePackage));
  writer.f64(task.memoryLimitBytes);
  writer.f64(task.maxOutputBytes);
  writer.f64(task.maxConsoleBytes);
  writer.string(task.format);
  writer.string(JSON.stringify(task.options));
  writer.u32(task.input.length);
  writer.rest(task.input);
  writer.u8(task.layers.length);
  for (const layer of task.layers) {
    writer.u32(layer.length);
    writer.rest(layer);
  }
  return endFrame(writer, task.codePackage);
}

/** Decodes the payload of a {@linkcode FrameKind.Package} or {@linkcode FrameKind.OpenPackage}. Input and package are views. @throws {ProtocolError} */
export function decodePackageTask(payload: Uint8Array): PackageTask {
  const reader = new ByteReader(payload);
  return {
    memoryLimitBytes: reader.amount(),
    maxOutputBytes: reader.amount(),
    maxConsoleBytes: reader.amount(),
    format: reader.string(),
    // Written by the server, which we trust.
    options: parseJson(reader.string()) as PackageOptions,
    input: reader.bytes(reader.u32()),
    layers: Array.from({ length: reader.u8() }, () => reader.bytes(reader.u32())),
    codePackage: reader.rest(),
  };
}

/** Encodes a {@linkcode FrameKind.Step}. */
export function encodeStep(taskId: number, step: StreamStep): FramePieces {
  const texts = 8 + step.format.length + step.method.length;
  const writer = startFrame(FrameKind.Step, taskId, 5 + texts + inlineLength(step.input));
  writer.u32(step.streamId);
  writer.u8(STEP_ACTIONS.indexOf(step.action));
  writer.string(step.format);
  writer.string(step.method);
  return endFrame(writer, step.input);
}

/** Decodes the payload of a {@linkcode FrameKind.Step}. The input is a view. @throws {ProtocolError} */
export function decodeStep(payload: Uint8Array): StreamStep {
  const reader = new ByteReader(payload);
  const streamId = reader.u32();
  const action = STEP_ACTIONS[reader.u8()];
  if (action === undefined) throw new ProtocolError("Cannot read message: unknown action of a stream");
  return { streamId, action, format: reader.string(), method: reader.string(), input: reader.rest() };
}

/** Encodes a {@linkcode FrameKind.Credit}. @param streamId the task that opened the stream */
export function encodeCredit(streamId: number, bytes: number): FramePieces {
  const writer = startFrame(FrameKind.Credit, streamId, 8);
  writer.f64(bytes);
  return endFrame(writer, new Uint8Array());
}

/** Decodes the payload of a {@linkcode FrameKind.Credit}, in bytes. @throws {ProtocolError} */
export function decodeCredit(payload: Uint8Array): number {
  return new ByteReader(payload).amount();
}

/** Encodes a {@linkcode FrameKind.Output}. @param streamId the task that opened the stream */
export function encodeOutput(streamId: number, { runMicros, output }: StreamOutput): FramePieces {
  const writer = startFrame(FrameKind.Output, streamId, 8 + inlineLength(output));
  writer.f64(runMicros);
  return endFrame(writer, output);
}

/** Decodes the payload of a {@linkcode FrameKind.Output}. The output is a view. @throws {ProtocolError} */
export function decodeOutput(payload: Uint8Array): StreamOutput {
  const reader = new ByteReader(payload);
  return { runMicros: reader.amount(), output: reader.rest() };
}

/** Encodes a {@linkcode FrameKind.SoftLimit}. */
export function encodeSoftLimit(taskId: number, { reason, leftMs }: SoftLimit): FramePieces {
  const writer = startFrame(FrameKind.SoftLimit, taskId, 64);
  writer.f64(leftMs);
  writer.string(reason);
  return endFrame(writer, new Uint8Array());
}

/** Decodes the payload of a {@linkcode FrameKind.SoftLimit}. @throws {ProtocolError} */
export function decodeSoftLimit(payload: Uint8Array): SoftLimit {
  const reader = new ByteReader(payload);
  return { leftMs: reader.amount(), reason: reader.string() };
}

/** Encodes a {@linkcode FrameKind.Console}. */
export function encodeConsole(taskId: number, { stream, text }: ConsoleText): FramePieces {
  const writer = startFrame(FrameKind.Console, taskId, 16 + text.length);
  writer.u8(stream === "stderr" ? 1 : 0);
  writer.string(text);
  return endFrame(writer, new Uint8Array());
}

/** Decodes the payload of a {@linkcode FrameKind.Console}. @throws {ProtocolError} */
export function decodeConsole(payload: Uint8Array): ConsoleText {
  const reader = new ByteReader(payload);
  return { stream: reader.u8() === 1 ? "stderr" : "stdout", text: reader.string() };
}

/** Encodes a {@linkcode FrameKind.Hello}. */
export function encodeHello(token: Uint8Array): FramePieces {
  const payload = new Uint8Array(1 + token.length);
  payload[0] = PROTOCOL_VERSION;
  payload.set(token, 1);
  return encodeFrame(FrameKind.Hello, 0, payload);
}

function inlineLength(tail: Uint8Array): number {
  return tail.length >= SEPARATE_PAYLOAD_BYTES ? 0 : tail.length;
}

/**
 * A read gets all that a Unix socket holds, 208 KB on Linux by default: what it leaves waits for the next turn of the event
 * loop, and a server whose turns become long under load would then read less and less in each second.
 */
const BLOCK_BYTES = 512 * 1024;
const MIN_READ_BYTES = 224 * 1024;

/**
 * Cuts a byte stream into frames. The owner of the stream reads into {@linkcode nextBuffer} and calls
 * {@linkcode advance}; a long frame is read straight into its own buffer, so its bytes are not copied.
 */
export class FrameReader {
  readonly #maxFrameBytes: () => number;
  #block = new Uint8Array(BLOCK_BYTES);
  /** Start of the frame that is not complete yet, and end of what has been read, in `#block`. */
  #start = 0;
  #end = 0;

  /** @param maxFrameBytes the longest frame that is accepted now, asked when a frame's length arrives */
  constructor(maxFrameBytes: () => number) {
    this.#maxFrameBytes = maxFrameBytes;
  }

  /** Where the next bytes of the stream belong; at least one byte long. */
  nextBuffer(): Uint8Array {
    const pending = this.#end - this.#start;
    const frameBytes = pending >= 4 ? this.#peekLength() + 4 : 0;
    const capacity = this.#block.length - this.#start;
    // Nothing is free in a block that was filled to its end, nor in one that its taker has transferred.
    const free = this.#block.length - this.#end;
    if (free <= 0 || frameBytes > capacity || free < MIN_READ_BYTES && frameBytes !== capacity) {
      // A frame longer than a block gets a buffer of exactly its own size.
      const size = frameBytes > BLOCK_BYTES ? frameBytes : BLOCK_BYTES;
      const block = new Uint8Array(size);
      if (pending > 0) block.set(this.#block.subarray(this.#start, this.#end));
      this.#block = block;
      this.#start = 0;
      this.#end = pending;
    }
    return this.#block.subarray(this.#end);
  }

  /**
   * Takes `count` bytes that were read into {@linkcode nextBuffer} and gives the frames that are now complete.
   * @throws {ProtocolError} for a length that is too short or above the maximum
   */
  advance(count: number): Frame[] {
    this.#end += count;
    const frames: Frame[] = [];
    while (this.#end - this.#start >= 4) {
      const length = this.#peekLength();
      if (length < FRAME_HEADER_BYTES - 4 || length > this.#maxFrameBytes()) {
        throw new ProtocolError(`Cannot read frame: its length is ${length}, allowed up to ${this.#maxFrameBytes()}`);
      }
      const next = this.#start + 4 + length;
      if (next > this.#end) break;
      frames.push(frameAt(this.#block, this.#start, next));
      this.#start = next;
    }
    return frames;
  }

  #peekLength(): number {
    return u32At(this.#block, this.#start);
  }
}

function frameAt(bytes: Uint8Array, start: number, end: number): Frame {
  return new Frame(bytes[start + 4]!, u32At(bytes, start + 5), bytes.subarray(start, end));
}

/**
 * Cuts bytes that hold whole frames, as host and worker hand them to each other.
 * @throws {ProtocolError} when they do not
 */
export function splitFrames(bytes: Uint8Array): Frame[] {
  const frames: Frame[] = [];
  for (let start = 0; start < bytes.length;) {
    if (bytes.length - start < FRAME_HEADER_BYTES) throw new ProtocolError("Cannot split frames: header is cut off");
    const end = start + 4 + u32At(bytes, start);
    if (end < start + FRAME_HEADER_BYTES || end > bytes.length) {
      throw new ProtocolError("Cannot split frames: frame is cut off");
    }
    frames.push(frameAt(bytes, start, end));
    start = end;
  }
  return frames;
}

/** Joins pieces in order; a single piece is given back as it is. */
export function joinPieces<Buffer extends ArrayBufferLike>(
  pieces: readonly Uint8Array<Buffer>[],
  totalBytes: number,
): Uint8Array<Buffer | ArrayBuffer> {
  const [first] = pieces;
  if (pieces.length === 1 && first !== undefined) return first;
  const joined = new Uint8Array(totalBytes);
  let offset = 0;
  for (const piece of pieces) {
    joined.set(piece, offset);
    offset += piece.length;
  }
  return joined;
}

/** Pieces longer than this are written on their own instead of being copied together with their neighbours. */
const JOIN_LIMIT_BYTES = 256 * 1024;

/** How long a frame may wait for others to be sent together with, in milliseconds, and what does not wait any longer. */
const GATHER_MS = 2;
const GATHER_BYTES = 128 * 1024;

/**
 * Sends frames over a byte stream, in order: all that is queued while a write is under way goes out with the next one.
 * `bufferedBytes` is what the other side has not taken yet.
 */
export class FrameWriter {
  readonly #write: (bytes: Uint8Array) => Promise<number>;
  readonly #onError: (error: unknown) => void;
  #queue: Uint8Array[] = [];
  /** Goes out before what is sent next. */
  #held: Uint8Array[] = [];
  #draining: Promise<void> | undefined;
  #gathering: ReturnType<typeof setTimeout> | undefined;
  /** Whether anything that is queued must not wait for others. */
  #isUrgent = false;
  #failed = false;
  bufferedBytes = 0;

  /**
   * @param write writes some of the bytes and gives how many
   * @param onError called once, when a write fails; later frames are dropped
   */
  constructor(write: (bytes: Uint8Array) => Promise<number>, onError: (error: unknown) => void) {
    this.#write = write;
    this.#onError = onError;
  }

  /** Queues a frame. Its pieces must not change afterwards. */
  send(pieces: readonly Uint8Array[]): void {
    if (this.#failed) return;
    this.#enqueue(pieces);
    this.#isUrgent = true;
    this.#start();
  }

  /**
   * Queues a frame that may wait a moment for others. A write for each frame costs both sides more than the frame
   * does where many streams have one every few milliseconds.
   */
  sendSoon(pieces: readonly Uint8Array[]): void {
    if (this.#failed) return;
    this.#enqueue(pieces);
    if (this.#draining === undefined) this.#gather();
  }

  /** Keeps a frame for the next one to take along: a write of its own would wake who reads it for nothing urgent. */
  hold(pieces: readonly Uint8Array[]): void {
    this.#held.push(...pieces);
  }

  #gather(): void {
    if (this.bufferedBytes >= GATHER_BYTES) return this.#start();
    this.#gathering ??= setTimeout(() => this.#start(), GATHER_MS);
  }

  #enqueue(pieces: readonly Uint8Array[]): void {
    const held = this.#held;
    if (held.length > 0) this.#held = [];
    for (const piece of held.length > 0 ? [...held, ...pieces] : pieces) {
      this.#queue.push(piece);
      this.bufferedBytes += piece.length;
    }
  }

  #start(): void {
    // Only to look at the timers of the runtime loads what a host has no use for: see core_timers.ts.
    if (this.#gathering !== undefined) clearTimeout(this.#gathering);
    this.#gathering = undefined;
    this.#draining ??= Promise.resolve().then(() => this.#drain());
  }

  /** Resolves when all that was sent is written, or writing has failed. */
  async flushed(): Promise<void> {
    await this.#draining;
  }

  async #drain(): Promise<void> {
    try {
      do {
        const batch = this.#takeBatch();
        if (this.#queue.length === 0) this.#isUrgent = false;
        for (let offset = 0; offset < batch.length;) {
          offset += await this.#write(offset === 0 ? batch : batch.subarray(offset));
        }
        this.bufferedBytes -= batch.length;
      } while (this.#isUrgent || this.bufferedBytes >= GATHER_BYTES);
    } catch (error) {
      this.#failed = true;
      this.#queue = [];
      this.bufferedBytes = 0;
      this.#onError(error);
    } finally {
      this.#draining = undefined;
      if (this.#queue.length > 0) this.#gather();
    }
  }

  #takeBatch(): Uint8Array {
    let count = 0;
    let bytes = 0;
    for (const piece of this.#queue) {
      if (count > 0 && bytes + piece.length > JOIN_LIMIT_BYTES) break;
      count++;
      bytes += piece.length;
    }
    const pieces = count === this.#queue.length ? this.#queue : this.#queue.splice(0, count);
    if (pieces === this.#queue) this.#queue = [];
    return joinPieces(pieces, bytes);
  }
}
