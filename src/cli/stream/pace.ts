/**
 * Sound at the pace at which it was spoken.
 * @module
 */

import type { Chunk } from "./sound_source.ts";

/** Time, as it passes. */
export interface Clock {
  /** In milliseconds, from any point; it never goes back. */
  now(): number;
  /** Waits so many milliseconds, or less when the signal aborts. */
  pause(delayMs: number, signal: AbortSignal): Promise<void>;
}

/**
 * Chunks, each not before its time: that of the first is when it is there, the others' follow from where they lie in the
 * sound. So waits that end late add up to nothing, and who has fallen behind catches up.
 *
 * @param stop Ends the sound where it is
 */
export async function* paced(
  chunks: AsyncIterable<Chunk>,
  { clock, stop }: { clock: Clock; stop: AbortSignal },
): AsyncGenerator<Chunk, void, void> {
  let startMs: number | undefined;
  for await (const chunk of chunks) {
    startMs ??= clock.now();
    for (let waitMs; (waitMs = startMs + chunk.start * 1_000 - clock.now()) > 0 && !stop.aborted;) {
      await clock.pause(waitMs, stop);
    }
    if (stop.aborted) return;
    yield chunk;
  }
}
