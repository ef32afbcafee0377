/**
 * Where the outputs of a stream go: sound to a file, speech as segments, all else as lines.
 * @module
 */

import { codecFor } from "../../../workers/codecs/mod.ts";
import type { WavAudio } from "../../../workers/media/wav.ts";
import type { Value } from "../../../workers/values.ts";
import type { ConsoleText, ExecutionResult } from "../../client/mod.ts";
import { messageOf } from "../../errors.ts";
import { itemsOf, tryWavAudio } from "../audio_value.ts";
import { OutputError } from "../errors.ts";
import type { Session } from "../session.ts";
import { showConsole } from "../task_console.ts";
import type { Segment, SpeechSegments } from "./speech.ts";
import type { StatusLine } from "./status_line.ts";
import type { WavSink } from "./wav_sink.ts";

/** What {@linkcode StreamOutputs} writes to. */
export interface OutputTargets {
  readonly session: Session;
  readonly status: StatusLine;
  /** Where sound goes; nowhere when absent. */
  readonly sink: WavSink | undefined;
  /** Where it is gathered who speaks when; absent for nodes that do not tell. */
  readonly speech: SpeechSegments | undefined;
}

/** Takes the outputs of a stream. */
export class StreamOutputs {
  /** Outputs so far. */
  count = 0;
  /** Segments so far. */
  readonly segments: Segment[] = [];
  readonly #targets: OutputTargets;

  constructor(targets: OutputTargets) {
    this.#targets = targets;
  }

  /**
   * Writes one output.
   * @returns its length in seconds where it is sound
   * @throws {OutputError} when it cannot be written
   */
  async take(result: ExecutionResult): Promise<number | undefined> {
    this.count++;
    const { sink, speech } = this.#targets;
    const { value } = result;
    const spoken = speech === undefined ? undefined : trySpeech(value);
    const audio = spoken?.audio ?? tryWavAudio(value);
    if (audio === undefined) {
      await this.#printOutput(result);
      return undefined;
    }
    const seconds = audio.samples.length / audio.channels / audio.sampleRate;
    await sink?.write(audio);
    if (spoken !== undefined) await this.#printSegment(speech?.add(spoken.isSpeech, seconds));
    return seconds;
  }

  /** Writes what is left. @throws {OutputError} when it cannot be written */
  async finish(): Promise<void> {
    const { sink, speech, status } = this.#targets;
    await this.#printSegment(speech?.end());
    await status.clear();
    await sink?.finish();
  }

  /** Prints what user code wrote to its console. */
  async console(text: ConsoleText): Promise<void> {
    const { session, status } = this.#targets;
    await status.clear();
    if (session.options.json) await this.print(JSON.stringify({ console: text }));
    else await showConsole(text, session);
  }

  /** Prints a line of results, to standard error when sound goes to standard output. */
  async print(line: string): Promise<void> {
    const { session, status, sink } = this.#targets;
    await status.clear();
    if (sink?.path === "-") await session.terminal.writeError(`${line}\n`);
    else await session.print(`${line}\n`);
  }

  async #printSegment(segment: Segment | undefined): Promise<void> {
    if (segment === undefined) return;
    this.segments.push(segment);
    const { start, end } = segment;
    await this.print(
      this.#targets.session.options.json
        ? JSON.stringify({ segment: { start: milliseconds(start), end: milliseconds(end) } })
        : `${start.toFixed(2)}–${end.toFixed(2)} s`,
    );
  }

  async #printOutput({ value, metrics }: ExecutionResult): Promise<void> {
    let text: string;
    try {
      text = new TextDecoder().decode(codecFor("json").encode(value));
    } catch (cause) {
      throw new OutputError(`Cannot print output ${this.count}: ${messageOf(cause)}`, undefined, { cause });
    }
    // The output is JSON text already, with ints that JSON.stringify could not write.
    const { json } = this.#targets.session.options;
    await this.print(json ? `{"output": ${text}, "metrics": ${JSON.stringify(metrics ?? null)}}` : text);
  }
}

/** What VoiceActivityDetector says of a chunk: `((samples, rate), {is_speech, …})`. */
function trySpeech(value: Value): { audio: WavAudio; isSpeech: boolean } | undefined {
  const [chunk = null, metadata, ...rest] = itemsOf(value);
  if (!(metadata instanceof Map) || rest.length > 0) return undefined;
  const audio = tryWavAudio(chunk);
  const isSpeech = metadata.get("is_speech");
  return audio === undefined || typeof isSpeech !== "boolean" ? undefined : { audio, isSpeech };
}

/** Seconds to the millisecond, which is more than a chunk tells. */
function milliseconds(seconds: number): number {
  return Math.round(seconds * 1_000) / 1_000;
}
