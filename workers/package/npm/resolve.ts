/**
 * Chooses versions of packages and of all that they need, as npm does: the newest that lies in the range, one that was
 * chosen already where it does.
 *
 * @module
 */

import type { NpmInstallRequest } from "../../install_protocol.ts";
import { parseDependencies } from "../dependencies.ts";
import { show } from "../limits.ts";
import { matchesPattern } from "../name_pattern.ts";
import { TaskError } from "../../task_error.ts";
import type { Registry } from "../registry.ts";
import { isRange, isVersion, versionsIn } from "./versions.ts";

const MS_PER_DAY = 86_400_000;
/** The longest documents of public packages have some 20 MB. */
const MAX_DOCUMENT_BYTES = 64 * 2 ** 20;
const PACKAGE_NAME = /^(?:@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~_-][a-z0-9._~-]*$/i;
const MAX_NAME_LENGTH = 214;

/** A version that was chosen. */
export interface ChosenPackage {
  readonly name: string;
  readonly version: string;
  /** Where its archive lies, and what it must be: the sha512 of `dist.integrity`, base64. */
  readonly tarball: string;
  readonly sha512: string;
  /** What it needs, by the names that it imports them by; keys of the resolution. */
  readonly dependencies: Map<string, string>;
}

/** What a resolution gives. */
export interface Resolution {
  /** By `name@version`. */
  readonly packages: ReadonlyMap<string, ChosenPackage>;
  /** What was declared, in order. */
  readonly roots: readonly {
    readonly name: string;
    /** The range as declared; `null` for none. */
    readonly wanted: string | null;
    readonly key: string;
  }[];
}

/** Something that is needed. */
interface Need {
  /** The name that it is imported by. */
  readonly alias: string;
  readonly name: string;
  readonly range: string;
  /** Who needs it, for messages; `undefined` for the request. */
  readonly by: ChosenPackage | undefined;
}

type Entries = Readonly<Record<string, unknown>>;

/**
 * Resolves what a request declares.
 *
 * @throws {TaskError} `INVALID_TASK` for what does not exist, `SECURITY_VIOLATION` for what the policy refuses, with the rule;
 * `RESOURCE_LIMIT` for too many packages; `TASK_FAILED` when the registry does not answer as one
 */
export async function resolvePackages(request: NpmInstallRequest, registry: Registry): Promise<Resolution> {
  return await new Resolver(request, registry).run();
}

class Resolver {
  readonly #request: NpmInstallRequest;
  readonly #registry: Registry;
  readonly #documents = new Map<string, Promise<Entries>>();
  readonly #packages = new Map<string, ChosenPackage>();

  constructor(request: NpmInstallRequest, registry: Registry) {
    this.#request = request;
    this.#registry = registry;
  }

