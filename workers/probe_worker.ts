/**
 * Entry of a Web Worker that has a task's permissions but is not hardened: shows that the permissions hold by themselves.
 * @module
 */

import { probePermissions } from "./probe.ts";
import type { ProbeTargets } from "./protocol.ts";

// The worker's scope lies outside the types of a window.
const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<ProbeTargets>) => void;
  postMessage(message: unknown): void;
  close(): void;
};

scope.onmessage = async (event) => {
  scope.postMessage(await probePermissions("worker", event.data));
  scope.close();
};
scope.postMessage("ready");
