/**
 * Runs the service for a benchmark. Prints its ports as a line of JSON and serves until its standard input ends.
 * Argument: settings by key, as JSON.
 * @module
 */

import { serve } from "../src/main.ts";

const settings: Record<string, unknown> = JSON.parse(Deno.args[0] ?? "{}");
const stop = new AbortController();
const finished = serve({
  overrides: {
    "server.port": 0,
    "metrics.port": 0,
    "logging.level": "WARNING",
    // Its first start takes seconds of CPU time, and is part of no measurement but its own.
    "python.readySandboxes": 0,
    ...settings,
  },
  signal: stop.signal,
  onReady: (info) => console.log(JSON.stringify(info)),
});
await Promise.race([finished, Deno.stdin.readable.pipeTo(new WritableStream())]);
stop.abort(new Error("the benchmark has ended"));
await finished;
