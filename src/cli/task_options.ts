/**
 * Options of the commands that run one task.
 * @module
 */

import { type Command, InvalidArgumentError, Option } from "commander";
import type { Format } from "../../workers/codecs/mod.ts";
import type { WavOutputEncoding } from "../../workers/media/wav.ts";
import type { PackageManifest, RequestedLimits } from "../client/mod.ts";
import { INPUT_TYPES, type InputType } from "./input.ts";

/** Time beyond the task's own limit that the call waits, so that it is the service that says TIMEOUT. */
const TIMEOUT_MARGIN_MS = 5_000;

/** int32 of the wire. */
const MAX_INT = 2 ** 31 - 1;

/** What {@linkcode addLimitOptions} adds, as commander gives it. */
export interface LimitOptions {
  /** In seconds. */
  readonly timeout?: number;
  /** In MB. */
  readonly memory?: number;
  /** In percent of one core. */
  readonly cpu?: number;
  /** In seconds. */
  readonly cpuTime?: number;
  /** In MB. */
  readonly outputLimit?: number;
}

/** What {@linkcode addTaskOptions} adds, as commander gives it. */
export interface TaskOptions extends LimitOptions {
  readonly input?: string;
  readonly data?: string;
  readonly inputType?: InputType;
  readonly output?: string;
  readonly outputType?: InputType;
  readonly wavEncoding?: WavOutputEncoding;
  readonly format: Format;
}

/** What {@linkcode addPythonOption} adds, as commander gives it. */
export interface PythonOption {
  readonly python?: string;
}

/** Adds the version of Python of a package. */
export function addPythonOption(command: Command): Command {
  return command.option("--python <version>", "the code is Python's, and needs this version: 3.11", pythonVersion);
}

/** What a package's manifest says by it. */
export function pythonManifest({ python }: PythonOption): Pick<PackageManifest, "runtime" | "pythonVersion"> {
  return python === undefined ? {} : { runtime: "python", pythonVersion: python };
}

function pythonVersion(text: string): string {
  if (/^\d{1,2}\.\d{1,3}(?:\.\d{1,3})?$/.test(text)) return text;
  throw new InvalidArgumentError("It must be a version such as 3.11.");
}

/** Adds input, output and limits to a command. */
export function addTaskOptions(command: Command): Command {
  return addLimitOptions(
    command
      .option("--input <file>", "input file, - for standard input; none is null")
      .option("--data <json>", "input as JSON on the command line")
      .addOption(new Option("--input-type <type>", "what the input file is").choices(INPUT_TYPES))
      .option("--output <file>", "output file, - for standard output")
      .addOption(new Option("--output-type <type>", "what the output file shall be").choices(INPUT_TYPES))
      .addOption(
        new Option("--wav-encoding <encoding>", "samples of a WAV output (default: as the input file, else pcm16)")
          .choices(["pcm16", "pcm24", "float32"]),
      )
      .addOption(
        new Option("--format <format>", "serialization on the wire; pickle loses no types")
          .choices(["json", "pickle", "raw"]).default("pickle"),
      ),
  );
}

/** Adds limits to a command. @param what `--timeout` holds for */
export function addLimitOptions(command: Command, what = "the task"): Command {
  return command
    .option("--timeout <seconds>", `time that ${what} may take`, positiveInteger)
    .option("--memory <MB>", "memory that the task may use", positiveInteger)
    .option(
      "--cpu <percent>",
      "CPU that the task may use at a time; 100 is one core, more slows it down",
      positiveInteger,
    )
    .option("--cpu-time <seconds>", "CPU time that the task may use altogether", positiveInteger)
    .option("--output-limit <MB>", "size that the encoded output may have", positiveInteger);
}

/** The limits as the request carries them, and how long the call then waits. */
export function limitsOf(
  { timeout, memory, cpu, cpuTime, outputLimit }: LimitOptions,
): { options: RequestedLimits; timeoutMs: number | undefined } {
  return {
    options: {
      timeoutSeconds: timeout,
      memoryLimitMb: memory,
      cpuLimitPercent: cpu,
      cpuTimeSeconds: cpuTime,
      maxOutputSizeMb: outputLimit,
    },
    timeoutMs: timeout === undefined ? undefined : timeout * 1_000 + TIMEOUT_MARGIN_MS,
  };
}

/** Adds the node's parameters to a command. */
export function addConfigOption(command: Command): Command {
  return command.option(
    "--config <name=value>",
    "parameter of the node, repeatable; values are JSON or Python literals, or text",
    collectAssignments,
    {},
  );
}

function collectAssignments(assignment: string, config: Readonly<Record<string, string>>): Record<string, string> {
  const match = /^([^=]+)=([\s\S]*)$/.exec(assignment);
  if (match === null) throw new InvalidArgumentError("It must be name=value.");
  return { ...config, [match[1]!]: match[2]! };
}

/** Parses an option that may be there several times. */
export function collect(item: string, items: readonly string[] = []): string[] {
  return [...items, item];
}

/** Parses a whole number above 0. @throws {InvalidArgumentError} for anything else */
export function positiveInteger(text: string): number {
  const number = /^\d+$/.test(text) ? Number(text) : 0;
  if (number < 1 || number > MAX_INT) throw new InvalidArgumentError("It must be a whole number above 0.");
  return number;
}
