/**
 * Does, while nobody waits, what every task does: have a module transpiled, decode and encode. The first times cost
 * several milliseconds in compilers and tables, which a task that finds its sandbox ready then does not pay.
 *
 * @module
 */

import { codecFor } from "./codecs/mod.ts";
import { decodePackageTask } from "./protocol.ts";
import { sampleModule, samplePayload, WARM_UP_ROUNDS } from "./sample_task.ts";
import { fromUserValue, toUserValue } from "./user_values.ts";

/** Never fails: a task that meets the same fault tells of it. @param isIdle whether no task has come yet */
export async function warmUp(isIdle: () => boolean): Promise<void> {
  try {
    const payload = samplePayload();
    for (let round = 0; round < WARM_UP_ROUNDS && isIdle(); round++) {
      const { format, input, memoryLimitBytes, maxOutputBytes } = decodePackageTask(payload);
      const limits = { memoryLimitBytes, maxOutputBytes };
      const codec = codecFor(format);
      const value = toUserValue(codec.decode(input, limits));
      codec.encode(fromUserValue(value, { format, memoryLimitBytes, maxDepth: 100 }), limits);
      // A task that comes meanwhile is heard between two rounds.
      const { default: run } = await import(sampleModule(round));
      await run(1);
    }
  } catch {
    // See above.
  }
}
