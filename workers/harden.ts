/**
 * Takes away from the worker's global object all that a node or user code has no business with. The first module that
 * a worker loads: what it exports was captured before anything else ran, and what it removed is gone for everything
 * that is loaded after it.
 *
 * Permissions already refuse files, network and the like. This closes what they leave open: the internals that can
 * rebuild a message port, `process.kill`, nested workers, caches, broadcast channels, GPU devices.
 *
 * @module
 */

import { coreTimers } from "./core_timers.ts";
import { captureFileFunctions } from "./granted_files.ts";
import { networkApi } from "./granted_network_api.ts";
import type {
  AssetName,
  AssetReply,
  PackageOptions,
  PackageReply,
  PythonSnapshot,
  PythonStart,
  PythonWasm,
} from "./protocol.ts";

/** What stays. All else on the global object goes, so that a new runtime API is absent until it is listed here. */
const KEPT_GLOBALS: ReadonlySet<string> = new Set([
  // ECMAScript
  ..."globalThis Infinity NaN undefined isFinite isNaN parseFloat parseInt decodeURI decodeURIComponent encodeURI"
    .split(
      " ",
    ),
  ..."encodeURIComponent escape unescape Object Boolean Symbol Error AggregateError EvalError RangeError".split(" "),
  ..."ReferenceError SyntaxError TypeError URIError SuppressedError Number BigInt Math Date Temporal String RegExp"
    .split(
      " ",
    ),
  ..."Array Int8Array Uint8Array Uint8ClampedArray Int16Array Uint16Array Int32Array Uint32Array BigInt64Array".split(
    " ",
  ),
  ..."BigUint64Array Float16Array Float32Array Float64Array Map Set WeakMap WeakSet WeakRef ArrayBuffer".split(" "),
  ..."DataView JSON Iterator AsyncIterator Promise Proxy Reflect FinalizationRegistry Function eval Intl".split(" "),
  ..."DisposableStack AsyncDisposableStack WebAssembly Atomics".split(" "),
  // What the runtime itself calls on the global object to deliver messages and errors.
  "dispatchEvent",
  // Web platform: pure computation, text, events and streams
  ..."TextEncoder TextDecoder TextEncoderStream TextDecoderStream URL URLSearchParams URLPattern atob btoa".split(" "),
  ..."AbortController AbortSignal Event EventTarget CustomEvent ErrorEvent PromiseRejectionEvent DOMException".split(
    " ",
  ),
  ..."setTimeout clearTimeout setInterval clearInterval queueMicrotask structuredClone reportError".split(" "),
  ..."performance Performance console crypto Crypto CryptoKey SubtleCrypto Blob".split(" "),
  ..."ReadableStream ReadableStreamDefaultReader ReadableStreamBYOBReader ReadableStreamDefaultController".split(" "),
  ..."ReadableByteStreamController ReadableStreamBYOBRequest WritableStream WritableStreamDefaultWriter".split(" "),
  ..."WritableStreamDefaultController TransformStream TransformStreamDefaultController".split(" "),
  ..."ByteLengthQueuingStrategy CountQueuingStrategy CompressionStream DecompressionStream".split(" "),
]);

const { ownKeys, deleteProperty, defineProperty, getPrototypeOf, apply } = Reflect;

// The worker's scope lies outside the types of a window.
const scope = globalThis as unknown as {
  postMessage(message: unknown, transfer?: Transferable[]): void;
};
const postMessage = scope.postMessage;
const now = performance.now;
const clock = performance;
const denoInspect = Deno.inspect;
const { NotCapable, PermissionDenied } = Deno.errors;
/** The host names a worker after what its task was granted: `files`, and `network=` with where the egress relay listens. */
const grants = new Map(
  String(Reflect.get(globalThis, "name")).split(" ").map((grant) => {
    const [name = "", value = ""] = grant.split("=");
    return [name, value] as const;
  }),
);
const fileFunctions = grants.has("files") ? captureFileFunctions() : {};
const network = networkApi();
const currentDirectory = Deno.cwd;

/** Sends bytes to the host, which must hold whole frames; the buffer is transferred. */
export function post(bytes: Uint8Array<ArrayBuffer>): void {
  apply(postMessage, globalThis, [bytes, [bytes.buffer]]);
}

