/**
 * Layers that were made, kept for the next task that needs the same one.
 * @module
 */

/** A layer. Tasks share it: nobody may change or transfer its bytes. */
export interface Layer {
  /** A zip of `site-packages`, stored; empty for no packages. */
  readonly bytes: Uint8Array;
  /** SHA-256 of the bytes, in hexadecimal. */
  readonly digest: string;
}

/** Keeps layers up to a number of bytes; what was used longest ago goes first. */
export class LayerCache {
  readonly #maxBytes: number;
  /** In the order of their last use. */
  readonly #layers = new Map<string, Layer>();
  readonly #making = new Map<string, Promise<Layer>>();
  /** Layers are made one after the other: each takes as much memory as packages may. */
  #last: Promise<unknown> = Promise.resolve();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes of the layers that it keeps. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Gives the layer of a key, or makes it. Who asks for one that is being made waits for it.
   * @throws whatever `make` does; then there is none, and the next one tries again
   */
  async get(key: string, make: () => Promise<Uint8Array>): Promise<Layer> {
    const layer = this.#layers.get(key);
    if (layer !== undefined) {
      this.#layers.delete(key);
      this.#layers.set(key, layer);
      return layer;
    }
    const making = this.#making.get(key) ?? this.#make(key, make);
    return await making;
  }

  #make(key: string, make: () => Promise<Uint8Array>): Promise<Layer> {
    const making = this.#last.then(async () => {
      const bytes = await make();
      // The types leave open that memory is shared, which this is not.
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>)).toHex();
      const layer = { bytes, digest };
      this.#keep(key, layer);
      return layer;
    }).finally(() => this.#making.delete(key));
    this.#making.set(key, making);
    this.#last = making.catch(() => {});
    return making;
  }

  #keep(key: string, layer: Layer): void {
    if (layer.bytes.length > this.#maxBytes) return;
    this.#layers.set(key, layer);
    this.#bytes += layer.bytes.length;
    for (const [oldest, { bytes }] of this.#layers) {
      if (this.#bytes <= this.#maxBytes) break;
      this.#layers.delete(oldest);
      this.#bytes -= bytes.length;
    }
  }
}
