/**
 * What a V8 CPU profile says, by layers of this service.
 * @module
 */

import { printTable } from "./table.ts";

/** A profile as V8 writes it; times in microseconds. */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** Layers by what their sources' addresses or functions' names have in them; the first that fits. */
const LAYERS: readonly (readonly [name: string, pattern: RegExp])[] = [
  ["idle", /^\(idle\)/],
  ["garbage collector", /^\(garbage collector\)/],
  ["the kernel: writes to clients", /^(writeBuffer|writev|writeUtf8String)$/],
  ["the kernel: writes to hosts", /^op_write$/],
  ["the kernel: reads, /proc", /^op_(read|fs_)\w*$/],
  ["nghttp2", /^(receive|getOutgoingChunk|sendData|sendHeaders|respond|trailers|submit\w*)$/],
  ["other native code", /^[^ ]*$|^\((program|root)\)/],
  ["grpc-js", /grpc-js/],
  ["protobuf: encoding and decoding", /protos\/generated|protobuf/],
  ["src/rpc", / src\/rpc\//],
  ["src/execution", / src\/execution\//],
  ["src/sandbox, frames", / src\/sandbox\/| workers\/protocol/],
  ["src/metrics, logging, the rest", / src\/| benchmarks\//],
  ["Deno's HTTP/2, in JavaScript", /http2/],
  ["Deno's streams, in JavaScript", /internal\/streams/],
  ["Deno's sockets, in JavaScript", /net\.|_wrap|stream_base|handle/],
  ["Deno's buffers, in JavaScript", /internal\/buffer/],
  ["Deno's event loop, timers, events", /ext:|node:/],
  ["others", /./],
];
const SHOWN_FUNCTIONS = 25;

/** Prints the last profile in a folder: each layer's own time, and the functions that have most. */
export function printProfile(folder: string): void {
  const paths = [...Deno.readDirSync(folder)].map(({ name }) => `${folder}/${name}`)
    .filter((path) => path.endsWith(".cpuprofile"));
  const newest = paths.toSorted((left, right) => modifiedAt(left) - modifiedAt(right)).at(-1);
  if (newest === undefined) throw new Error(`There is no profile in ${folder}`);
  // V8's format.
  const profile = JSON.parse(Deno.readTextFileSync(newest)) as CpuProfile;
  const functions = selfTimes(profile);
  const layers = new Map<string, number>();
  for (const [name, micros] of functions) {
    const layer = LAYERS.find(([, pattern]) => pattern.test(name))?.[0] ?? "others";
    layers.set(layer, (layers.get(layer) ?? 0) + micros);
  }
  const idle = layers.get("idle") ?? 0;
  const busy = [...functions.values()].reduce((sum, micros) => sum + micros, 0) - idle;
  const cells = (micros: number) => [(micros / 1_000).toFixed(0), (micros / busy * 100).toFixed(1)];
  const sorted = (times: ReadonlyMap<string, number>) => {
    return [...times].filter(([name]) => !name.startsWith("idle") && !name.startsWith("(idle)"))
      .toSorted(([, left], [, right]) => right - left);
  };
  printTable(
    `The front's event loop by layers, each without what it calls: ${newest}`,
    ["layer", "ms", "% of what is not idle"],
    sorted(layers).map(([name, micros]) => [name, ...cells(micros)]),
  );
  printTable(
    "Functions with most time of their own",
    ["function", "ms", "%"],
    sorted(functions).slice(0, SHOWN_FUNCTIONS).map(([name, micros]) => [name, ...cells(micros)]),
  );
}

/** Microseconds that each function has of its own, by name and place. */
function selfTimes({ nodes, samples, timeDeltas }: CpuProfile): ReadonlyMap<string, number> {
  const names = new Map(nodes.map(({ id, callFrame: { functionName, url, lineNumber } }) => {
    const place = url === "" ? "" : ` ${shorten(url)}:${lineNumber + 1}`;
    return [id, `${functionName || "(anonymous)"}${place}`];
  }));
  const times = new Map<string, number>();
  for (const [index, id] of samples.entries()) {
    const name = names.get(id) ?? "(unknown)";
    times.set(name, (times.get(name) ?? 0) + (timeDeltas[index] ?? 0));
  }
  return times;
}

/** An address from the repository or the package on. */
function shorten(url: string): string {
  const root = new URL("../", import.meta.url).href;
  if (url.startsWith(root)) return url.slice(root.length);
  return url.replace(/^.*\/(grpc-js)\/[^/]+\/build\//, "$1/").replace(/^.*\/registry\.npmjs\.org\//, "");
}

function modifiedAt(path: string): number {
  return Deno.statSync(path).mtime?.getTime() ?? 0;
}
