/**
 * Packages of npm for tasks in TypeScript and JavaScript: from the store, or by an installer.
 * @module
 */

import { abortable } from "../../async/abortable.ts";
import type { LayerOptions, NpmPolicy } from "../../config/schema.ts";
import { messageOf, ServiceError } from "../../errors.ts";
import { serviceLogger } from "../../logging/mod.ts";
import { MEGABYTE } from "../../units.ts";
import type { Installer } from "../installer/installer.ts";
import type { DependencyRequest, DependencyResolver, ResolvedDependencies } from "../dependencies.ts";
import { type LayerStore, sha256, type StoredLayer } from "../layers/layer_store.ts";

const logger = serviceLogger("packages");

/** Part of every key: layers of another form are not found. */
const LAYER_FORMAT = 1;
const MS_PER_HOUR = 3_600_000;
/** Code packages whose declarations are remembered. */
const MAX_REMEMBERED = 1_000;
/** How long it may take to read what a code package declares, in milliseconds. */
const READ_TIMEOUT_MS = 30_000;

/** What may come back as the name of a package: it goes to the caller. */
const INSTALLED = /^npm:(?:@[\w.~-]+\/)?[\w.~-]+@[\w.+-]+$/;
const NOTHING: ResolvedDependencies = { layer: new Uint8Array(), installed: [] };

/** What an {@linkcode NpmResolver} works with. */
export interface NpmResolverOptions {
  readonly policy: NpmPolicy;
  /** Contents of the policy's `caFile`, if there is one. */
  readonly caCerts: readonly string[];
  readonly refreshHours: LayerOptions["refreshHours"];
  readonly installer: Installer;
  readonly store: LayerStore;
  /** Largest code package once unpacked, in bytes. */
  readonly maxUnpackedBytes: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** See the module. What it works with belongs to others. */
export class NpmResolver implements DependencyResolver {
  readonly #options: NpmResolverOptions;
  /** Installations under way: who wants the same waits for the same. */
  readonly #installing = new Map<string, Promise<StoredLayer>>();
  /** What code packages declare, by their digest; the one asked for longest ago first. */
  readonly #declared = new Map<string, Promise<readonly string[]>>();

  constructor(options: NpmResolverOptions) {
    this.#options = options;
  }

  async resolve(
    { requirements, codePackage }: Pick<DependencyRequest, "requirements" | "codePackage">,
    signal: AbortSignal,
  ): Promise<ResolvedDependencies> {
    // The sandbox refuses what then is not there, after all else that is wrong with the package.
    if (!this.#options.policy.allowed) return NOTHING;
    const declared = await abortable(this.#declaredBy(codePackage), signal);
    const all = [...new Set([...requirements, ...declared].map((line) => line.trim()))];
    if (all.length === 0) return NOTHING;
    const { layer, installed } = await abortable(this.#layerOf(all), signal);
    return { layer, installed };
  }

  /** What a code package declares, as read in a sandbox. */
  #declaredBy(codePackage: Uint8Array): Promise<readonly string[]> {
    const digest = sha256(codePackage);
    const known = this.#declared.get(digest);
    if (known !== undefined) {
      this.#declared.delete(digest);
      this.#declared.set(digest, known);
      return known;
    }
    const { installer, maxUnpackedBytes } = this.#options;
    const reading = installer.run({
      request: { kind: "requirements" },
      registry: null,
      codePackage,
      maxBytes: maxUnpackedBytes,
      timeoutMs: READ_TIMEOUT_MS,
    }).then(({ lines }) => lines);
    // What is wrong with the package its task will say; what was wrong here may not be wrong the next time.
    reading.catch(() => this.#declared.delete(digest));
    this.#declared.set(digest, reading);
    const [oldest] = this.#declared.keys();
    if (this.#declared.size > MAX_REMEMBERED && oldest !== undefined) this.#declared.delete(oldest);
    return reading;
  }

  async #layerOf(requirements: readonly string[]): Promise<StoredLayer> {
    const { policy, store, refreshHours, now } = this.#options;
    const { registry, allow, minimumAgeDays, maxPackages, maxMb } = policy;
    const key = JSON.stringify([
      "npm",
      LAYER_FORMAT,
      { registry, allow, minimumAgeDays, maxPackages, maxMb },
      requirements,
    ]);
    const stored = await store.find(key);
    if (stored !== undefined && now() - stored.resolvedAtMs < refreshHours * MS_PER_HOUR) return stored;
    let installing = this.#installing.get(key);
    if (installing === undefined) {
      installing = this.#install(key, requirements).finally(() => this.#installing.delete(key));
      installing.catch(() => {});
      this.#installing.set(key, installing);
    }
    try {
      return await installing;
    } catch (error) {
      if (stored === undefined || !(error instanceof ServiceError) || !isOutage(error)) throw error;
      logger.warn("Packages cannot be refreshed, and those that were installed before are used: {error}", {
        error: messageOf(error),
      });
      return stored;
    }
  }

  async #install(key: string, requirements: readonly string[]): Promise<StoredLayer> {
    const { policy, caCerts, installer, store, now } = this.#options;
    const { registry, allow, minimumAgeDays, maxPackages, maxMb, timeoutSeconds } = policy;
    const nowMs = now();
    const maxBytes = maxMb * MEGABYTE;
    const { lines, layer } = await installer.run({
      request: { kind: "npm", registry, caCerts, requirements, allow, minimumAgeDays, maxPackages, maxBytes, nowMs },
      registry,
      maxBytes,
      timeoutMs: timeoutSeconds * 1_000,
    });
    if (!lines.every((line) => INSTALLED.test(line))) {
      throw new ServiceError("SANDBOX_LOST", "Cannot install packages: the installer's answer is malformed");
    }
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
function isOutage({ code }: ServiceError): boolean {
  return code === "TASK_FAILED" || code === "TASK_TIMEOUT" || code === "SANDBOX_LOST";
}
