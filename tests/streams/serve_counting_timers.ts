/**
 * Serves as `tests/support/serve.ts` does, and counts the timers that wait. SIGUSR2 has it write a line to standard error:
 * `timers 17: {"at file:line": 2, …}`, the number being how many times it was asked.
 * @module
 */

const waiting = new Map<unknown, string>();
let asked = 0;

count("setTimeout", "clearTimeout");
count("setInterval", "clearInterval");
Deno.addSignalListener("SIGUSR2", () => {
  const counts: Record<string, number> = {};
  for (const origin of waiting.values()) counts[origin] = (counts[origin] ?? 0) + 1;
  console.error(`timers ${++asked}: ${JSON.stringify(counts)}`);
});
await import("../support/serve.ts");

/** Replaces a pair of functions by ones that count; packages from npm have the same globals. */
function count(setName: "setTimeout" | "setInterval", clearName: "clearTimeout" | "clearInterval"): void {
  const set = globalThis[setName];
  const clear = globalThis[clearName];
  const counted = (callback: (...args: unknown[]) => void, ...rest: unknown[]) => {
    const once = (...args: unknown[]) => {
      if (setName === "setTimeout") waiting.delete(id);
      callback(...args);
    };
    const id: unknown = Reflect.apply(set, globalThis, [once, ...rest]);
    waiting.set(id, originOf(new Error().stack ?? ""));
    return id;
  };
  const uncounted = (id: unknown) => {
    waiting.delete(id);
    Reflect.apply(clear, globalThis, [id]);
  };
  Object.defineProperty(globalThis, setName, { value: counted, configurable: true, writable: true });
  Object.defineProperty(globalThis, clearName, { value: uncounted, configurable: true, writable: true });
}

/** The line that called. */
function originOf(stack: string): string {
  return stack.split("\n")[2]?.trim().replace(/^.*\/(src|node_modules|npm)\//, "$1/").replace(/\)$/, "") ?? "";
}
