/**
 * A load generator: paced streams, streams as fast as they go and callers of ExecuteNode, from processes of its own,
 * against a service that it starts or one that is given.
 *
 * ```sh
 * deno task load                                              # 50 streams of 20 ms frames through VoiceActivityDetector
 * deno task load --streams 200 --callers 8 --seconds 30
 * deno task load --node AudioBuffer --config buffer_size_samples=4800 --inputs-per-output 5
 * deno task load --streams 200 --profile /tmp/profile         # and where the front's time goes
 * deno task load --method StreamExecute --fast 4 --window 16 --address 127.0.0.1:50051 --pid 4711
 * ```
 *
 * @module
 */

import { Command, InvalidArgumentError, Option } from "commander";
import type { LoadPart, Payload, StreamMethod } from "./load_plan.ts";
import { runLoad } from "./load_run.ts";
import { printLoad } from "./load_table.ts";
import { printProfile } from "./profile.ts";
import { startService } from "./server_process.ts";

interface Options {
  readonly address?: string;
  readonly pid?: number;
  readonly method: StreamMethod;
  readonly streams: number;
  readonly fast: number;
  readonly window: number;
  readonly callers: number;
  readonly callsPerSecond: number;
  readonly node: string;
  readonly config: Readonly<Record<string, string>>;
  readonly frameMs: number;
  readonly sampleRate: number;
  readonly format: "pickle" | "json";
  readonly inputsPerOutput: number;
  readonly seconds: number;
  readonly warmUp: number;
  readonly processes: number;
  readonly connections: number;
  readonly settings: string;
  readonly profile?: string;
}

if (import.meta.main) await main();

async function main(): Promise<void> {
  const options = new Command("load")
    .description("Loads a service with streams in real time, streams at full speed and unary calls.")
    .option("--address <host:port>", "a service that runs; one is started by default")
    .option("--pid <pid>", "process of the service at --address, to measure its CPU and memory", wholeNumber)
    .addOption(
      new Option("--method <name>", "of streams").choices(["StreamNode", "StreamExecute"]).default("StreamNode"),
    )
    .option("--streams <count>", "streams in real time", wholeNumber, 50)
    .option("--fast <count>", "streams as fast as they go", wholeNumber, 0)
    .option("--window <count>", "messages under way in each fast stream", wholeNumber, 16)
    .option("--callers <count>", "callers of ExecuteNode with CalculatorNode", wholeNumber, 0)
    .option("--calls-per-second <count>", "of each caller", positiveNumber, 20)
    .option("--node <type>", "node of the streams", "VoiceActivityDetector")
    .option("--config <name=value>", "parameter of the node; may be given again", addParameter, {})
    .option("--frame-ms <ms>", "length of a frame, and time between two", positiveNumber, 20)
    .option("--sample-rate <hz>", "of the audio", positiveNumber, 48_000)
    .addOption(new Option("--format <name>", "of the frames").choices(["pickle", "json"]).default("pickle"))
    .option("--inputs-per-output <count>", "frames for which the node gives one answer", wholeNumber, 1)
    .option("--seconds <seconds>", "how long", positiveNumber, 10)
    .option("--warm-up <seconds>", "of them whose latencies are not counted", positiveNumber, 2)
    .option("--processes <count>", "of the generator", wholeNumber, 2)
    .option("--connections <count>", "of each process", wholeNumber, 2)
    .option("--settings <json>", "of a service that is started, by key", "{}")
    .option("--profile <folder>", "where the profile of a service that is started goes; prints its sum by layer")
    .parse(Deno.args, { from: "user" })
    .opts<Options>();
  await load(options);
  if (options.profile !== undefined) printProfile(options.profile);
}

async function load(options: Options): Promise<void> {
  const flags = options.profile === undefined ? [] : [`--cpu-prof-dir=${options.profile}`];
  await using server = options.address === undefined
    ? await startService(JSON.parse(options.settings), flags)
    : undefined;
  const { seconds, warmUp, processes, connections } = options;
  const result = await runLoad({
    address: options.address ?? `127.0.0.1:${server?.port}`,
    serverPid: options.pid ?? server?.pid,
    parts: partsOf(options),
    warmUpSeconds: warmUp,
    seconds,
    processes,
    connections,
  });
  printLoad(`${seconds} s, the first ${warmUp} s to warm up`, result);
}

function partsOf(options: Options): Record<string, LoadPart> {
  const { method, node: nodeType, config, frameMs, sampleRate, format, inputsPerOutput } = options;
  const payload: Payload = { kind: "audio", frameMs, sampleRate, format };
  const streams = { method, nodeType, config, payload };
  const parts: Record<string, LoadPart> = {};
  if (options.streams > 0) {
    parts[`${options.streams} streams in real time`] = {
      ...streams,
      kind: "paced",
      count: options.streams,
      intervalMs: frameMs,
      inputsPerOutput,
    };
  }
  if (options.fast > 0) {
    parts[`${options.fast} streams at full speed`] = {
      ...streams,
      kind: "fast",
      count: options.fast,
      window: options.window,
    };
  }
  if (options.callers > 0) {
    parts[`${options.callers} callers`] = {
      kind: "unary",
      count: options.callers,
      nodeType: "CalculatorNode",
      config: {},
      payload: { kind: "json", text: '{"operation": "add", "args": [1, 2.5]}' },
      intervalMs: 1_000 / options.callsPerSecond,
    };
  }
  return parts;
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new InvalidArgumentError("It must be a whole number.");
  return value;
}

function positiveNumber(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError("It must be a number above 0.");
  return value;
}

function addParameter(text: string, parameters: Readonly<Record<string, string>>): Record<string, string> {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("It must be name=value.");
  return { ...parameters, [text.slice(0, at)]: text.slice(at + 1) };
}
