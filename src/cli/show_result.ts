/**
 * What a task came to: its result to standard output or a file, all else to standard error.
 * @module
 */

import { codecFor } from "../../workers/codecs/mod.ts";
import type { WavOutputEncoding } from "../../workers/media/wav.ts";
import { CustomTaskResult, type ExecutionMetrics, type ExecutionResult } from "../client/mod.ts";
import { messageOf } from "../errors.ts";
import { OutputError } from "./errors.ts";
import { writeOutput } from "./output.ts";
import type { Session } from "./session.ts";
import { showValue } from "./show_value.ts";
import type { TaskOptions } from "./task_options.ts";
import { printable } from "./terminal.ts";

/** What is known beside the command line. */
export interface ShowResultContext {
  readonly session: Session;
  /** Samples of a WAV output, where the command line does not say. */
  readonly wavEncoding: WavOutputEncoding | undefined;
}

/**
 * Writes a result to where the command line says, and with `--verbose` what it cost.
 * @throws {OutputError} when it cannot be written so
 */
export async function showResult(
  result: ExecutionResult,
  options: TaskOptions,
  { session, wavEncoding }: ShowResultContext,
): Promise<void> {
  const { output, outputType } = options;
  if (isPrinted(options)) await print(result, session);
  else {
    const encoding = options.wavEncoding ?? wavEncoding ?? "pcm16";
    await writeOutput(result, { output: output ?? "-", outputType, wavEncoding: encoding }, session);
  }
  await noteMetrics(result.metrics, session);
}

/** Whether the result is printed to standard output in the program's own form. */
export function isPrinted({ output, outputType }: TaskOptions): boolean {
  return output === undefined && outputType === undefined;
}

/** Prints what a task cost to standard error, with `--verbose`. */
export async function noteMetrics(metrics: ExecutionMetrics | undefined, session: Session): Promise<void> {
  if (!session.options.verbose) return;
  if (metrics === undefined) return await session.note("The service says nothing of what it cost");
  const { durationMs, queueTimeMs, cpuTimeMs, memoryPeakMb, sandboxId } = metrics;
  await session.note(
    `Took ${durationMs} ms in ${printable(sandboxId) || "?"}: waited ${queueTimeMs} ms, ${cpuTimeMs} ms of CPU time, ` +
      `${memoryPeakMb} MB of memory at most`,
  );
}

/** Prints the output to standard output: for programs as JSON, for people shortened, raw bytes as they are. */
async function print(result: ExecutionResult, session: Session): Promise<void> {
  const { terminal: { stdoutIsTerminal }, options: { json } } = session;
  if (stdoutIsTerminal && !json) return await session.print(`${showValue(result.value)}\n`);
  if (result.format === "raw" && !json) return await session.print(result.bytes);
  let text: string;
  try {
    text = new TextDecoder().decode(codecFor("json").encode(result.value));
  } catch (cause) {
    const hint = "Write it to a file with --output and --output-type pickle";
    throw new OutputError(`Cannot print the output: ${messageOf(cause)}`, hint, { cause });
  }
  if (!json) return await session.print(`${text}\n`);
  // The output is JSON text already, with ints that JSON.stringify could not write.
  const members = [`"output": ${text}`, `"metrics": ${JSON.stringify(result.metrics ?? null)}`];
  if (result instanceof CustomTaskResult) {
    const { stdout, stderr, installedDependencies } = result;
    members.push(JSON.stringify({ stdout, stderr, installedDependencies }).slice(1, -1));
  }
  await session.print(`{${members.join(", ")}}\n`);
}
