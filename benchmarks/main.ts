/**
 * Runs the benchmarks: all of them, or those whose names are given.
 * @module
 */

import { benchExecuteNode } from "./execute_node.ts";
import { benchMemory } from "./memory.ts";

const BENCHMARKS: Readonly<Record<string, () => Promise<void>>> = {
  execute_node: benchExecuteNode,
  memory: benchMemory,
};

if (import.meta.main) {
  const names = Deno.args.length > 0 ? Deno.args : Object.keys(BENCHMARKS);
  for (const name of names) {
    const run = BENCHMARKS[name];
    if (run === undefined) {
      console.error(`Unknown benchmark "${name}"; there are: ${Object.keys(BENCHMARKS).join(", ")}`);
      Deno.exit(2);
    }
    await run();
  }
}
