/**
 * Removes groups when they are empty.
 * @module
 */

import { messageOf } from "../../errors.ts";
import { serviceLogger } from "../../logging/mod.ts";
import type { GroupFiles } from "./files.ts";

const logger = serviceLogger("sandbox");

/** How often groups that are not empty yet are tried again, in milliseconds. */
const RETRY_MS = 100;
/** How long they are waited for at the end. */
const PATIENCE_MS = 3_000;

/**
 * A process that was killed is in its group until the kernel has taken it apart and its parent has read its status, for
 * which version 1 has no event. Nobody waits for that but the end of the service.
 */
export class GroupRemoval implements AsyncDisposable {
  readonly #files: GroupFiles;
  readonly #leaving = new Set<string>();
  #retry: ReturnType<typeof setTimeout> | undefined;

  constructor(files: GroupFiles) {
    this.#files = files;
  }

  /** Removes a group now, or as soon as it is empty. */
  remove(directory: string): void {
    this.#leaving.add(directory);
    this.#attempt();
    if (this.#leaving.size > 0) this.#retry ??= setTimeout(() => this.#again(), RETRY_MS);
  }

  /** Waits for those that are left; the next start removes what is left then. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#retry);
    for (const since = performance.now(); this.#leaving.size > 0 && performance.now() - since < PATIENCE_MS;) {
      this.#attempt();
      if (this.#leaving.size > 0) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
    if (this.#leaving.size === 0) return;
    logger.warn("Control groups are left, which are not empty yet; the next start removes them: {directories}", {
      directories: [...this.#leaving],
    });
  }

  #again(): void {
    this.#retry = undefined;
    this.#attempt();
    if (this.#leaving.size > 0) this.#retry = setTimeout(() => this.#again(), RETRY_MS);
  }

  #attempt(): void {
    for (const directory of this.#leaving) {
      try {
        this.#files.remove(directory);
      } catch (error) {
        if (error instanceof Deno.errors.Busy) continue;
        if (!(error instanceof Deno.errors.NotFound)) {
          logger.warn("Cannot remove control group {directory}: {reason}", { directory, reason: messageOf(error) });
        }
      }
      this.#leaving.delete(directory);
    }
  }
}
