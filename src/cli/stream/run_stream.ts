/**
 * One stream from its first chunk to its summary.
 * @module
 */

import type { WavOutputEncoding } from "../../../workers/media/wav.ts";
import { pause } from "../../async/pause.ts";
import {
  audioPair,
  ExecutionError,
  type ExecutionMetrics,
  type Input,
  type RemoteExecutionClient,
  type StreamExecuteInit,
} from "../../client/mod.ts";
import type { Session } from "../session.ts";
import { showConsole } from "../task_console.ts";
import { LatencyMeter, type LatencySummary } from "./latency.ts";
import { type Clock, paced } from "./pace.ts";
import type { SoundSource } from "./sound_source.ts";
import { SpeechSegments } from "./speech.ts";
import { StatusLine } from "./status_line.ts";
import { StreamOutputs } from "./stream_outputs.ts";
import { WavSink } from "./wav_sink.ts";

/** The node whose outputs say where somebody speaks. */
const SPEECH_NODE = "VoiceActivityDetector";

/** How far sound may be on its way for the latency to be shown while it goes on, in seconds. */
const LIVE_TOLERANCE_SECONDS = 2;

const CLOCK: Clock = { now: () => performance.now(), pause };

/** What one stream is run with. */
export interface StreamRun {
  readonly session: Session;
  readonly client: RemoteExecutionClient;
  readonly source: SoundSource;
  /** Ends the input. */
  readonly stop: AbortSignal;
  /** Samples per channel. */
  readonly chunkLength: number;
  readonly realtime: boolean;
  /** Where sound is written, if anywhere. */
  readonly output: string | undefined;
  readonly wavEncoding: WavOutputEncoding;
  readonly bridgeSeconds: number;
}

/**
 * Streams sound, writes the outputs and tells how it went.
 * @throws {ExecutionError} when the node or the code failed; what came before is written all the same
 * @throws {OutputError} when an output cannot be written
 */
export async function runStream(init: StreamExecuteInit, run: StreamRun): Promise<void> {
  const { session, client, source, output, wavEncoding, bridgeSeconds, chunkLength } = run;
  const status = new StatusLine(session, CLOCK.now);
  using sink = output === undefined ? undefined : new WavSink(output, wavEncoding, session);
  const isSpeech = "nodeType" in init && init.nodeType === SPEECH_NODE;
  const speech = isSpeech ? new SpeechSegments(bridgeSeconds) : undefined;
  const outputs = new StreamOutputs({ session, status, sink, speech });
  const progress = new Progress();
  // Printed in order, and before the stream counts as ended.
  let printed = Promise.resolve();
  const stream = client.streamExecute(init, inputs(run, { progress, status }), {
    signal: session.signal,
    onConsole: (text) => void (printed = printed.then(() => outputs.console(text))),
  });
  try {
    for await (const result of stream) {
      const arrivedMs = CLOCK.now();
      await printed;
      progress.latency.received(await outputs.take(result), arrivedMs);
      progress.outputs = outputs.count;
      await status.show(() => progress.line());
    }
    await printed;
    await outputs.finish();
  } catch (error) {
    await status.clear();
    // What went wrong first is what counts.
    if (!session.signal.aborted) await outputs.finish().catch(() => {});
    // As JSON it stands in the report.
    if (error instanceof ExecutionError && !session.options.json) await showConsole(error, session);
    throw error;
  }
  const latency = progress.latency.summary(1.5 * chunkLength / source.format.sampleRate);
  await summarize({ ...progress, latency, segments: speech === undefined ? undefined : outputs.segments.length }, {
    session,
    outputs,
    totals: stream.totals,
  });
}

/** How far a stream has come. */
class Progress {
  chunks = 0;
  /** Of sound that was sent. */
  seconds = 0;
  outputs = 0;
  readonly latency = new LatencyMeter();

  line(): string {
    const parts = [`${this.seconds.toFixed(1)} s sent`, counted(this.outputs, "output")];
    const latency = this.latency.summary(LIVE_TOLERANCE_SECONDS);
    if (latency !== undefined) parts.push(describeLatency(latency));
    return parts.join(" · ");
  }
}

async function* inputs(
  { source, session, stop, chunkLength, realtime }: StreamRun,
  { progress, status }: { progress: Progress; status: StatusLine },
): AsyncGenerator<Input, void, void> {
  const warnings: string[] = [];
  const chunks = source.chunks(chunkLength, (text) => warnings.push(text));
  for await (const { samples, end } of realtime ? paced(chunks, { clock: CLOCK, stop }) : chunks) {
    progress.chunks++;
    progress.seconds = end;
    await status.show(() => progress.line());
    progress.latency.sent(end, CLOCK.now());
    yield audioPair(samples, source.format);
  }
  if (stop.aborted) return; // What is missing then is no fault of the input.
  await status.clear();
  for (const text of warnings) await session.note(`Warning: ${text}`);
}

interface Summary {
  readonly chunks: number;
  readonly seconds: number;
  readonly outputs: number;
  readonly segments: number | undefined;
  readonly latency: LatencySummary | undefined;
}

async function summarize(
  { chunks, seconds, outputs: count, segments, latency }: Summary,
  { session, outputs, totals }: {
    session: Session;
    outputs: StreamOutputs;
    totals: ExecutionMetrics | undefined;
  },
): Promise<void> {
  const { options: { json, verbose }, terminal } = session;
  if (json) {
    const latencyMs = latency ?? null;
    const summary = { seconds, chunks, outputs: count, segments, latencyMs, metrics: totals ?? null };
    return await outputs.print(JSON.stringify({ summary }));
  }
  if (!verbose && !terminal.stderrIsTerminal) return;
  const parts = [`Sent ${seconds.toFixed(2)} s in ${counted(chunks, "chunk")}`, counted(count, "output")];
  if (segments !== undefined) parts.push(counted(segments, "segment"));
  if (latency !== undefined) parts.push(describeLatency(latency));
  await session.note(parts.join(", "));
  if (!verbose || totals === undefined) return;
  const { durationMs, cpuTimeMs, memoryPeakMb } = totals;
  await session.note(`Took ${durationMs} ms, ${cpuTimeMs} ms of CPU time, ${memoryPeakMb} MB of memory at most`);
}

function describeLatency({ p50, p99, max }: LatencySummary): string {
  return `latency p50 ${p50.toFixed(1)}, p99 ${p99.toFixed(1)}, max ${max.toFixed(1)} ms`;
}

function counted(count: number, thing: string): string {
  return `${count} ${count === 1 ? thing : `${thing}s`}`;
}
