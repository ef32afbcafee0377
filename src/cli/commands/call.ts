import { type Command, InvalidArgumentError, Option } from "commander";
import { codecFor, type Format } from "../../../workers/codecs/mod.ts";
import type { WavOutputEncoding } from "../../../workers/media/wav.ts";
import type { ExecutionResult } from "../../client/mod.ts";
import { messageOf } from "../../errors.ts";
import { OutputError } from "../errors.ts";
import { INPUT_TYPES, type InputType, loadInput } from "../input.ts";
import { writeOutput } from "../output.ts";
import type { Session } from "../session.ts";
import { showValue } from "../show_value.ts";

const EXAMPLES = `
Inputs and outputs go by the ending of the file, or by --input-type and --output-type: WAV files travel as a pair of a
float32 array (channels, samples) and the rate, PNG files as a uint8 array (height, width, channels).

Examples:
  rexec call AudioTransform --config output_sample_rate=16000 --config output_channels=1 --input in.wav --output out.wav
  rexec call VideoResizer --config target_resolution='(640, 360)' --input in.png --output out.png
  rexec call CalculatorNode --data '{"operation": "add", "args": [1, 2]}'
  echo '[1, 2]' | rexec --json call PassThroughNode --input -`;

/** Time beyond the task's own limit that the call waits, so that it is the service that says TIMEOUT. */
const TIMEOUT_MARGIN_MS = 5_000;

/** int32 of the wire. */
const MAX_INT = 2 ** 31 - 1;

interface CallCommandOptions {
  readonly config: Readonly<Record<string, string>>;
  readonly input?: string;
  readonly data?: string;
  readonly inputType?: InputType;
  readonly output?: string;
  readonly outputType?: InputType;
  readonly wavEncoding?: WavOutputEncoding;
  readonly format: Format;
  readonly timeout?: number;
  readonly memory?: number;
}

/** `rexec call NODE` */
export function addCall(program: Command, start: (command: Command) => Session): void {
  program.command("call")
    .argument("<node>", "name of the node; see: rexec nodes")
    .description("run a node on one input")
    .option(
      "--config <name=value>",
      "parameter of the node, repeatable; values are JSON or Python literals, or text",
      collect,
      {},
    )
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
    )
    .option("--timeout <seconds>", "time that the task may take", positiveInteger)
    .option("--memory <MB>", "memory that the task may use", positiveInteger)
    .addHelpText("after", EXAMPLES)
    .action(async (node: string, options: CallCommandOptions, command: Command) => {
      const session = start(command);
      const { input, wavEncoding } = await loadInput(options, session);
      using client = await session.connect();
      const result = await client.executeNode(node, input, {
        config: options.config,
        format: options.format,
        options: { timeoutSeconds: options.timeout ?? 0, memoryLimitMb: options.memory ?? 0 },
        timeoutMs: options.timeout === undefined ? undefined : options.timeout * 1_000 + TIMEOUT_MARGIN_MS,
        signal: session.signal,
      });
      const { output, outputType } = options;
      const encoding = options.wavEncoding ?? wavEncoding ?? "pcm16";
      if (output !== undefined || outputType !== undefined) {
        await writeOutput(result, { output: output ?? "-", outputType, wavEncoding: encoding }, session);
      } else await print(result, session);
      const { durationMs, sandboxId } = result.metrics ?? {};
      if (session.options.verbose) await session.note(`Took ${durationMs ?? "?"} ms in ${sandboxId || "?"}`);
    });
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
  // The output is JSON text already, with ints that JSON.stringify could not write.
  await session.print(
    json ? `{"output": ${text}, "metrics": ${JSON.stringify(result.metrics ?? null)}}\n` : `${text}\n`,
  );
}

function collect(assignment: string, config: Readonly<Record<string, string>>): Record<string, string> {
  const match = /^([^=]+)=([\s\S]*)$/.exec(assignment);
  if (match === null) throw new InvalidArgumentError("It must be name=value.");
  return { ...config, [match[1]!]: match[2]! };
}

function positiveInteger(text: string): number {
  const number = /^\d+$/.test(text) ? Number(text) : 0;
  if (number < 1 || number > MAX_INT) throw new InvalidArgumentError("It must be a whole number above 0.");
  return number;
}
