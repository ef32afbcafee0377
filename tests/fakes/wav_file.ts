/**
 * WAV files put together byte by byte, sound and unsound ones.
 * @module
 */

/** A RIFF chunk; `size` lies about its length. */
export function chunk(id: string, data: ArrayLike<number>, size = data.length): number[] {
  const padding = data.length % 2 === 0 ? [] : [0];
  return [...new TextEncoder().encode(id), ...little(size, 4), ...Array.from(data), ...padding];
}

/** Fields of a `fmt ` chunk. */
export interface FormatFields {
  readonly bits: number;
  readonly code?: number;
  readonly channels?: number;
  readonly rate?: number;
  readonly blockBytes?: number;
  readonly extension?: readonly number[];
}

/** A `fmt ` chunk: PCM, mono, 8000 Hz unless told. */
export function fmt(
  { bits, code = 1, channels = 1, rate = 8000, blockBytes = channels * bits / 8, extension = [] }: FormatFields,
): number[] {
  return chunk("fmt ", [
    ...little(code, 2),
    ...little(channels, 2),
    ...little(rate, 4),
    ...little(rate * blockBytes, 4),
    ...little(blockBytes, 2),
    ...little(bits, 2),
    ...extension,
  ]);
}

/** A file of these chunks. */
export function wav(...chunks: number[][]): Uint8Array {
  const body = chunks.flat();
  return Uint8Array.from([...chunk("RIFF", [], body.length + 4), ...new TextEncoder().encode("WAVE"), ...body]);
}

function little(value: number, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, index) => Math.floor(value / 256 ** index) % 256);
}
