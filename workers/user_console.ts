/**
 * The `console` of user code: what it writes is captured, bounded and sent to the server as it comes.
 * @module
 */

/** Formats any value for a person, as `Deno.inspect` does. */
export type Inspect = (value: unknown) => string;

/** Takes text that was written. */
export type ConsoleSink = (stream: ConsoleStream, text: string) => void;

/** Where text goes. */
export type ConsoleStream = "stdout" | "stderr";

/** Depth of `console.group` beyond which nothing more is indented. */
const MAX_INDENT = 32;

/**
 * A console as the WHATWG Console Standard has it (https://console.spec.whatwg.org), as far as text goes: `log`, `info`,
 * `debug`, `dir`, `table`, `count`, `time` and `group` write to stdout, `warn`, `error`, `trace` and `assert` to stderr.
 */
export function userConsole(inspect: Inspect, sink: ConsoleSink, nowMs: () => number): Console {
  const counts = new Map<string, number>();
  const timers = new Map<string, number>();
  let indent = "";
  const write = (stream: ConsoleStream, values: readonly unknown[]) => {
    const text = format(values, inspect);
    sink(stream, `${indent}${indent === "" ? text : text.replaceAll("\n", `\n${indent}`)}\n`);
  };
  const out = (...values: unknown[]) => write("stdout", values);
  const err = (...values: unknown[]) => write("stderr", values);
  const elapsed = (label: string) => `${label}: ${(nowMs() - (timers.get(label) ?? nowMs())).toFixed(3)} ms`;
  const group = (...values: unknown[]) => {
    if (values.length > 0) out(...values);
    if (indent.length < MAX_INDENT) indent += "  ";
  };
  const methods = {
    log: out,
    info: out,
    debug: out,
    dir: (value: unknown) => out(value),
    dirxml: out,
    table: (value: unknown) => out(value),
    warn: err,
    error: err,
    trace: (...values: unknown[]) => err("Trace:", ...values),
    assert: (condition: unknown, ...values: unknown[]) => {
      if (!condition) err("Assertion failed", ...values);
    },
    count: (label: unknown = "default") => {
      const name = String(label);
      counts.set(name, (counts.get(name) ?? 0) + 1);
      out(`${name}: ${counts.get(name)}`);
    },
    countReset: (label: unknown = "default") => void counts.delete(String(label)),
    time: (label: unknown = "default") => void timers.set(String(label), nowMs()),
    timeLog: (label: unknown = "default", ...values: unknown[]) => out(elapsed(String(label)), ...values),
    timeEnd: (label: unknown = "default") => {
      out(elapsed(String(label)));
      timers.delete(String(label));
    },
    group,
    groupCollapsed: group,
    groupEnd: () => {
      indent = indent.slice(2);
    },
    clear: () => {},
    timeStamp: () => {},
    profile: () => {},
    profileEnd: () => {},
  };
  // The type of `console` lists debugger methods of Node that no one calls in a sandbox.
  return methods as unknown as Console;
}

/** Joins values as the standard's formatter does: `%s %d %i %f %o %O %j %c %%` in a first string, the rest after it. */
function format(values: readonly unknown[], inspect: Inspect): string {
  const [first, ...rest] = values;
  if (typeof first !== "string") return values.map((value) => show(value, inspect)).join(" ");
  let used = 0;
  const head = first.replace(/%[sdifoOjc%]/g, (directive) => {
    if (directive === "%%") return "%";
    if (used >= rest.length) return directive;
    const value = rest[used++];
    switch (directive) {
      case "%s":
        return show(value, inspect);
      case "%d":
      case "%i":
      case "%f":
        return formatNumber(value, directive);
      case "%c":
        return "";
      default:
        return inspect(value);
    }
  });
  return [head, ...rest.slice(used).map((value) => show(value, inspect))].join(" ");
}

function formatNumber(value: unknown, directive: string): string {
  if (typeof value === "bigint") return String(value);
  if (typeof value === "symbol") return "NaN";
  const number = Number(value);
  return String(directive === "%i" ? Math.trunc(number) : number);
}

function show(value: unknown, inspect: Inspect): string {
  return typeof value === "string" ? value : inspect(value);
}
