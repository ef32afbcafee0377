/**
 * Which of the node hosts a stream goes to, for as long as it lives.
 * @module
 */

/** A step of a stream that takes longer holds up the others of its host, in milliseconds. */
export const SHORT_STEP_MS = 2;
/** Streams share a host until their steps are expected to take so much of each second, in milliseconds. */
const STREAMING_SHARE_MS = 400;

/**
 * The first host whose streams leave enough time, or else that where they take least.
 *
 * Streams of short steps spread over as many hosts as there are processors beside the server's: with more of them the same
 * frames come in smaller batches, which cost more to hand over than to process. Streams of long steps go to the hosts
 * after those, where there are any. The last of several hosts is kept free of streams, for tasks that would hold them up.
 *
 * @param streamingMs of each host what its streams' steps are expected to take, in milliseconds of each second;
 * `undefined` where it serves nobody now
 * @param stepMs what a step of the stream is expected to take, in milliseconds
 * @param processors of the machine
 * @returns the host's index; `undefined` when none can take it
 */
export function hostForStream(
  streamingMs: readonly (number | undefined)[],
  stepMs: number,
  processors: number,
): number | undefined {
  const eligible = Math.max(1, streamingMs.length - 1);
  const shared = Math.min(eligible, Math.max(1, processors - 1));
  const preferred = stepMs > SHORT_STEP_MS
    ? leastStreaming(streamingMs, shared, eligible)
    : leastStreaming(streamingMs, 0, shared);
  return preferred ?? leastStreaming(streamingMs, 0, eligible);
}

function leastStreaming(streamingMs: readonly (number | undefined)[], from: number, to: number): number | undefined {
  let best: number | undefined;
  let bestMs = Infinity;
  for (let index = from; index < to; index++) {
    const ms = streamingMs[index] ?? Infinity;
    if (ms < STREAMING_SHARE_MS) return index;
    if (ms < bestMs) {
      best = index;
      bestMs = ms;
    }
  }
  return best;
}
