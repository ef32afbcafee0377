/**
 * A task that does what all tasks do, for what is to be made fast before one comes.
 * @module
 */

import { encodePackageTask, FRAME_HEADER_BYTES, type PackageTask } from "./protocol.ts";

/** So often the sample is worked on: V8 watches a function for some calls before it remembers what it does. */
export const WARM_UP_ROUNDS = 3;

const SOURCE = `type Pair<T> = readonly [T, T];
export interface Options { readonly scale?: number; }
export default async function run(value: number, { scale = 2 }: Options = {}): Promise<Pair<number>> {
  const pair: Pair<number> = [value, value * scale];
  return await Promise.resolve(pair);
}
`;
const LIMIT_BYTES = 1024 * 1024;

/** A package of one module, which takes a number. */
const SAMPLE_TASK: PackageTask = {
  format: "json",
  memoryLimitBytes: LIMIT_BYTES,
  maxOutputBytes: LIMIT_BYTES,
  maxConsoleBytes: LIMIT_BYTES,
  options: {
    entryPoint: "",
    dependencies: [],
    maxPackageBytes: LIMIT_BYTES,
    maxUnpackedBytes: LIMIT_BYTES,
    maxFiles: 1,
    blockedImports: [],
    validated: false,
    environment: {},
  },
  input: new TextEncoder().encode('{"a": [1, 2.5, "x"]}'),
  layers: [],
  codePackage: new TextEncoder().encode(SOURCE),
};

/** Its payload, as it comes from the server. */
export function samplePayload(): Uint8Array {
  const [head] = encodePackageTask(0, SAMPLE_TASK);
  return head.subarray(FRAME_HEADER_BYTES);
}

/** Its module as a URL; each round has its own, as no two tasks have the same. */
export function sampleModule(round: number): string {
  return `data:application/typescript,${encodeURIComponent(`${SOURCE}// ${round}`)}`;
}
