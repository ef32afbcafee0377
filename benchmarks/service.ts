/**
 * Runs the service for a benchmark. Prints its ports as a line of JSON and serves until its standard input ends.
 * @module
 */

import { serve } from "../src/main.ts";

const stop = new AbortController();
const finished = serve({
  overrides: { "server.port": 0, "metrics.port": 0, "logging.level": "WARNING" },
  signal: stop.signal,
  onReady: (info) => console.log(JSON.stringify(info)),
});
await Promise.race([finished, Deno.stdin.readable.pipeTo(new WritableStream())]);
stop.abort(new Error("the benchmark has ended"));
await finished;
