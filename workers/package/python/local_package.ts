/**
 * Packages that the service has itself, as an installer knows them: all but their files.
 * @module
 */

import type { LocalPackage } from "../../install_protocol.ts";
import type { Distribution } from "./distribution.ts";
import { UnusablePackageError } from "./distribution.ts";
import type { PackageMetadata } from "./metadata.ts";
import { tryParseVersion, type Version } from "./version.ts";
import { parseOwnMetadata } from "./wheel_archive.ts";
import { tryParseWheelName, type WheelName } from "./wheel_name.ts";

/** A package that is described. */
export class DescribedPackage implements Distribution {
  readonly name: string;
  readonly version: Version | undefined;
  readonly wheelName: WheelName | undefined;
  readonly #description: LocalPackage;

  /** @param index Its place in the request */
  constructor(readonly index: number, description: LocalPackage) {
    const { name, version, wheel } = description;
    this.name = name;
    this.version = version === null ? undefined : tryParseVersion(version);
    this.wheelName = wheel === null ? undefined : tryParseWheelName(wheel);
    this.#description = description;
  }

  refresh(): Promise<string> {
    return Promise.resolve("");
  }

  unusableOn(): Promise<string | undefined> {
    return Promise.resolve(this.#description.unusable ?? undefined);
  }

  metadata(): Promise<PackageMetadata> {
    const { headers, requiresText } = this.#description;
    return Promise.resolve(parseOwnMetadata(headers, requiresText ?? undefined));
  }

  digest(algorithm: string): Promise<string | undefined> {
    return Promise.resolve(algorithm === "sha256" ? this.#description.sha256 ?? undefined : undefined);
  }

  files(): Promise<never> {
    return Promise.reject(new UnusablePackageError("its files are not here"));
  }
}
