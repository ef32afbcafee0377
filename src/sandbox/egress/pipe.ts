/**
 * Bytes from one connection to another.
 * @module
 */

const BUFFER_BYTES = 32 * 1024;

/** Reads as fast as the other side takes it, until the end. @throws what `pass`, reading or writing throws */
export async function pipe(
  from: Deno.Conn,
  to: Deno.Conn,
  pass: (bytes: Uint8Array) => Uint8Array,
): Promise<void> {
  const buffer = new Uint8Array(BUFFER_BYTES);
  for (let count = await from.read(buffer); count !== null; count = await from.read(buffer)) {
    await writeAll(to, pass(buffer.subarray(0, count)));
  }
}

/** Writes all of it: one write may take a part only. */
export async function writeAll(to: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await to.write(bytes.subarray(at));
}

/** Calls back when nothing has happened for a while. */
export class IdleTimer {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #lastMs = performance.now();

  constructor(readonly idleMs: number, readonly onIdle: () => void) {
    this.#arm(idleMs);
  }

  /** Something happened. */
  touch(): void {
    this.#lastMs = performance.now();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  /** Looks when it may be due and not at each touch, of which there are many. */
  #arm(delayMs: number): void {
    this.#timer = setTimeout(() => {
      const leftMs = this.#lastMs + this.idleMs - performance.now();
      if (leftMs <= 0) this.onIdle();
      else this.#arm(leftMs);
    }, delayMs);
  }
}
