/**
 * Timers of the runtime's core. `setTimeout` and its like bring Node's with them as soon as they are looked at: twenty
 * modules, and a tenth of what a sandbox takes to start.
 * @module
 */

/** What Deno's core offers to make timers with; see `deno_core` `01_core.js`. */
export interface CoreTimers {
  createTimer(
    callback: () => void,
    afterMs: number,
    args: undefined,
    isRepeat: boolean,
    isRefed: boolean,
    isSystem: boolean,
  ): object;
  cancelTimer(timer: object): void;
}

/** The core's timers, `undefined` where it has none to offer. */
export function coreTimers(): CoreTimers | undefined {
  // Deno's own types leave its internals out.
  const internal = Reflect.get(Deno, Reflect.get(Deno, "internal")) as { readonly core?: Partial<CoreTimers> };
  const { createTimer, cancelTimer } = internal.core ?? {};
  if (typeof createTimer !== "function" || typeof cancelTimer !== "function") return undefined;
  return { createTimer, cancelTimer };
}

/** Resolves when all that has come meanwhile was heard: messages, data, other timers. */
export function nextTurn(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timers = coreTimers();
  if (timers === undefined) setTimeout(resolve, 0);
  else timers.createTimer(resolve, 0, undefined, false, true, false);
  return promise;
}
