/**
 * A sandbox host as far as network access goes: the relay, and a worker with the permissions that it is given. Reads what
 * to do from standard input, and writes what came of it to standard output.
 * @module
 */

import { startEgressRelay } from "../../workers/network/relay.ts";
import type { NetworkStep } from "./network_task.ts";

/** What it reads. */
export interface NetworkHostOrder {
  readonly socketPath: string;
  readonly relayHostname: string;
  readonly relayConnections: number;
  /** The worker's `net` permission, with `PORT` for the relay's. */
  readonly net: true | string[];
  readonly user: string;
  readonly token: string;
  readonly caCerts: string[];
  readonly steps: NetworkStep[];
}

const order = JSON.parse(await new Response(Deno.stdin.readable).text()) as NetworkHostOrder;
const { socketPath, relayHostname, relayConnections } = order;
const relay = startEgressRelay({ socketPath, hostname: relayHostname, maxConnections: relayConnections });
const net = order.net === true || order.net.map((host) => host.replace("PORT", `${relay.port}`));
const permissions = { net, read: false, write: false, env: false, sys: false, run: false, ffi: false, import: false };
const worker = new Worker(new URL("network_task.ts", import.meta.url), {
  type: "module",
  deno: { permissions: permissions as Deno.PermissionOptions }, // Deno's own type does not list `import` yet.
});
const outcomes = await new Promise((resolve, reject) => {
  worker.onmessage = ({ data }) => resolve(data);
  worker.onerror = (event) => {
    event.preventDefault();
    reject(new Error(event.message));
  };
  const { user, token, caCerts } = order;
  worker.postMessage({
    grant: { proxyHostname: relayHostname, proxyPort: relay.port, user, token, caCerts },
    steps: order.steps,
  });
});
worker.terminate();
await relay.close();
console.log(JSON.stringify(outcomes));
