/**
 * What an egress proxy tells of its connections.
 * @module
 */

/** One attempt of a task to reach a host, in canonical form: `host:port`. */
export type EgressEvent =
  | { readonly kind: "connected"; readonly target: string; readonly address: string; readonly rule: string }
  /** The policy, or a limit of it, does not let the task. */
  | {
    readonly kind: "refused";
    readonly target: string;
    readonly reason: string;
    /** What the name leads to, where that is the reason. */
    readonly addresses?: readonly string[];
  }
  /** The task may, but there is no such name, nobody answers, or nothing moves any more. */
  | { readonly kind: "failed"; readonly target: string; readonly reason: string }
  /** Comes once, at the proxy's end: so many events were not told. */
  | { readonly kind: "suppressed"; readonly count: number };

/** Tells the first events, and in the end how many there were besides: a task must not flood a log. */
export class BoundedEvents {
  #told = 0;
  #suppressed = 0;

  constructor(readonly tell: (event: EgressEvent) => void, readonly maxEvents: number) {}

  add(event: Exclude<EgressEvent, { kind: "suppressed" }>): void {
    if (this.#told === this.maxEvents) this.#suppressed++;
    else {
      this.#told++;
      this.tell(event);
    }
  }

  end(): void {
    const count = this.#suppressed;
    this.#suppressed = 0;
    if (count > 0) this.tell({ kind: "suppressed", count });
  }
}
