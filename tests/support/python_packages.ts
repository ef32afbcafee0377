/**
 * Installing packages of Python from a wheelhouse and an index, for tests.
 * @module
 */

import { PythonIndexPolicy } from "../../src/config/schema.ts";
import { Installer } from "../../src/packages/installer/installer.ts";
import { InstalledLayers } from "../../src/packages/layers/installed_layers.ts";
import { LayerStore } from "../../src/packages/layers/layer_store.ts";
import { PythonResolver } from "../../src/packages/python/python_resolver.ts";
import type { Jail } from "../../src/sandbox/jails/jail.ts";
import { MEGABYTE } from "../../src/units.ts";
import type { PythonVersion } from "../../workers/protocol.ts";
import type { FakeIndex } from "../fakes/python_index.ts";
import { hostOptions, RuntimeDirectory } from "./hosts.ts";
import { layerFiles, TestWheelhouse, type WheelSource } from "./wheels.ts";

/** What a test says of its packages. */
export interface PythonPackagesOptions extends Partial<PythonIndexPolicy> {
  /** The wheelhouse, by file names. */
  readonly wheels?: Readonly<Record<string, WheelSource | readonly string[]>>;
  readonly jail?: Jail;
  readonly now?: () => number;
  readonly caCerts?: readonly string[];
}

/** What was installed. */
export interface InstalledPackages {
  readonly installed: readonly string[];
  /** Texts of the layers' files by path. */
  readonly files: Readonly<Record<string, string>>;
}

/** All that installs packages for a test. */
export class TestPythonPackages implements AsyncDisposable {
  private constructor(
    readonly directory: RuntimeDirectory,
    readonly house: TestWheelhouse,
    readonly installer: Installer,
    readonly resolver: PythonResolver,
  ) {}

  static async start(
    index: Pick<FakeIndex, "url">,
    { wheels = {}, jail, now = Date.now, caCerts = [], ...policy }: PythonPackagesOptions = {},
  ): Promise<TestPythonPackages> {
    const directory = new RuntimeDirectory();
    const house = await TestWheelhouse.make(wheels);
    const host = hostOptions(directory, jail === undefined ? {} : { jail });
    const installer = new Installer({ host, maxPackageBytes: MEGABYTE, maxPackageFiles: 1_000 });
    const store = await LayerStore.open({ directory: `${directory.path}/layers`, maxBytes: 100 * MEGABYTE });
    const resolver = new PythonResolver({
      wheelhouse: house.wheelhouse,
      policy: PythonIndexPolicy.parse({ allowed: true, index: index.url, fileHosts: [], ...policy }),
      caCerts,
      installer,
      layers: new InstalledLayers({ store, refreshHours: 24, now }),
    });
    return new TestPythonPackages(directory, house, installer, resolver);
  }

  /** Installs lines of requirements. */
  async install(
    requirements: readonly string[],
    { version = "3.14", implied = [] }: { readonly version?: PythonVersion; readonly implied?: readonly string[] } = {},
  ): Promise<InstalledPackages> {
    const request = { version, requirements, implied };
    const { layers, installed } = await this.resolver.resolve(request, new AbortController().signal);
    return { installed, files: Object.assign({}, ...layers.map(layerFiles)) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.installer[Symbol.asyncDispose]();
    await this.house[Symbol.asyncDispose]();
    await this.directory[Symbol.asyncDispose]();
  }
}
