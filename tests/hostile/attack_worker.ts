/**
 * A worker that is hardened as the real one is, and then tries to get out. Its findings go to the test as the list of
 * nodes that the real one would send.
 *
 * @module
 */

import { onMessage, post, unremovedGlobals } from "../../workers/harden.ts";
import { encodeJsonFrame, FrameKind, joinPieces } from "../../workers/protocol.ts";

/** What was tried, and what came of it: `refused` with the error's name, or what was got at. */
export interface Finding {
  readonly attempt: string;
  readonly outcome: string;
}

/** All that the worker tells. */
export interface Findings {
  readonly names: readonly string[];
  readonly symbols: readonly string[];
  readonly unremoved: readonly string[];
  readonly attempts: readonly Finding[];
}

type Attempt = readonly [name: string, run: () => unknown];

// Lint wants no `Function` and no `eval`; here they are what is tried.
const evaluate: unknown = Reflect.get(globalThis, "eval");
const { getPrototypeOf, getOwnPropertyNames, getOwnPropertySymbols } = Object;

const GONE =
  ("Deno process Buffer global require module Worker SharedWorker MessageChannel MessagePort BroadcastChannel " +
    "fetch Request Response WebSocket EventSource XMLHttpRequest caches Cache CacheStorage localStorage sessionStorage " +
    "indexedDB navigator location postMessage close importScripts onmessage onerror alert prompt " +
    "createImageBitmap GPU Notification SharedArrayBuffer gc setImmediate __bootstrap name self").split(" ");

const MODULES = [
  ...["fs", "child_process", "process", "os", "net", "worker_threads", "vm", "v8", "module", "inspector", "fs/promises"]
    .flatMap((name) => [`node:${name}`, name]),
  "node:sys",
  "node:sqlite",
  "node:test",
  "file:///etc/passwd",
  "file:///proc/self/environ",
  "./import_map.json",
  "./host.js",
  "https://example.com/x.js",
  "http://127.0.0.1:1/x.js",
  "npm:zod",
  "jsr:@std/fs",
  "ext:core/mod.js",
  "ext:core/ops",
  "ext:deno_node/process.ts",
  "ext:runtime/98_global_scope_worker.js",
  "internal:deno",
  "cloudflare:sockets",
];

const FUNCTIONS: readonly Attempt[] = [
  ["a function", () => function () {}],
  ["an async function", () => async () => {}],
  ["a generator", () => function* () {}],
  ["an async generator", () => async function* () {}],
  ["an error", () => new Error().constructor],
  ["setTimeout", () => setTimeout],
  ["console.log", () => console.log],
  ["a bound function", () => (() => {}).bind(null)],
];

const ATTEMPTS: readonly Attempt[] = [
  ...GONE.map((name): Attempt => [`global ${name}`, () => reach(Reflect.get(globalThis, name))]),
  ...GONE.map((name): Attempt => [`global ${name} of the scope's prototype`, () => {
    for (let object = getPrototypeOf(globalThis); object !== null; object = getPrototypeOf(object)) {
      const descriptor = Object.getOwnPropertyDescriptor(object, name);
      if (descriptor?.get !== undefined || descriptor?.value !== undefined) return reach(descriptor);
    }
    return reach(undefined);
  }]),
  ...FUNCTIONS.map(([name, make]): Attempt => [`the constructor of ${name}`, () => {
    const constructor: unknown = Reflect.get(Object(make()), "constructor");
    const compile = typeof constructor === "function" ? Reflect.get(constructor, "constructor") : undefined;
    const made: unknown = Reflect.construct(Object(compile ?? constructor), ["return typeof Deno"]);
    return typeof made === "function" ? made() : made;
  }]),
  ["eval", () => typeof evaluate === "function" ? evaluate("1 + 1") : reach(undefined)],
  ["text as a timer", () => Reflect.apply(setTimeout, globalThis, ["globalThis.leaked = 1", 0])],
  ...MODULES.map((specifier): Attempt => [`import ${specifier}`, async () => {
    const loaded = await import(specifier);
    return reach(getOwnPropertyNames(loaded).join());
  }]),
  ["import file:///etc/hostname as text", async () => {
    return reach(await import("file:///etc/hostname" + "", { with: { type: "text" } } as ImportCallOptions));
  }],
  ["the constructor of the scope", () => Reflect.construct(Reflect.get(globalThis, "constructor"), [])],
  ["call sites of an error", () => {
    const before = Reflect.get(Error, "prepareStackTrace");
    Reflect.set(Error, "prepareStackTrace", (_: unknown, sites: { getThis(): unknown; getFunction(): unknown }[]) => {
      return sites.map((site) => [site.getThis(), site.getFunction()]);
    });
    const stack: unknown = new Error().stack;
    Reflect.set(Error, "prepareStackTrace", before);
    const found = Array.isArray(stack) ? stack.flat().filter((value) => value !== undefined) : [];
    return reach(found.length > 0 ? found.map(String).join().slice(0, 100) : undefined);
  }],
  ...["Deno.internal", "nodejs.internal", "Deno.core"].map((name): Attempt => [`the symbol ${name}`, () => {
    return reach(Reflect.get(globalThis, Symbol.for(name)));
  }]),
  ["internals behind console", () => {
    const values = getOwnPropertySymbols(console).map((symbol) => Reflect.get(console, symbol));
    return reach(values.find((value) => typeof value === "object" && value !== null && "core" in value));
  }],
];

/** Throws unless there is something. */
function reach(value: unknown): string {
  if (value === undefined) throw new ReferenceError("absent");
  return String(value).slice(0, 200);
}

async function attemptAll(): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const [attempt, run] of ATTEMPTS) {
    try {
      findings.push({ attempt, outcome: `got ${String(await run()).slice(0, 200)}` });
    } catch {
      findings.push({ attempt, outcome: "refused" });
    }
  }
  return findings;
}

/** A message that was made in here must not pass for the host's. */
function forgeMessage(): Finding {
  let outcome = "refused";
  onMessage(() => outcome = "got through");
  const forged = new Event("message");
  Object.defineProperty(forged, "data", { value: new Uint8Array(9) });
  Object.defineProperty(forged, "isTrusted", { value: true });
  try {
    Reflect.apply(Reflect.get(globalThis, "dispatchEvent"), globalThis, [forged]);
  } catch {
    // As good.
  }
  return { attempt: "a forged message", outcome };
}

function everyName(): string[] {
  const names = new Set<string>();
  for (let object: object | null = globalThis; object !== null && object !== Object.prototype;) {
    for (const name of getOwnPropertyNames(object)) {
      if (Reflect.get(object, name, globalThis) !== undefined) names.add(name);
    }
    object = getPrototypeOf(object);
  }
  return [...names].sort();
}

const findings: Findings = {
  names: everyName(),
  symbols: getOwnPropertySymbols(globalThis).map(String).sort(),
  unremoved: unremovedGlobals.map(String),
  attempts: [...await attemptAll(), forgeMessage()],
};
const nodes = [{
  nodeType: "Findings",
  category: "",
  description: JSON.stringify(findings),
  streaming: false,
  parameters: [],
}];
const pieces = encodeJsonFrame(FrameKind.Ready, 0, { nodes });
let length = 0;
for (const piece of pieces) length += piece.length;
post(joinPieces(pieces, length).slice());
