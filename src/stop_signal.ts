/**
 * Requests to stop, from the kernel or from whoever started the service.
 * @module
 */

import { messageOf } from "./errors.ts";
import { serviceLogger } from "./logging/mod.ts";

const logger = serviceLogger("server");

/** Who asked for the end of the service, and how. */
export interface StopRequest {
  readonly reason: string;
  /** Whether a successor is there, so that no call needs to be refused. */
  readonly gently: boolean;
}

/** The first and the second request to stop. */
export class StopSignal implements Disposable {
  readonly #first = Promise.withResolvers<StopRequest>();
  readonly #second = new AbortController();
  readonly #cleanUp = new DisposableStack();
  #count = 0;

  private constructor() {}

  /** Listens to SIGTERM, SIGINT and a signal of the caller. SIGHUP does not stop, and says why it does nothing. */
  static ofProcess(signal: AbortSignal | undefined): StopSignal {
    const stopping = StopSignal.ofSupervisor(signal);
    stopping.#listen(
      "SIGHUP",
      () =>
        logger.warn(
          "SIGHUP: nothing was read again, since this process serves by itself; start it again for new settings, " +
            "or set server.processes (GRPC_PROCESSES) to 1 or more, for a supervisor that replaces its fronts",
        ),
    );
    return stopping;
  }

  /** Listens to SIGTERM, SIGINT and a signal of the caller. */
  static ofSupervisor(signal: AbortSignal | undefined): StopSignal {
    const stopping = new StopSignal();
    for (const name of ["SIGTERM", "SIGINT"] as const) stopping.#listen(name, () => stopping.#stop(name, false));
    stopping.#heed(signal, (reason) => stopping.#stop(reason, false));
    return stopping;
  }

  /** Listens to what a supervisor says, and to nothing else. */
  static ofFront({ stop, retire, hurry }: Record<"stop" | "retire" | "hurry", AbortSignal>): StopSignal {
    const stopping = new StopSignal();
    stopping.#heed(stop, (reason) => stopping.#stop(reason, false));
    stopping.#heed(retire, (reason) => stopping.#stop(reason, true));
    stopping.#heed(hurry, () => stopping.#second.abort());
    return stopping;
  }

  /** Resolves with what asked first. */
  get received(): Promise<StopRequest> {
    return this.#first.promise;
  }

  /** Aborts when somebody asks again: they do not want to wait. */
  get repeated(): AbortSignal {
    return this.#second.signal;
  }

  [Symbol.dispose](): void {
    this.#cleanUp.dispose();
  }

  #listen(name: Deno.Signal, handler: () => void): void {
    Deno.addSignalListener(name, handler);
    this.#cleanUp.defer(() => Deno.removeSignalListener(name, handler));
  }

  #heed(signal: AbortSignal | undefined, act: (reason: string) => void): void {
    if (signal === undefined) return;
    const onAbort = () => act(messageOf(signal.reason));
    if (signal.aborted) return onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    this.#cleanUp.defer(() => signal.removeEventListener("abort", onAbort));
  }

  #stop(reason: string, gently: boolean): void {
    this.#count++;
    if (this.#count === 1) this.#first.resolve({ reason, gently });
    else this.#second.abort();
  }
}
