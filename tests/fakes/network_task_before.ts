/**
 * What the worker of {@link network_task} keeps of the time before it is locked: its messages, and what no user code has.
 * @module
 */

// The scope of a worker lies outside of the types of a window.
const scope = self as unknown as { postMessage(message: unknown): void };
const { postMessage } = scope;

export const rawConnect = Deno.connect;
export const rawFetch = fetch;
export const rawCreateHttpClient = Deno.createHttpClient;
/** Classes that tasks with network access keep. */
export const fetchClasses = { Request, FormData, File };

/** Sends a message to the host. */
export function post(message: unknown): void {
  postMessage.call(globalThis, message);
}

/** The one message that the host sends. */
export const order = new Promise<unknown>((resolve) => {
  addEventListener("message", (event) => resolve((event as MessageEvent<unknown>).data), { once: true });
});
