import { type Command, InvalidArgumentError, Option } from "commander";
import type { Format } from "../../../workers/codecs/mod.ts";
import { outputEncodingFor, type WavOutputEncoding } from "../../../workers/media/wav.ts";
import { packageFiles, readPackageFiles, type StreamExecuteInit } from "../../client/mod.ts";
import { UsageError } from "../errors.ts";
import { addGrantOptions, type GrantOptions, grantsOf, permissionsOf } from "../grant_options.ts";
import type { Session } from "../session.ts";
import { runStream } from "../stream/run_stream.ts";
import { openSound, SAMPLE_FORMATS, type SoundOptions } from "../stream/stream_input.ts";
import {
  addConfigOption,
  addLimitOptions,
  addPythonOption,
  type LimitOptions,
  limitsOf,
  positiveInteger,
  pythonManifest,
  type PythonOption,
} from "../task_options.ts";

const EXAMPLES = `
The input is a WAV file, read as it comes, or raw samples with --rate. It is cut into chunks of --chunk-ms, and each goes
out as a pair of a float32 array (channels, samples) and the rate. --realtime sends each at its time, as a microphone
would; without it they go as fast as the service takes them.

Sound that comes back goes to --output; every other output is a line of JSON on standard output. VoiceActivityDetector
prints the segments with speech, each as soon as it has ended. --json makes every line an object: {"segment"}, {"output"},
{"console"}, and {"summary"} at the end. On a terminal a line of progress shows how much was sent and how long outputs
take, from when the sound goes out to when the same moment of it comes back.

--package streams through code of your own: a class with process(), an async generator function over the inputs, or a
function of one input. What it writes to its console goes to standard error as it comes. Limits of time hold for each
input by itself.

Ctrl-C ends the input: the rest of the outputs comes, files are completed, and the exit code is 0. A second one cancels.

Examples:
  rexec stream VoiceActivityDetector --config frame_duration_ms=10 --input speech.wav
  arecord -q -f S16_LE -r 48000 | rexec stream VoiceActivityDetector --config frame_duration_ms=10 --realtime
  ffmpeg -v 0 -i talk.mp3 -f f32le -ac 2 -ar 44100 - | \\
    rexec stream AudioResampler --config target_sample_rate=16000 --rate 44100 --channels 2 --sample-format f32le \\
    --output talk.wav
  rexec stream --package ./gate --entry gate.ts:Gate --config threshold=0.1 --input speech.wav --output gated.wav`;

/** What stands for user code where a node is named. */
const CUSTOM = "custom";

/** Chunks that are longer are no stream any more; this is a minute. */
const MAX_CHUNK_MS = 60_000;

/** Longest pause that can be bridged, in milliseconds. */
const MAX_BRIDGE_MS = 3_600_000;

interface StreamOptions extends SoundOptions, LimitOptions, GrantOptions, PythonOption {
  readonly config: Readonly<Record<string, string>>;
  readonly package?: string;
  readonly entry?: string;
  readonly chunkMs: number;
  readonly realtime?: boolean;
  readonly bridgeMs: number;
  readonly output?: string;
  readonly wavEncoding?: WavOutputEncoding;
  readonly format: Exclude<Format, "raw">;
}

