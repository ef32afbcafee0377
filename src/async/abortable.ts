/**
 * Waiting that a signal can end.
 * @module
 */

/**
 * Gives what a promise gives, unless the signal aborts first; what the promise comes to afterwards is ignored.
 *
 * The listener is gone when it returns: one that stays keeps the program alive where the signal is a timeout.
 *
 * @throws the signal's reason when it aborts
 */
export async function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(signal.reason);
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort);
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
