/**
 * Installing packages, and running code that uses them, for tests.
 * @module
 */

import { zipSync } from "fflate";
import { NpmPolicy } from "../../src/config/schema.ts";
import { Installer } from "../../src/packages/installer/installer.ts";
import { LayerStore } from "../../src/packages/layers/layer_store.ts";
import { InstalledLayers } from "../../src/packages/layers/installed_layers.ts";
import { NpmResolver } from "../../src/packages/npm/npm_resolver.ts";
import { HostProcess } from "../../src/sandbox/host_process.ts";
import { HostWatch } from "../../src/sandbox/host_watch.ts";
import type { Jail } from "../../src/sandbox/jails/jail.ts";
import type { TaskEnd } from "../../src/sandbox/task.ts";
import type { FakeRegistry } from "../fakes/npm_registry.ts";
import { hostOptions, RuntimeDirectory } from "./hosts.ts";

const MEGABYTE = 1024 * 1024;

/** All that installs packages for a test. */
export class TestPackages implements AsyncDisposable {
  #hosts = 0;

  private constructor(
    readonly directory: RuntimeDirectory,
    readonly installer: Installer,
    readonly store: LayerStore,
    readonly resolver: NpmResolver,
    readonly jail: Jail | undefined,
  ) {}

  static async start(
    registry: Pick<FakeRegistry, "url">,
    { jail, now = Date.now, cacheBytes = 100 * MEGABYTE, caCerts = [], ...policy }:
      & {
        readonly jail?: Jail;
        readonly now?: () => number;
        readonly cacheBytes?: number;
        readonly caCerts?: readonly string[];
      }
      & Partial<NpmPolicy> = {},
  ): Promise<TestPackages> {
    const directory = new RuntimeDirectory();
    const host = hostOptions(directory, jail === undefined ? {} : { jail });
    const installer = new Installer({ host, maxPackageBytes: 10 * MEGABYTE, maxPackageFiles: 1_000 });
    const store = await LayerStore.open({ directory: `${directory.path}/layers`, maxBytes: cacheBytes });
    const resolver = new NpmResolver({
      policy: NpmPolicy.parse({ allowed: true, registry: registry.url, ...policy }),
      caCerts,
      installer,
      layers: new InstalledLayers({ store, refreshHours: 24, now }),
      maxUnpackedBytes: 10 * MEGABYTE,
    });
    return new TestPackages(directory, installer, store, resolver, jail);
  }

  /** Installs what is declared. */
  async install(requirements: readonly string[], codePackage: Uint8Array = textOf("export default 1;")) {
    return await this.resolver.resolve(
      { requirements, codePackage },
      new AbortController().signal,
    );
  }

  /** Installs what is declared, and runs code with it. */
  async run(requirements: readonly string[], code: string | Readonly<Record<string, string>>): Promise<TaskEnd> {
    const codePackage = typeof code === "string" ? textOf(code) : zipOf(code);
    const resolved = await this.install(requirements, codePackage);
    const options = hostOptions(this.directory, {
      id: `task-${++this.#hosts}`,
      role: "task",
      ...(this.jail === undefined ? {} : { jail: this.jail }),
    });
    await using host = await HostProcess.start(options, { signal: new AbortController().signal });
    using watch = new HostWatch(() => [host]);
    const { promise, resolve } = Promise.withResolvers<TaskEnd>();
    host.run({
      message: {
        format: "json",
        memoryLimitBytes: 100 * MEGABYTE,
        maxOutputBytes: MEGABYTE,
        maxConsoleBytes: 0,
        options: {
          entryPoint: "",
          dependencies: requirements,
          maxPackageBytes: 10 * MEGABYTE,
          maxUnpackedBytes: 10 * MEGABYTE,
          maxFiles: 1_000,
          blockedImports: [],
          validated: false,
          environment: {},
        },
        input: textOf("null"),
        layers: resolved.layers,
        codePackage,
      },
      limits: { timeoutMs: 60_000, cpuMs: 60_000, cpuPercent: 400, memoryBytes: 2 ** 30, threads: 100 },
      onEnd: resolve,
      onLog: () => {},
    }, performance.now());
    watch.wake();
    return await promise;
  }

  /** Runs code and gives its result, or the outcome with its message where there is none. */
  async result(requirements: readonly string[], code: string | Readonly<Record<string, string>>): Promise<unknown> {
    const end = await this.run(requirements, code);
    if (end.kind !== "result") return end.kind;
    const { outcome, message, output } = end.result;
    return outcome === "OK" ? JSON.parse(new TextDecoder().decode(output)) : `${outcome}: ${message}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.installer[Symbol.asyncDispose]();
    await this.directory[Symbol.asyncDispose]();
  }
}

/** Bytes of a text. */
export function textOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** A code package of these files. */
export function zipOf(files: Readonly<Record<string, string>>): Uint8Array {
  return zipSync(Object.fromEntries(Object.entries(files).map(([path, text]) => [path, textOf(text)])));
}
