/**
 * Packages of npm for tasks in TypeScript and JavaScript: from the store, or by an installer.
 * @module
 */

import { abortable } from "../../async/abortable.ts";
import type { NpmPolicy } from "../../config/schema.ts";
import { ServiceError } from "../../errors.ts";
import { MEGABYTE } from "../../units.ts";
import { hostOf, type Installer } from "../installer/installer.ts";
import type { DependencyRequest, DependencyResolver, ResolvedDependencies } from "../dependencies.ts";
import type { InstalledLayers } from "../layers/installed_layers.ts";
import { sha256, type StoredLayer } from "../layers/layer_store.ts";

/** Part of every key: layers of another form are not found. */
const LAYER_FORMAT = 1;
/** Code packages whose declarations are remembered. */
const MAX_REMEMBERED = 1_000;
/** How long it may take to read what a code package declares, in milliseconds. */
const READ_TIMEOUT_MS = 30_000;

/** What may come back as the name of a package: it goes to the caller. */
const INSTALLED = /^npm:(?:@[\w.~-]+\/)?[\w.~-]+@[\w.+-]+$/;
const NOTHING: ResolvedDependencies = { layers: [], installed: [] };

/** What an {@linkcode NpmResolver} works with. */
export interface NpmResolverOptions {
  readonly policy: NpmPolicy;
  /** Contents of the policy's `caFile`, if there is one. */
  readonly caCerts: readonly string[];
  readonly installer: Installer;
  readonly layers: InstalledLayers;
  /** Largest code package once unpacked, in bytes. */
  readonly maxUnpackedBytes: number;
}

/** See the module. What it works with belongs to others. */
export class NpmResolver implements DependencyResolver {
  readonly #options: NpmResolverOptions;
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
    return { layers: [layer], installed };
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
      hosts: [],
      codePackage,
      maxBytes: maxUnpackedBytes,
      timeoutMs: READ_TIMEOUT_MS,
      timeoutRule: "packages.npm.timeoutSeconds",
    }).then(({ lines }) => lines);
    // What is wrong with the package its task will say; what was wrong here may not be wrong the next time.
    reading.catch(() => this.#declared.delete(digest));
    this.#declared.set(digest, reading);
    const [oldest] = this.#declared.keys();
    if (this.#declared.size > MAX_REMEMBERED && oldest !== undefined) this.#declared.delete(oldest);
    return reading;
  }

  #layerOf(requirements: readonly string[]): Promise<StoredLayer> {
    const { policy, caCerts, installer, layers } = this.#options;
    const { registry, allow, minimumAgeDays, maxPackages, maxMb, timeoutSeconds } = policy;
    const rules = { registry, allow, minimumAgeDays, maxPackages, maxMb };
    const maxBytes = maxMb * MEGABYTE;
    return layers.get(JSON.stringify(["npm", LAYER_FORMAT, rules, requirements]), async (nowMs) => {
      const result = await installer.run({
        request: { kind: "npm", registry, caCerts, requirements, allow, minimumAgeDays, maxPackages, maxBytes, nowMs },
        hosts: [hostOf(registry)],
        maxBytes,
        timeoutMs: timeoutSeconds * 1_000,
        timeoutRule: "packages.npm.timeoutSeconds",
      });
      if (result.lines.every((line) => INSTALLED.test(line))) return result;
      throw new ServiceError("SANDBOX_LOST", "Cannot install packages: the installer's answer is malformed");
    });
  }
}
