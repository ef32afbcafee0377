/**
 * What the load generator's processes tell each other.
 * @module
 */

import type { HistogramRecord } from "./histogram.ts";

/** What messages carry. */
export type Payload =
  /** A frame of mono float32 as a pair (samples, rate), with shape (1, samples). */
  | {
    readonly kind: "audio";
    readonly frameMs: number;
    readonly sampleRate: number;
    readonly format: "pickle" | "json";
  }
  /** A value given as JSON. */
  | { readonly kind: "json"; readonly text: string };

/** Method of a stream; `Echo` is the bare server's. */
export type StreamMethod = "StreamNode" | "StreamExecute" | "Echo";

/** Streams that are alike. */
interface StreamsPlan {
  readonly method: StreamMethod;
  /** How many streams. */
  readonly count: number;
  readonly nodeType: string;
  readonly config: Readonly<Record<string, string>>;
  readonly payload: Payload;
}

/** One kind of load. */
export type LoadPart =
  /** Streams in real time. */
  | StreamsPlan & {
    readonly kind: "paced";
    /** Between messages of a stream, in milliseconds. */
    readonly intervalMs: number;
    /** Inputs for each output. */
    readonly inputsPerOutput: number;
  }
  /** Streams as fast as they go. */
  | StreamsPlan & {
    readonly kind: "fast";
    /** Messages of a stream under way at once. */
    readonly window: number;
  }
  /** Callers of ExecuteNode, at a steady pace whatever the answers do. */
  | {
    readonly kind: "unary";
    readonly count: number;
    readonly nodeType: string;
    readonly config: Readonly<Record<string, string>>;
    readonly payload: Payload;
    /** Between calls of a caller, in milliseconds. */
    readonly intervalMs: number;
  };

/** All that one process shall do. */
export interface LoadPlan {
  /** `host:port`. */
  readonly address: string;
  /** Connections of the process, among which its streams and callers are dealt out. */
  readonly connections: number;
  readonly seconds: number;
  /** Latencies of the first so many seconds are not counted. */
  readonly warmUpSeconds: number;
  /** By name, which is what the table shows. */
  readonly parts: Readonly<Record<string, LoadPart>>;
}

/** What came of one part. */
export interface PartReport {
  /** From when a message was due to its answer. */
  readonly latency: HistogramRecord;
  readonly sent: number;
  readonly answered: number;
  /** Messages that could not be sent at their time. */
  readonly unsent: number;
  /** Messages that were sent, and whose answer never came. */
  readonly unanswered: number;
  /** Failures by what was wrong. */
  readonly errors: Readonly<Record<string, number>>;
}

/** What came of all that one process did. */
export interface LoadReport {
  readonly parts: Readonly<Record<string, PartReport>>;
  /** How late the process itself was with its messages: what it adds to every latency. */
  readonly lag: HistogramRecord;
}
