/**
 * Mends what `@grpc/grpc-js` does wrong, for all of a program.
 * @module
 */

import { mendLateWrites } from "./late_writes.ts";
import { mendLostConnections } from "./lost_connections.ts";

let mended = false;

/** To be called before the first client is made; again it does nothing. */
export function mendGrpc(): void {
  if (mended) return;
  mended = true;
  mendLostConnections();
  mendLateWrites();
}