/** `rexec stream NODE` */
export function addStream(program: Command, start: (command: Command) => Session): void {
  const command = program.command("stream")
    .argument("[node]", "name of the node; see: rexec nodes")
    .description("run a node, or code of your own, on a stream of sound");
  addConfigOption(command)
    .option("--input <file>", "WAV file or raw samples, - for standard input", "-")
    .option("--rate <Hz>", "the input is raw samples of this rate", positiveInteger)
    .option("--channels <n>", "channels of raw samples, interleaved (default: 1)", positiveInteger)
    .addOption(new Option("--sample-format <format>", "raw samples (default: s16le)").choices(SAMPLE_FORMATS))
    .option("--chunk-ms <ms>", "length of the chunks", upTo(MAX_CHUNK_MS), 20)
    .option("--realtime", "send each chunk at its time (default: as fast as it goes)")
    .option("--output <file>", "WAV file for the sound that comes back, - for standard output")
    .addOption(
      new Option("--wav-encoding <encoding>", "samples of the WAV output (default: as the input)")
        .choices(["pcm16", "pcm24", "float32"]),
    )
    .option("--bridge-ms <ms>", "pauses shorter than this do not end a segment of speech", upTo(MAX_BRIDGE_MS), 300)
    .addOption(
      new Option("--format <format>", "serialization on the wire; pickle is the quicker one for sound")
        .choices(["json", "pickle"]).default("pickle"),
    )
    .option("--package <path>", "file or folder of code to stream through, instead of a node")
    .option("--entry <point>", "what to run of it: mod.ts:Name, or Name alone for the main module");
  addLimitOptions(addPythonOption(addGrantOptions(command)), "each input")
    .addHelpText("after", EXAMPLES)
    .action(async (node: string | undefined, options: StreamOptions, command: Command) => {
      const session = start(command);
      if (options.output !== undefined && options.output !== "-" && !/\.wave?$/i.test(options.output)) {
        throw new UsageError(`--output writes WAV files, and ${options.output} is none by its name`);
      }
      const init = await initOf(node, options, session);
      const inputEnd = new AbortController();
      const stop = AbortSignal.any([inputEnd.signal, session.signal]);
      using _interrupt = session.interrupts.takeFirst(() => inputEnd.abort());
      const source = await openSound(options, { session, stop });
      await using _reader = source.reader;
      using client = await session.connect();
      const { sampleRate, encoding } = source.format;
      await runStream(init, {
        session,
        client,
        source,
        stop,
        chunkLength: Math.max(1, Math.round(sampleRate * options.chunkMs / 1_000)),
        realtime: options.realtime ?? false,
        output: options.output,
        wavEncoding: options.wavEncoding ?? outputEncodingFor(encoding),
        bridgeSeconds: options.bridgeMs / 1_000,
      });
    });
}

/** What is to run. @throws {UsageError} when it is not said, or said twice */
async function initOf(
  node: string | undefined,
  options: StreamOptions,
  session: Session,
): Promise<StreamExecuteInit> {
  const { package: path, entry, config, format } = options;
  const limits = limitsOf(options).options;
  if (path === undefined) {
    if (node === CUSTOM) throw new UsageError("custom is code of your own: say where it is with --package");
    if (node === undefined) throw new UsageError("missing required argument 'node'", "rexec stream --help tells more");
    if (options.python !== undefined) throw new UsageError("--python needs --package, which says where the code is");
    if (entry !== undefined) throw new UsageError("--entry needs --package, which says where the code is");
    const { allowNet, allowFiles, env, envFile, workdir } = options;
    if ([allowNet, allowFiles, env, envFile, workdir].some((asked) => asked !== undefined)) {
      throw new UsageError("--allow-net, --allow-files, --workdir and --env are for code of your own (--package)");
    }
    return { nodeType: node, config, format, options: limits };
  }
  if (node !== undefined && node !== CUSTOM) {
    throw new UsageError(`--package and the node ${node} exclude each other`);
  }
  const grants = await grantsOf(options, session);
  const { files, manifest } = await readPackageFiles(path);
  const codePackage = packageFiles(files, { ...manifest, ...pythonManifest(options), ...permissionsOf(grants) });
  return { codePackage, entryPoint: entry, config, format, options: { ...limits, ...grants } };
}

function upTo(max: number): (text: string) => number {
  return (text) => {
    const number = /^\d+(\.\d+)?$/.test(text) ? Number(text) : 0;
    if (number <= 0 || number > max) throw new InvalidArgumentError(`It must be a number above 0, up to ${max}.`);
    return number;
  };
}
