/**
 * Running nodes through their definitions, as the worker does.
 * @module
 */

import { setAssetLoader } from "../../workers/assets.ts";
import type { Node, NodeContext, NodeDefinition } from "../../workers/nodes/node.ts";
import type { Value } from "../../workers/values.ts";

loadAssetsFromDisk();

/** Has nodes that run outside a worker read what a host would hand them. `deno task bundle` writes it. */
export function loadAssetsFromDisk(): void {
  setAssetLoader((name) => Deno.readFile(new URL(`../../dist/sandbox/assets/${name}`, import.meta.url)));
}

/** A context that keeps the warnings. */
export class TestContext implements NodeContext {
  readonly name = "remote_test";
  readonly extraConfig = new Map<string, Value>();
  readonly signal = new AbortController().signal;
  readonly warnings: string[] = [];

  constructor(readonly memoryLimitBytes = 2 ** 29) {}

  warn(message: string): void {
    this.warnings.push(message);
  }
}

/** What a test says of a node. */
export interface Run {
  readonly parameters?: Record<string, unknown>;
  readonly context?: NodeContext;
}

async function withNode<Result>(
  definition: NodeDefinition,
  run: Run,
  use: (node: Node) => Promise<Result>,
): Promise<Result> {
  const parameters = definition.parameters.parse(run.parameters ?? {});
  const node = await definition.create(parameters, run.context ?? new TestContext());
  try {
    return await use(node);
  } finally {
    node.cleanup?.();
  }
}

/** The outputs of a stream of items, one array for each item and one for the flush. */
export function streamThrough(
  definition: NodeDefinition,
  items: Iterable<Value>,
  run: Run = {},
): Promise<Value[][]> {
  return withNode(definition, run, async (node) => {
    const outputs: Value[][] = [];
    for (const item of items) {
      const output = await node.process(item);
      // A streaming node gives an iterable, which no plain node's value is looked at as.
      if (definition.streaming) outputs.push(await Array.fromAsync(output as AsyncIterable<Value>));
      else outputs.push(output === null ? [] : [output as Value]);
    }
    outputs.push(node.flush === undefined ? [] : await Array.fromAsync(node.flush()));
    return outputs;
  });
}

/** The answer to ExecuteNode. */
export function execute(definition: NodeDefinition, item: Value, run: Run = {}): Promise<Value> {
  return withNode(definition, run, async (node) => {
    if (definition.execute !== undefined) return await definition.execute(node, item);
    return await node.process(item) as Value; // Plain nodes only come here.
  });
}

/** Numbers from 0 to 1, the same for a seed (https://prng.di.unimi.it/splitmix64.c's little sister, mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6D2B79F5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