/** Asks the host for a file; the answer goes to the receiver of {@linkcode onAsset}. */
export function requestAsset(name: AssetName): void {
  apply(postMessage, globalThis, [name]);
}

/** Resolves when the host has opened the task's package: the worker can read its files then, and nothing else. */
export function openedPackage(): Promise<PackageReply> {
  return packageOfTask.promise;
}

/**
 * Gives user code what it was granted, under the names that it has everywhere: `Deno.env`, with a scratch folder the file
 * functions of `Deno`, with network `fetch`, its classes, and the functions of `Deno` that connect.
 */
export function exposeGrants({ environment, egress }: Pick<PackageOptions, "environment" | "egress">): void {
  const proxy = grants.get("network")?.split(":");
  const granted = network === undefined || proxy === undefined || egress === undefined
    ? undefined
    : network.grant({ proxyHostname: proxy[0] ?? "", proxyPort: Number(proxy[1]), ...egress });
  if (granted !== undefined && network !== undefined) {
    for (const [name, value] of Object.entries({ ...network.classes, fetch: granted.fetch })) expose(name, value);
  }
  if (Object.keys(environment).length === 0 && !grants.has("files") && granted === undefined) return;
  const env = Object.freeze({
    get: (name: string): string | undefined => Object.hasOwn(environment, name) ? environment[name] : undefined,
    has: (name: string): boolean => Object.hasOwn(environment, name),
    toObject: (): Record<string, string> => ({ ...environment }),
  });
  const { fetch: _, ...connections } = granted ?? {};
  expose("Deno", Object.freeze({ ...fileFunctions, ...connections, env }));
}

function expose(name: string, value: unknown): void {
  defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });
}

/** The folder that a task with a scratch folder starts in; `undefined` for one without. */
export function workingDirectory(): string | undefined {
  return grants.has("files") ? currentDirectory() : undefined;
}

/** Shows any value as `Deno.inspect` does. Reading the value may run its code. */
export function inspect(value: unknown): string {
  return denoInspect(value, { colors: false });
}

/** Whether a permission was denied, as Deno's own errors say it. */
export function isPermissionDenial(error: unknown): boolean {
  return error instanceof NotCapable || error instanceof PermissionDenied;
}

/** Takes what user code throws outside of its call: from a timer, or from a promise that nobody awaits. */
export function onUncaught(receive: (error: unknown) => void): void {
  apply(addEventListener, globalThis, ["unhandledrejection", (event: PromiseRejectionEvent) => {
    apply(preventDefault, event, []);
    receive(event.reason);
  }]);
  apply(addEventListener, globalThis, ["error", (event: ErrorEvent) => {
    apply(preventDefault, event, []);
    receive(event.error);
  }]);
}

/** Monotonic time in milliseconds. */
export function nowMs(): number {
  return apply(now, clock, []);
}

/** Takes messages from the host: bytes that hold whole frames. */
export function onMessage(receive: (bytes: Uint8Array) => void): void {
  messageReceiver = receive;
}

/** Takes the host's answers to {@linkcode requestAsset}. */
export function onAsset(receive: (reply: AssetReply) => void): void {
  assetReceiver = receive;
}

/** Resolves when the host says what an interpreter is started with and for. */
export function pythonStart(): Promise<PythonStart> {
  return startOfPython.promise;
}

/** Resolves with CPython when the host has compiled it. */
export function pythonWasm(): Promise<WebAssembly.Module> {
  return wasmOfPython.promise;
}

/** Gives the host what other interpreters start from. */
export function postSnapshot(pythonSnapshot: Uint8Array): void {
  const message: PythonSnapshot = { pythonSnapshot };
  apply(postMessage, globalThis, [message]);
}

let messageReceiver: ((bytes: Uint8Array) => void) | undefined;
let assetReceiver: ((reply: AssetReply) => void) | undefined;
const packageOfTask = Promise.withResolvers<PackageReply>();
const startOfPython = Promise.withResolvers<PythonStart>();
const wasmOfPython = Promise.withResolvers<WebAssembly.Module>();
const { addEventListener } = EventTarget.prototype;
const { preventDefault } = Event.prototype;
const isTrusted = Object.getOwnPropertyDescriptor(Event.prototype, "isTrusted")?.get;
apply(addEventListener, globalThis, [
  "message",
  (event: MessageEvent<Uint8Array | AssetReply | PackageReply | PythonStart | PythonWasm>) => {
    // Only the runtime makes trusted events; anything dispatched from inside the worker is none.
    if (isTrusted === undefined || apply(isTrusted, event, []) !== true) return;
    const { data } = event;
    if (data instanceof Uint8Array) messageReceiver?.(data);
    else if ("name" in data) assetReceiver?.(data);
    else if ("pythonMode" in data) startOfPython.resolve(data);
    else if ("pythonWasm" in data) wasmOfPython.resolve(data.pythonWasm);
    else packageOfTask.resolve(data);
  },
]);

