/**
 * The bounded queue of executions that wait for a sandbox.
 * @module
 */

import { ServiceError } from "../errors.ts";

/** Something that waits for its turn. */
export interface Waiter {
  /** Tries to start. @returns whether it did; if not, it keeps its place */
  tryStart(): boolean;
  /** Called instead of `tryStart` when it has waited too long, or the service stops. */
  shed(error: ServiceError): void;
}

/** How long and how many may wait. */
export interface AdmissionOptions {
  /** Waiters at once; the next is shed. */
  readonly queueLimit: number;
  /** Longest wait in milliseconds; 0 for no limit. */
  readonly queueTimeoutMs: number;
}

/** A waiter's place in the queue. */
interface Place {
  readonly waiter: Waiter;
  readonly since: number;
}

/** First in, first out; bounded in length and time. Owned by the executor, which disposes of it. */
export class AdmissionQueue implements Disposable {
  readonly #options: AdmissionOptions;
  /** A set keeps the order and forgets a waiter that leaves early at no cost. */
  readonly #places = new Set<Place>();
  /** Those whose sandbox died before it came to them: admitted already, and next. */
  readonly #returned = new Set<Waiter>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #disposed = false;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** How many wait. */
  get length(): number {
    return this.#places.size + this.#returned.size;
  }

  /**
   * Queues a waiter behind the others.
   *
   * @returns a function that takes it out again
   * @throws {ServiceError} `QUEUE_FULL` when as many wait as may, `DRAINING` when the service has stopped
   */
  enter(waiter: Waiter): () => void {
    const { queueLimit } = this.#options;
    if (this.#disposed) throw new ServiceError("DRAINING", "Cannot admit execution: the service is shutting down");
    if (this.#places.size >= queueLimit) {
      throw new ServiceError(
        "QUEUE_FULL",
        `Cannot admit execution: ${this.#places.size} wait already, execution.queueLimit is ${queueLimit}`,
        {
          details: { queueLimit: String(queueLimit) },
        },
      );
    }
    const place: Place = { waiter, since: performance.now() };
    this.#places.add(place);
    this.#armTimer();
    return () => {
      this.#places.delete(place);
    };
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

  /** Starts those that can start, in order, until one cannot. */
  pump(): void {
    for (const waiter of this.#returned) {
      if (!waiter.tryStart()) return;
      this.#returned.delete(waiter);
    }
    for (const place of this.#places) {
      if (!place.waiter.tryStart()) return;
      this.#places.delete(place);
    }
  }

  /** Sheds all that still wait. */
  [Symbol.dispose](): void {
    this.#disposed = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const waiters = [...this.#returned, ...Array.from(this.#places, ({ waiter }) => waiter)];
    this.#places.clear();
    this.#returned.clear();
    for (const waiter of waiters) {
      waiter.shed(new ServiceError("DRAINING", "Cannot run execution: the service is shutting down"));
    }
  }

  /** One timer for the oldest serves all, since waits end in the order in which they began. */
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
        this.#places.delete(place);
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
