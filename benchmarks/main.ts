/**
 * Runs the benchmarks: all of them, or those whose names are given. `--tasks N` says how many tasks `mixed` mixes.
 * @module
 */

import { parseArgs } from "node:util";
import { benchExecuteNode } from "./execute_node.ts";
import { benchFreshSandbox } from "./fresh_sandbox.ts";
import { benchMemory } from "./memory.ts";
import { benchMixedTasks } from "./mixed_tasks.ts";
import { benchPython } from "./python.ts";
import { benchStreams } from "./streams.ts";

const { values, positionals } = parseArgs({
  args: Deno.args,
  options: { tasks: { type: "string", default: "1000" } },
  allowPositionals: true,
});

const BENCHMARKS: Readonly<Record<string, () => Promise<void>>> = {
  execute_node: benchExecuteNode,
  streams: benchStreams,
  sandbox: benchFreshSandbox,
  mixed: () => benchMixedTasks(Number(values.tasks)),
  memory: benchMemory,
  python: benchPython,
};

if (import.meta.main) {
  const names = positionals.length > 0 ? positionals : Object.keys(BENCHMARKS);
  for (const name of names) {
    const run = BENCHMARKS[name];
    if (run === undefined) {
      console.error(`Unknown benchmark "${name}"; there are: ${Object.keys(BENCHMARKS).join(", ")}`);
      Deno.exit(2);
    }
    await run();
  }
}