/** Removes a property, or makes it `undefined` for good where it cannot be removed. */
function remove(target: object, key: PropertyKey): void {
  if (deleteProperty(target, key)) return;
  defineProperty(target, key, { value: undefined, writable: false, configurable: false });
}

/** Replaces the timers of the runtime by the core's. Where that has none to offer, they stay as they are. */
function installTimers(): void {
  const core = coreTimers();
  if (core === undefined) return;
  const { createTimer, cancelTimer } = core;
  const { get, set, delete: forget } = Map.prototype;
  const timers = new Map<number, object>();
  let lastId = 0;
  const start = (callback: unknown, afterMs: unknown, args: unknown[], isRepeat: boolean): number => {
    if (typeof callback !== "function") throw new TypeError("Cannot set timer: its callback is not a function");
    const id = ++lastId;
    const fire = () => {
      if (!isRepeat) apply(forget, timers, [id]);
      apply(callback, globalThis, args);
    };
    apply(set, timers, [id, createTimer(fire, Number(afterMs) || 0, undefined, isRepeat, true, false)]);
    return id;
  };
  const stop = (id: unknown): void => {
    const key = typeof id === "string" ? Number(id) : id;
    const timer: object | undefined = apply(get, timers, [key]);
    if (timer === undefined) return;
    apply(forget, timers, [key]);
    cancelTimer(timer);
  };
  const functions = {
    setTimeout: (callback: unknown, afterMs?: unknown, ...args: unknown[]) => start(callback, afterMs, args, false),
    setInterval: (callback: unknown, afterMs?: unknown, ...args: unknown[]) => start(callback, afterMs, args, true),
    clearTimeout: (id?: unknown) => stop(id),
    clearInterval: (id?: unknown) => stop(id),
  };
  for (const name of ownKeys(functions)) {
    const value: unknown = Reflect.get(functions, name);
    defineProperty(globalThis, name, { value, writable: true, enumerable: true, configurable: true });
  }
}

/**
 * Removes everything that is not kept, from the global object and from the prototypes behind it.
 * @returns the keys that are left besides the kept ones; empty when all went well
 */
function lock(): PropertyKey[] {
  installTimers();
  // Some globals load their implementation when they are first read, and that needs what is about to go.
  for (const key of KEPT_GLOBALS) {
    const descriptor = Reflect.getOwnPropertyDescriptor(globalThis, key);
    if (descriptor?.get === undefined) continue;
    const value: unknown = Reflect.get(globalThis, key);
    if (descriptor.configurable) defineProperty(globalThis, key, { value, writable: true, configurable: true });
  }
  const internal: unknown = Reflect.get(Deno, "internal");
  // Keys of Deno first, the internal symbol included: whoever kept a reference to the object finds it empty.
  for (const key of ownKeys(Deno)) remove(Deno, key);
  if (typeof internal === "symbol") remove(Deno, internal);
  const left: PropertyKey[] = [];
  for (let object: object | null = globalThis; object !== null; object = getPrototypeOf(object)) {
    // Every event target inherits from here, signals among them, and must keep its methods; messages from the host hold
    // nothing that user code may not see.
    if (object === EventTarget.prototype) break;
    for (const key of ownKeys(object)) {
      // Symbols stay: the runtime finds the brand and the listeners of the scope by them when it delivers a message.
      if (typeof key !== "string" || KEPT_GLOBALS.has(key) || key === "constructor") continue;
      remove(object, key);
      if (Reflect.get(object, key) !== undefined) left.push(key);
    }
  }
  return left;
}

/** Globals that could not be removed; anything here is a leak, which the probe reports. */
export const unremovedGlobals: readonly PropertyKey[] = lock();
