/**
 * The bounded queue of executions that wait for a sandbox.
 * @module
 */

import { ServiceError } from "../errors.ts";
import { MEGABYTE } from "../units.ts";

/** Something that waits for its turn. */
export interface Waiter {
  /** Whose it is: callers take turns. */
  readonly caller: string;
  /** What it holds in memory while it waits. */
  readonly bytes: number;
  /** Tries to start. @returns whether it did; if not, it keeps its place */
  tryStart(): boolean;
  /** Called instead of `tryStart` when it has waited too long, has to make room, or the service stops. */
  shed(error: ServiceError): void;
}

/** How long and how many may wait. */
export interface AdmissionOptions {
  /** Waiters at once. */
  readonly queueLimit: number;
  /** What they may hold in memory together, in megabytes. */
  readonly queueLimitMb: number;
  /** Longest wait in milliseconds; 0 for no limit. */
  readonly queueTimeoutMs: number;
}

/** A waiter's place in the queue. */
interface Place {
  readonly waiter: Waiter;
  readonly since: number;
}

/**
 * Callers take turns, each first in, first out: one that sends much waits for itself and not the others for it. Bounded in
 * length, memory and time; when it is full, whoever has most waiting makes room for those who have less (longest queue
 * drop; B. Suter et al., "Design Considerations for Supporting TCP with Per-flow Queueing", 1998). Owned by the executor,
 * which disposes of it.
 */
export class AdmissionQueue implements Disposable {
  readonly #options: AdmissionOptions;
  /** All places in the order in which they were taken; a set forgets one that is left early at no cost. */
  readonly #places = new Set<Place>();
  /** The same by caller, whose turn it is first. */
  readonly #byCaller = new Map<string, Set<Place>>();
  /** Those whose sandbox died before it came to them: admitted already, and next. */
  readonly #returned = new Set<Waiter>();
  #bytes = 0;
  #beingStarted = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #disposed = false;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** How many wait, without the one that is being started. */
  get length(): number {
    return this.#places.size + this.#returned.size - this.#beingStarted;
  }

  /**
   * Queues a waiter behind those of its caller.
   *
   * @returns a function that takes it out again
   * @throws {ServiceError} `QUEUE_FULL` when as many wait as may and nobody has more waiting than its caller, `DRAINING`
   * when the service has stopped
   */
  enter(waiter: Waiter): () => void {
    if (this.#disposed) throw new ServiceError("DRAINING", "Cannot admit execution: the service is shutting down");
    for (let fault = this.#fault(waiter); fault !== undefined; fault = this.#fault(waiter)) {
      const last = this.#lastOfLongest(waiter.caller);
      if (last === undefined) throw fault;
      this.#remove(last);
      last.waiter.shed(fault);
    }
    const place: Place = { waiter, since: performance.now() };
    this.#places.add(place);
    this.#bytes += waiter.bytes;
    const own = this.#byCaller.get(waiter.caller);
    if (own === undefined) this.#byCaller.set(waiter.caller, new Set([place]));
    else own.add(place);
    this.#armTimer();
    return () => this.#remove(place);
  }

  /**
   * Queues a waiter that was admitted before, ahead of all that were not; sheds it when the service stops only.
   *
   * @returns a function that takes it out again
   * @throws {ServiceError} `DRAINING` when the service has stopped
   */
  reenter(waiter: Waiter): () => void {
    if (this.#disposed) throw new ServiceError("DRAINING", "Cannot run execution: the service is shutting down");
    this.#returned.add(waiter);
    return () => {
      this.#returned.delete(waiter);
    };
  }

  /** Starts those that can start, a caller after the other, until one cannot. */
  pump(): void {
    for (const waiter of this.#returned) {
      if (!this.#tryStart(waiter)) return;
      this.#returned.delete(waiter);
    }
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      if (!this.#tryStart(next.waiter)) return;
      this.#remove(next);
      this.#toEnd(next.waiter.caller);
    }
  }

  /** Sheds all that still wait. */
  [Symbol.dispose](): void {
    this.#disposed = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const waiters = [...this.#returned, ...Array.from(this.#places, ({ waiter }) => waiter)];
    this.#places.clear();
    this.#byCaller.clear();
    this.#returned.clear();
    this.#bytes = 0;
    for (const waiter of waiters) {
      waiter.shed(new ServiceError("DRAINING", "Cannot run execution: the service is shutting down"));
    }
  }

  #tryStart(waiter: Waiter): boolean {
    this.#beingStarted++;
    try {
      return waiter.tryStart();
    } finally {
      this.#beingStarted--;
    }
  }

  /** Why there is no room for one more. */
  #fault({ bytes }: Waiter): ServiceError | undefined {
    const { queueLimit, queueLimitMb } = this.#options;
    if (this.#places.size >= queueLimit) {
      return new ServiceError(
        "QUEUE_FULL",
        `Cannot admit execution: ${this.#places.size} wait already, execution.queueLimit is ${queueLimit}`,
        { details: { queueLimit: String(queueLimit) } },
      );
    }
    if (this.#bytes + bytes > queueLimitMb * MEGABYTE) {
      const megabytes = Math.ceil((this.#bytes + bytes) / MEGABYTE);
      return new ServiceError(
        "QUEUE_FULL",
        `Cannot admit execution: with it ${megabytes} MB would wait, execution.queueLimitMb is ${queueLimitMb}`,
        { details: { queueLimitMb: String(queueLimitMb) } },
      );
    }
    return undefined;
  }

  /** The last place of whoever has most, if that is more than this caller would have. */
  #lastOfLongest(caller: string): Place | undefined {
    let longest = new Set<Place>();
    for (const places of this.#byCaller.values()) if (places.size > longest.size) longest = places;
    return longest.size > (this.#byCaller.get(caller)?.size ?? 0) + 1 ? [...longest].at(-1) : undefined;
  }

  #next(): Place | undefined {
    const [places] = this.#byCaller.values();
    const [place] = places ?? [];
    return place;
  }

  /** A caller that had its turn is last. */
  #toEnd(caller: string): void {
    const places = this.#byCaller.get(caller);
    if (places === undefined) return;
    this.#byCaller.delete(caller);
    this.#byCaller.set(caller, places);
  }

  #remove(place: Place): void {
    if (!this.#places.delete(place)) return;
    const { caller, bytes } = place.waiter;
    this.#bytes -= bytes;
    const own = this.#byCaller.get(caller);
    own?.delete(place);
    if (own?.size === 0) this.#byCaller.delete(caller);
  }

  /** One timer for the oldest serves all. */
  #armTimer(): void {
    const { queueTimeoutMs } = this.#options;
    if (queueTimeoutMs === 0 || this.#timer !== undefined) return;
    const [oldest] = this.#places;
    if (oldest === undefined) return;
    const dueMs = Math.max(0, oldest.since + queueTimeoutMs - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      const now = performance.now();
      for (const place of this.#places) {
        const waitedMs = now - place.since;
        if (waitedMs < queueTimeoutMs) break;
        this.#remove(place);
        place.waiter.shed(
          new ServiceError(
            "QUEUE_FULL",
            `Cannot admit execution: it waited ${
              Math.round(waitedMs)
            } ms, execution.queueTimeoutMs is ${queueTimeoutMs}`,
            { details: { queueTimeoutMs: String(queueTimeoutMs) } },
          ),
        );
      }
      this.#armTimer();
    }, dueMs);
  }
}
