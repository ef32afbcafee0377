/**
 * Runs `deno test` in lanes beside each other: most tests wait, so one lane alone leaves the machine idle. Each lane is a
 * process of its own that runs its files one after the other.
 * @module
 */

import { type Ending, TestReader, type TestReport } from "./test_reader.ts";

const ROOT = new URL("../", import.meta.url);

/**
 * Folders whose tests start services and attack, load or measure them: one after the other, so that none is another's
 * load. tests/scripts is here because it writes dist/compile.json, as a test in tests/supervisor does.
 */
export const MEASURING = [
  "tests/benchmarks",
  "tests/fuzz",
  "tests/hostile",
  "tests/rpc",
  "tests/sandbox",
  "tests/scripts",
  "tests/soak",
  "tests/streams",
  "tests/supervisor",
] as const;

/** Everything, the examples in the sources' comments included. The types have been checked by then. */
const WHOLE_RUN = ["--no-check", "--doc"];

/** The arguments to `deno test` of each lane; both together run everything. A new folder belongs to the second. */
export const LANES: readonly (readonly string[])[] = [
  [...WHOLE_RUN, ...MEASURING],
  [...WHOLE_RUN, `--ignore=${MEASURING.join(",")}`, "tests", "src", "workers", "scripts"],
];

/** A lane that ends no test for so long will not end by itself, in milliseconds: it is killed, and named as a failure. */
const SILENCE_MS = 300_000;
/** What `deno test` prints of a test that takes long. */
const STILL_RUNNING = /^.* has been running for over .*$/gm;

/** Where lanes print. */
export type Print = (text: string) => Promise<void>;

/** Runs all lanes at once. @returns the reports in the lanes' order */
export function runLanes(lanes: readonly (readonly string[])[], print: Print): Promise<TestReport[]> {
  const turns = new Turns(lanes.length, print);
  return Promise.all(lanes.map((args) => runLane(args, turns.lane())));
}

async function runLane(args: readonly string[], lane: Lane): Promise<TestReport> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["test", "--allow-all", ...args],
    cwd: ROOT,
    // Deno colours its output through a pipe too, which is right only when ours goes to a terminal.
    env: Deno.stdout.isTerminal() ? {} : { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const reader = new TestReader();
  using watchdog = new Watchdog(SILENCE_MS, () => child.kill("SIGKILL"));
  const take = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>, read: (text: string) => void) => {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      if (text.replaceAll(STILL_RUNNING, "").trim() !== "") watchdog.rest();
      read(text);
      await lane.print(text);
    }
  };
  await Promise.all([take(child.stdout, (text) => reader.take(text)), take(child.stderr, () => {})]);
  const ending: Ending = await child.status;
  await lane.end();
  return reader.report(ending);
}

/** Calls a function once when nobody has told it to rest for some time. */
export class Watchdog implements Disposable {
  readonly #silenceMs: number;
  readonly #bark: () => void;
  #timer: ReturnType<typeof setTimeout>;

  constructor(silenceMs: number, bark: () => void) {
    this.#silenceMs = silenceMs;
    this.#bark = bark;
    this.#timer = setTimeout(bark, silenceMs);
  }

  rest(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#bark, this.#silenceMs);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}

/** What one lane prints through. */
export interface Lane {
  print(text: string): Promise<void>;
  end(): Promise<void>;
}

// Coloured or not.
// deno-lint-ignore no-control-regex
const FILE_BEGINS = /^(?:\x1b\[[0-9;]*m)*running \d+ tests? from /gm;

/** Keeps what a lane prints of a file together: held until the next file begins, or printed at once by the last lane. */
export class Turns {
  #running: number;
  readonly #print: Print;
  /** Prints what a lane holds, for each that has not ended. */
  readonly #flushes = new Set<() => Promise<void>>();

  constructor(lanes: number, print: Print) {
    this.#running = lanes;
    this.#print = print;
  }

  lane(): Lane {
    let held = "";
    const printUpTo = async (end: number) => {
      const text = held.slice(0, end);
      held = held.slice(end);
      if (text !== "") await this.#print(text);
    };
    const flush = () => printUpTo(held.length);
    this.#flushes.add(flush);
    return {
      print: async (text) => {
        held += text;
        const begins = this.#running === 1 ? held.length : [...held.matchAll(FILE_BEGINS)].at(-1)?.index ?? 0;
        await printUpTo(begins);
      },
      end: async () => {
        this.#running--;
        this.#flushes.delete(flush);
        await flush();
        // The last one is shown as it goes on.
        if (this.#running === 1) { for (const other of this.#flushes) await other(); }
      },
    };
  }
}
