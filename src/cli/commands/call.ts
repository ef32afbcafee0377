import type { Command } from "commander";
import { loadInput } from "../input.ts";
import type { Session } from "../session.ts";
import { showResult } from "../show_result.ts";
import { addConfigOption, addTaskOptions, limitsOf, type TaskOptions } from "../task_options.ts";

const EXAMPLES = `
Inputs and outputs go by the ending of the file, or by --input-type and --output-type: WAV files travel as a pair of a
float32 array (channels, samples) and the rate, PNG files as a uint8 array (height, width, channels).

Examples:
  rexec call AudioTransform --config output_sample_rate=16000 --config output_channels=1 --input in.wav --output out.wav
  rexec call VideoResizer --config target_resolution='(640, 360)' --input in.png --output out.png
  rexec call CalculatorNode --data '{"operation": "add", "args": [1, 2]}'
  echo '[1, 2]' | rexec --json call PassThroughNode --input -`;

interface CallCommandOptions extends TaskOptions {
  readonly config: Readonly<Record<string, string>>;
}

/** `rexec call NODE` */
export function addCall(program: Command, start: (command: Command) => Session): void {
  const command = program.command("call")
    .argument("<node>", "name of the node; see: rexec nodes")
    .description("run a node on one input");
  addTaskOptions(addConfigOption(command))
    .addHelpText("after", EXAMPLES)
    .action(async (node: string, options: CallCommandOptions, command: Command) => {
      const session = start(command);
      const { input, wavEncoding } = await loadInput(options, session);
      using client = await session.connect();
      const result = await client.executeNode(node, input, {
        config: options.config,
        format: options.format,
        ...limitsOf(options),
        signal: session.signal,
      });
      await showResult(result, options, { session, wavEncoding });
    });
}