  async run(): Promise<Resolution> {
    const roots = parseDependencies(this.#request.requirements).map(({ registry, name, version }) => {
      if (registry === "jsr") {
        throw new TaskError(
          "INVALID_TASK",
          `Cannot install ${show(`jsr:${name}`)}: only packages of npm are installed`,
        );
      }
      return { alias: name, name, range: version ?? "", wanted: version ?? null, by: undefined };
    });
    const chosen: { name: string; wanted: string | null; key: string }[] = [];
    let needs: Need[] = [];
    await this.#load(roots);
    for (const { wanted, ...root } of roots) {
      chosen.push({ name: root.name, wanted, key: await this.#choose(root, needs) });
    }
    // Level by level: the documents of a level come at once, and choices are made in an order that is always the same.
    while (needs.length > 0) {
      const next: Need[] = [];
      await this.#load(needs);
      for (const need of needs) {
        const key = await this.#choose(need, next);
        need.by?.dependencies.set(need.alias, key);
      }
      needs = next;
    }
    return { packages: this.#packages, roots: chosen };
  }

  async #load(needs: readonly Need[]): Promise<void> {
    await Promise.all(needs.map(({ name }) => this.#document(name)));
  }

  /** What the registry says of a package. */
  #document(name: string): Promise<Entries> {
    const known = this.#documents.get(name);
    if (known !== undefined) return known;
    const document = this.#fetchDocument(name);
    document.catch(() => {});
    this.#documents.set(name, document);
    return document;
  }

  async #fetchDocument(name: string): Promise<Entries> {
    const { allow, minimumAgeDays } = this.#request;
    if (!PACKAGE_NAME.test(name) || name.length > MAX_NAME_LENGTH) {
      throw new TaskError("INVALID_TASK", `Cannot install ${show(name)}: it is no name of a package`);
    }
    if (!allow.some((pattern) => matchesPattern(name, pattern))) {
      throw new TaskError(
        "SECURITY_VIOLATION",
        `Cannot install ${show(name)}: the policy does not allow it (packages.npm.allow)`,
      );
    }
    // Only the long form tells when versions were published.
    const accept = minimumAgeDays > 0 ? "application/json" : "application/vnd.npm.install-v1+json, application/json";
    const document = await this.#registry.tryJson(name.replace("/", "%2f"), { accept, maxBytes: MAX_DOCUMENT_BYTES });
    if (document === undefined) {
      throw new TaskError("INVALID_TASK", `Cannot install ${show(name)}: ${this.#registry.name} has no such package`);
    }
    return entriesOf(document);
  }

  /** Chooses a version, and notes what it needs if that is new. @returns its key */
  async #choose(need: Need, further: Need[]): Promise<string> {
    const document = await this.#document(need.name);
    const versions = entriesOf(document.versions);
    const there = [...this.#packages.values()].filter(({ name }) => name === need.name).map(({ version }) => version);
    const isTag = !isRange(need.range);
    const version = (isTag || need.by === undefined ? undefined : versionsIn(need.range, there)[0]) ??
      this.#newest(need, document);
    const key = `${need.name}@${version}`;
    if (this.#packages.has(key)) return key;
    if (this.#packages.size >= this.#request.maxPackages) {
      throw new TaskError(
        "RESOURCE_LIMIT",
        `Cannot install ${
          show(key)
        }: more than ${this.#request.maxPackages} packages are needed (policy: packages.npm.maxPackages)`,
      );
    }
    const details = entriesOf(versions[version]);
    const chosen = { name: need.name, version, ...distOf(key, details), dependencies: new Map<string, string>() };
    this.#packages.set(key, chosen);
    for (const [alias, spec] of neededBy(details)) further.push(needOf(alias, spec, chosen));
    return key;
  }

  #newest(need: Need, document: Entries): string {
    const { name, range } = need;
    const versions = Object.keys(entriesOf(document.versions)).filter(isVersion);
    const tags = entriesOf(document["dist-tags"]);
    const shown = `${name}@${range || "latest"}${
      need.by === undefined ? "" : ` (for ${need.by.name}@${need.by.version})`
    }`;
    if (!isRange(range)) {
      const tagged = tags[range];
      if (typeof tagged !== "string" || !versions.includes(tagged)) {
        throw new TaskError(
          "INVALID_TASK",
          `Cannot install ${show(shown)}: it is neither a range of versions nor a tag`,
        );
      }
      if (!this.#isOldEnough(document, tagged)) throw this.#tooYoung(shown, tagged);
      return tagged;
    }
    const fitting = versionsIn(range, versions);
    const latest = typeof tags.latest === "string" && fitting.includes(tags.latest) ? [tags.latest] : [];
    const found = [...latest, ...fitting].filter((version) => this.#isOldEnough(document, version));
    const [best] = found.filter((version) => entriesOf(entriesOf(document.versions)[version]).deprecated === undefined);
    const version = best ?? found[0];
    if (version !== undefined) return version;
    if (fitting[0] !== undefined) throw this.#tooYoung(shown, fitting[0]);
    const some = versionsIn("*", versions).slice(0, 5).join(", ");
    throw new TaskError(
      "INVALID_TASK",
      `Cannot install ${show(shown)}: ${this.#registry.name} has ${
        some === "" ? "no version" : `no such version, but ${some}`
      }`,
    );
  }

  #isOldEnough(document: Entries, version: string): boolean {
    const { minimumAgeDays, nowMs } = this.#request;
    if (minimumAgeDays === 0) return true;
    const published = Date.parse(String(entriesOf(document.time)[version]));
    return nowMs - published >= minimumAgeDays * MS_PER_DAY;
  }

  #tooYoung(shown: string, version: string): TaskError {
    return new TaskError(
      "SECURITY_VIOLATION",
      `Cannot install ${
        show(shown)
      }: version ${version} was published less than ${this.#request.minimumAgeDays} days ago (policy: packages.npm.minimumAgeDays)`,
    );
  }
}

/** Whether a pattern of the policy covers a name: `*` stands for any text. */
function entriesOf(value: unknown): Entries {
  return typeof value === "object" && value !== null ? value as Entries : {}; // each value is looked at before it is used
}

/** Where the archive of a version lies, and its digest. */
function distOf(key: string, details: Entries): { tarball: string; sha512: string } {
  const { tarball, integrity } = entriesOf(details.dist);
  const sha512 = /(?:^|\s)sha512-([A-Za-z0-9+/]{86}==)/.exec(String(integrity))?.[1];
  if (typeof tarball !== "string" || sha512 === undefined) {
    throw new TaskError(
      "SECURITY_VIOLATION",
      `Cannot install ${show(key)}: the registry gives no sha512 of its archive`,
    );
  }
  return { tarball, sha512 };
}

/** Dependencies, and peers that are not optional. What is optional is left out: its use is native code. */
function neededBy(details: Entries): [alias: string, spec: string][] {
  const optionalPeers = entriesOf(details.peerDependenciesMeta);
  const optional = entriesOf(details.optionalDependencies);
  const peers = Object.entries(entriesOf(details.peerDependencies))
    .filter(([name]) => entriesOf(optionalPeers[name]).optional !== true);
  const own = Object.entries(entriesOf(details.dependencies)).filter(([name]) => !Object.hasOwn(optional, name));
  return [...own, ...peers].sort(([left], [right]) => left < right ? -1 : 1)
    .map(([alias, spec]) => [alias, String(spec).trim()]);
}

function needOf(alias: string, spec: string, by: ChosenPackage): Need {
  const [, name = alias, range = ""] = /^npm:((?:@[^/@]+\/)?[^@]+)(?:@(.*))?$/s.exec(spec) ?? [, alias, spec];
  if (!isRange(range) && !/^[a-z][\w.-]*$/i.test(range)) {
    throw new TaskError(
      "INVALID_TASK",
      `Cannot install ${show(`${by.name}@${by.version}`)}: it needs ${
        show(`${alias}@${spec}`)
      }, which is no version of a registry`,
    );
  }
  return { alias, name, range, by };
}
