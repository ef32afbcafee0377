/**
 * What a sandbox host that lies says and does, step by step.
 * @module
 */

import { z } from "zod";
import { bytesOf, concat } from "../../support/zip_writer.ts";
import {
  encodeConsole,
  encodeFrame,
  encodeLog,
  encodeOutput,
  encodeResult,
  FRAME_HEADER_BYTES,
  FrameKind,
  STEP_ACTIONS,
  TASK_OUTCOMES,
} from "../../../workers/protocol.ts";
import { mutate } from "../mutate.ts";
import type { Random } from "../random.ts";
import { anyFrame } from "./frames.ts";

const Step = z.discriminatedUnion("do", [
  /** The server hands over a task. */
  z.strictObject({ do: z.literal("run"), timeoutMs: z.int(), maxOutputBytes: z.int(), opens: z.boolean() }),
  /** The server goes on with a stream, by its place in the order in which they were opened, if it is open. */
  z.strictObject({ do: z.literal("step"), stream: z.int(), action: z.enum(STEP_ACTIONS), timeoutMs: z.int() }),
  /** The server lets a stream send more. */
  z.strictObject({ do: z.literal("grant"), stream: z.int(), bytes: z.int() }),
  /** The server closes a stream. */
  z.strictObject({ do: z.literal("close"), stream: z.int() }),
  /** The server gives a task up, by its place in the order of handing over. */
  z.strictObject({ do: z.literal("give up"), task: z.int() }),
  /** The server looks at its limits, as if so much time had passed. */
  z.strictObject({ do: z.literal("limits"), afterMs: z.int() }),
  /** The host says something, in so many pieces. */
  z.strictObject({ do: z.literal("say"), hex: z.string(), times: z.int(), pieces: z.int() }),
  /** All that is under way may get on. */
  z.strictObject({ do: z.literal("turn") }),
  /** The server has come to the end of all tasks, unless the host is gone. */
  z.strictObject({ do: z.literal("settle") }),
  z.strictObject({ do: z.literal("hang up") }),
  z.strictObject({ do: z.literal("exit") }),
]);

/** See {@linkcode HostScript}. */
export type Step = z.output<typeof Step>;

/** A host's behaviour, as it is saved. */
export const HostScript = z.strictObject({
  role: z.enum(["node", "task"]),
  /** Said before the token's hello and the list of nodes, where there is something; the host hangs up after them. */
  badStart: z.string().optional(),
  /** Whether it leaves alone what the server sends it. */
  deaf: z.boolean(),
  steps: z.array(Step),
  /** Whether it certainly breaks the protocol, so that the server must end it without being asked to. */
  violates: z.boolean(),
});
/** See {@linkcode HostScript}. */
export type HostScript = z.output<typeof HostScript>;

const OUTPUT_BYTES = 1_000;
/** The answer to what opens a stream, or goes on with it. */
const OK = { outcome: "OK", runMicros: 1, message: "", traceback: "", output: new Uint8Array() } as const;

/** Makes up a script. */
export function makeScript(random: Random): HostScript {
  const role = random.pick(["node", "task"] as const);
  const deaf = random.chance(0.1);
  if (random.chance(0.12)) {
    return { role, badStart: badStart(random).toHex(), deaf, steps: [], violates: true };
  }
  const plot = new Plot(random, role);
  for (let count = random.between(1, 14); count > 0 && !plot.violates; count--) plot.add();
  return { role, deaf, steps: plot.steps, violates: plot.violates };
}

/** Parses what {@linkcode makeScript} gave, or a person wrote. */
export function parseScript(input: Uint8Array): HostScript {
  return HostScript.parse(JSON.parse(new TextDecoder().decode(input)));
}

/** A hello or a list of nodes that cannot be right, or anything else. */
function badStart(random: Random): Uint8Array {
  switch (random.below(4)) {
    case 0:
      return random.bytes(random.between(1, 40));
    case 1:
      return concat(...encodeFrame(FrameKind.Ready, 0, bytesOf('{"nodes": []}')));
    case 2:
      return concat(...encodeFrame(FrameKind.Hello, 0, random.bytes(random.below(40))));
    default:
      return anyFrame(random, 0);
  }
}

/** A script in the making: what the server would know after its steps. */
class Plot {
  readonly steps: Step[] = [];
  violates = false;
  #tasks = 0;
  /** Tasks that open a stream, whose ids name it. */
  readonly #streams: number[] = [];
  /** The task at the head, whose result is due: numbers start with 1. */
  #due = 1;
  /** Whether what is said next is the start of a frame to the server too. */
  #aligned = true;
  readonly #maxTasks: number;

  constructor(readonly random: Random, role: HostScript["role"]) {
    this.#maxTasks = role === "node" ? 8 : 1;
  }

