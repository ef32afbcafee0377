/**
 * Layers that installers make: from the store while they are young enough, made anew otherwise.
 * @module
 */

import type { LayerOptions } from "../../config/schema.ts";
import { messageOf, ServiceError } from "../../errors.ts";
import { serviceLogger } from "../../logging/mod.ts";
import type { InstallResult } from "../installer/installer.ts";
import type { LayerStore, StoredLayer } from "./layer_store.ts";

const logger = serviceLogger("packages");

const MS_PER_HOUR = 3_600_000;
/**
 * So long what has failed is not tried again, in milliseconds: clients that try again do not each cost an installer, and
 * an outage of the registry does not have every task wait for its end.
 */
const RETRY_MS = 15_000;
/** Failures that are remembered. */
const MAX_FAILURES = 1_000;

/** What {@linkcode InstalledLayers} work with. */
export interface InstalledLayersOptions {
  readonly store: LayerStore;
  readonly refreshHours: LayerOptions["refreshHours"];
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** See the module. */
export class InstalledLayers {
  readonly #options: InstalledLayersOptions;
  /** Installations under way: who wants the same waits for the same. */
  readonly #installing = new Map<string, Promise<StoredLayer>>();
  /** What was wrong with a key, and until when that is the answer; the oldest first. */
  readonly #failures = new Map<string, { readonly error: ServiceError; readonly untilMs: number }>();

  constructor(options: InstalledLayersOptions) {
    this.#options = options;
  }

  /**
   * Gives what was installed for a key, or has it installed; fails as before while that was seconds ago.
   *
   * @param install Makes the layer as of a time, in milliseconds since 1970
   * @throws {ServiceError} what `install` throws; where the registry or the installer is at fault, and an older layer is
   * there, that is given instead
   */
  async get(key: string, install: (nowMs: number) => Promise<InstallResult>): Promise<StoredLayer> {
    const { store, refreshHours, now } = this.#options;
    const stored = await store.find(key);
    if (stored !== undefined && now() - stored.resolvedAtMs < refreshHours * MS_PER_HOUR) return stored;
    try {
      return await this.#installOnce(key, install);
    } catch (error) {
      if (stored === undefined || !(error instanceof ServiceError) || !isOutage(error)) throw error;
      logger.warn("Packages cannot be refreshed, and those that were installed before are used: {error}", {
        error: messageOf(error),
      });
      return stored;
    }
  }

  async #installOnce(key: string, install: (nowMs: number) => Promise<InstallResult>): Promise<StoredLayer> {
    const failure = this.#failures.get(key);
    if (failure !== undefined && this.#options.now() < failure.untilMs) throw failure.error;
    let installing = this.#installing.get(key);
    if (installing === undefined) {
      installing = this.#install(key, install).finally(() => this.#installing.delete(key));
      installing.catch((error: unknown) => this.#remember(key, error));
      this.#installing.set(key, installing);
    }
    return await installing;
  }

  #remember(key: string, error: unknown): void {
    // What has to do with this service and not with what it was asked for.
    if (!(error instanceof ServiceError) || error.code === "DRAINING" || error.code === "INTERNAL") return;
    this.#failures.delete(key);
    this.#failures.set(key, { error, untilMs: this.#options.now() + RETRY_MS });
    const [oldest] = this.#failures.keys();
    if (this.#failures.size > MAX_FAILURES && oldest !== undefined) this.#failures.delete(oldest);
  }

  async #install(key: string, install: (nowMs: number) => Promise<InstallResult>): Promise<StoredLayer> {
    const { store, now } = this.#options;
    const nowMs = now();
    const { lines, layer } = await install(nowMs);
    this.#failures.delete(key);
    const stored = { layer, installed: lines, resolvedAtMs: nowMs };
    try {
      await store.keep(key, stored);
    } catch (error) {
      // The task has what it needs; the next one installs again.
      logger.warn("Cannot keep installed packages: {error}", { error: messageOf(error) });
    }
    logger.info("Installed {count} packages: {packages}", {
      count: lines.length,
      packages: lines.slice(0, 20).join(" "),
    });
    return stored;
  }
}

/** Whether the registry, or an installer, is at fault, and not what was asked for. */
export function isOutage({ code }: ServiceError): boolean {
  return code === "TASK_FAILED" || code === "TASK_TIMEOUT" || code === "SANDBOX_LOST";
}