  add(): void {
    const { random, steps } = this;
    if (this.#tasks === 0 || this.#tasks < this.#maxTasks && random.chance(0.25)) return this.#run();
    if (this.#streams.length > 0 && random.chance(0.4)) return this.#stream();
    switch (random.below(12)) {
      case 0:
        return void steps.push({ do: "turn" });
      case 1:
        return void steps.push({ do: "give up", task: random.below(this.#tasks) });
      case 2:
        return void steps.push({ do: "limits", afterMs: random.pick([0, 10, 60, 10_000, 100_000]) });
      case 3:
        return this.#end(random.pick(["hang up", "exit"]));
      case 4:
      case 5:
      case 6:
        return this.#answer();
      case 7:
        return this.#flood();
      case 8:
        return this.#say(anyFrame(random, random.pick([this.#due, this.#due + 1, 0, 0xffff_ffff])));
      case 9:
        this.#aligned = false;
        return this.#say(this.#halfOrDamaged());
      default:
        return random.chance(0.5) ? this.#break() : this.#answer();
    }
  }

  #run(): void {
    this.#tasks++;
    const opens = this.random.chance(0.5);
    if (opens) this.#streams.push(this.#tasks);
    this.steps.push({ do: "run", timeoutMs: this.random.pick([5, 60_000]), maxOutputBytes: OUTPUT_BYTES, opens });
    if (!opens || !this.#aligned || this.#due !== this.#tasks || this.random.chance(0.2)) return;
    this.#say(concat(...encodeResult(this.#due++, OK)));
    this.steps.push({ do: "settle" });
    if (this.random.chance(0.5)) this.#process();
  }

  /** An input of the newest stream as an honest host processes it. */
  #process(): void {
    const stream = this.#streams.length - 1;
    const timeoutMs = 60_000;
    this.steps.push({ do: "step", stream, action: "process", timeoutMs });
    const output = encodeOutput(this.#streams[stream] ?? 0, { runMicros: 5, output: new Uint8Array(5) });
    this.#say(concat(...output, ...encodeResult(++this.#tasks, OK)));
    this.#due++;
    this.steps.push({ do: "settle" });
  }

  /** What a stream is asked for, and what comes of it: with credit or without, asked or unasked. */
  #stream(): void {
    const { random, steps } = this;
    const stream = random.below(this.#streams.length);
    switch (random.below(6)) {
      case 0:
        return void steps.push({ do: "grant", stream, bytes: random.pick([1, 500, 100_000]) });
      case 1:
        this.#tasks++;
        return void steps.push({ do: "close", stream });
      case 2:
      case 3:
        this.#tasks++;
        return void steps.push({
          do: "step",
          stream,
          action: random.pick(STEP_ACTIONS),
          timeoutMs: random.pick([5, 60_000]),
        });
      default: {
        const id = random.chance(0.9) ? this.#streams[stream] ?? 0 : random.pick([0, 77, 0xffff_ffff]);
        const output = new Uint8Array(
          random.pick([0, 1, 5, random.skewed(OUTPUT_BYTES), random.pick([OUTPUT_BYTES, OUTPUT_BYTES + 1])]),
        );
        const frame = encodeOutput(id, {
          runMicros: random.chance(0.05) ? -1 : random.pick([0, 5, 2 ** 53 - 1]),
          output,
        });
        this.#say(concat(...frame), random.chance(0.2) ? random.skewed(3_000) : 1);
        // It takes a few to come.
        for (let turns = random.below(6); turns > 0; turns--) steps.push({ do: "turn" });
        return;
      }
    }
  }

  #end(how: "hang up" | "exit"): void {
    this.steps.push({ do: how });
    this.violates = true;
  }

  /** What is due; twice now and then, and now and then more than is allowed. */
  #answer(): void {
    const { random } = this;
    const isGood = random.chance(0.7);
    const result = encodeResult(isGood ? this.#due : this.#due + random.between(-2, 2) >>> 0, {
      outcome: isGood ? "OK" : random.pick(TASK_OUTCOMES),
      runMicros: random.below(1_000_000),
      message: "",
      traceback: "",
      output: new Uint8Array(random.skewed(isGood ? OUTPUT_BYTES : 2 * OUTPUT_BYTES)),
    });
    this.#say(concat(...result), random.chance(0.1) ? 2 : 1);
    if (this.#due <= this.#tasks) this.#due++;
  }

  #flood(): void {
    const { random } = this;
    const text = random.pick(["x", "é", "again\n"]).repeat(random.skewed(3_000));
    const frame = random.chance(0.5)
      ? encodeLog(this.#due, { level: "warning", message: text })
      : encodeConsole(random.pick([this.#due, ...this.#streams]), { stream: "stdout", text });
    this.#say(concat(...frame), random.skewed(2_000));
  }

  #halfOrDamaged(): Uint8Array {
    const frame = anyFrame(this.random, this.#due);
    const choice = this.random.below(3);
    if (choice === 0) return frame.subarray(0, this.random.below(frame.length));
    return choice === 1 ? mutate(frame, this.random) : this.random.bytes(this.random.between(1, 60));
  }

  /** Something that no server may put up with. */
  #break(): void {
    const { random } = this;
    const broken = random.pick([
      header(5, random.pick([0, 1, 63, 64, 65, 72, 200, 255])),
      header(random.pick([0xffff_ffff, 0x7fff_ffff, 0x1000_0000]), FrameKind.Result),
      header(random.pick([0, 4]), FrameKind.Log),
      concat(...encodeFrame(FrameKind.Result, 0xffff_fff0, new Uint8Array(20))),
      concat(...encodeFrame(FrameKind.Fatal, 0, random.bytes(random.skewed(10_000)))),
      concat(...encodeFrame(FrameKind.ProbeReport, 0, bytesOf("[]"))),
      concat(...encodeFrame(FrameKind.ProbeReport, 0, bytesOf("[".repeat(100_000)))),
    ]);
    this.#say(broken);
    this.violates = this.#aligned;
  }

  #say(bytes: Uint8Array, times = 1): void {
    this.steps.push({ do: "say", hex: bytes.toHex(), times, pieces: this.random.skewed(6) + 1 });
  }
}

/** A frame without a payload, whose length may be anything. */
function header(length: number, kind: number): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, length, true);
  view.setUint8(4, kind);
  return bytes;
}
