/**
 * Chooses one version of every package that a task needs, the newest that fit together.
 * @module
 */

import type { PythonVersion } from "../../protocol.ts";
import { show } from "../limits.ts";
import { PackageError } from "./package_error.ts";
import { type Distribution, type PackageIndex, UnusablePackageError } from "./distribution.ts";
import { holds, type MarkerEnvironment } from "./marker.ts";
import type { PackageMetadata } from "./metadata.ts";
import { isProvided, platformOf, supportedTags } from "./platform.ts";
import { formatRequirement, type Requirement } from "./requirement.ts";
import { inOrder, pinOf, withoutPrereleases, withoutYanked } from "./preference.ts";
import { fits, formatSpecifiers } from "./specifier.ts";
import { formatVersion, tryParseVersion } from "./version.ts";

/** Packages that one task may have. */
const MAX_PACKAGES = 500;
/** Steps after which it is given up: finding a set that fits is NP-complete. */
const MAX_STEPS = 20_000;
/** Steps that are done in one turn of the event loop. */
const STEPS_PER_TURN = 200;
/** Versions that a message shows. */
const MAX_VERSIONS_SHOWN = 8;

/** What resolving works with. */
export interface ResolveOptions {
  readonly version: PythonVersion;
  readonly index: PackageIndex;
  /** Where packages are looked for, as a message names it. */
  readonly place: string;
  readonly signal: AbortSignal;
}

/** A requirement and who has it: `undefined` for the task itself. */
interface Asked {
  readonly requirement: Requirement;
  readonly by: string | undefined;
}

/** A package that can be used. */
interface Candidate {
  readonly distribution: Distribution;
  readonly metadata: PackageMetadata;
}

/** A chosen package and what it is asked for. */
interface Chosen extends Candidate {
  /** All that was asked of it, its extras counted. */
  readonly asked: readonly Asked[];
}

type Choices = ReadonlyMap<string, Chosen>;

/**
 * Resolves requirements.
 * @returns packages sorted by name
 * @throws {PackageError} `INVALID_TASK` naming what cannot be had, who asks for it and where it was looked for
 */
export async function resolve(
  requirements: readonly Requirement[],
  options: ResolveOptions,
): Promise<Distribution[]> {
  const resolver = new Resolver(options);
  const choices = await resolver.resolve(requirements);
  return [...choices.values()].map(({ distribution }) => distribution).sort((a, b) => a.name < b.name ? -1 : 1);
}

class Resolver {
  readonly #options: ResolveOptions;
  readonly #environment: MarkerEnvironment;
  readonly #tags: readonly string[];
  /** What there is of each package that was asked for. */
  readonly #found = new Map<string, readonly Distribution[] | undefined>();
  /** Whether each package can be used at all, which no choice changes. */
  readonly #usable = new Map<Distribution, Promise<Candidate | { reason: string }>>();
  /** The first reason that a choice failed, which is about the newest versions. */
  #failure: PackageError | undefined;
  #stepsLeft = MAX_STEPS;

  constructor(options: ResolveOptions) {
    this.#options = options;
    this.#environment = platformOf(options.version).environment;
    this.#tags = supportedTags(options.version);
  }

  async resolve(requirements: readonly Requirement[]): Promise<Choices> {
    const asked = this.#asked(requirements, [], undefined);
    const choices = await this.#canBe(asked, new Map()) ? await this.#choose(asked, new Map()) : undefined;
    if (choices !== undefined) return choices;
    throw this.#failure ?? new PackageError("no versions of them fit together");
  }

  /** Chooses for all that is asked, on top of what is chosen; `undefined` when that cannot be. */
  async #choose(open: readonly Asked[], choices: Choices): Promise<Choices | undefined> {
    const [next, ...rest] = open;
    if (next === undefined) return choices;
    await this.#step();
    const { name } = next.requirement;
    const known = choices.get(name);
    if (known !== undefined) return await this.#extend(known, next, rest, choices);
    if (choices.size >= MAX_PACKAGES) throw new PackageError(`they need more than ${MAX_PACKAGES} packages`);
    // Whoever asks for it too, so far, is heard before a choice is made.
    const asked = open.filter(({ requirement }) => requirement.name === name);
    const others = rest.filter(({ requirement }) => requirement.name !== name);
    for await (const { distribution, metadata } of this.#candidates(asked)) {
      const chosen = new Map(choices).set(name, { distribution, metadata, asked });
      const needed = this.#neededBy(distribution, metadata, extrasOf(asked));
      const found = await this.#canBe(needed, chosen) ? await this.#choose([...others, ...needed], chosen) : undefined;
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Whether there is something for each that is asked, as far as that shows at once: it saves trying what comes before. */
  async #canBe(asked: readonly Asked[], choices: Choices): Promise<boolean> {
    await Promise.all(asked.map(({ requirement }) => this.#find(requirement.name)));
    return asked.every((one) => {
      const { name } = one.requirement;
      const known = choices.get(name);
      const all = known === undefined ? this.#found.get(name) : [known.distribution];
      if (all?.some((distribution) => takes(distribution, one.requirement))) return true;
      const missing = new PackageError(`${describe(one)}, is not in ${this.#options.place}`);
      this.#fail(all === undefined ? missing : this.#conflict([...known?.asked ?? [], one]));
      return false;
    });
  }

  async #find(name: string): Promise<void> {
    if (!this.#found.has(name)) this.#found.set(name, await this.#options.index.find(name));
  }

  /** Counts what is done, lets others have their turn at times, and ends what nobody waits for. */
  async #step(): Promise<void> {
    this.#options.signal.throwIfAborted();
    if (--this.#stepsLeft < 0) {
      const failure = this.#failure?.state ?? "nothing was tried to the end";
      throw new PackageError(`no versions of them were found to fit together in ${MAX_STEPS} steps; first, ${failure}`);
    }
    if (this.#stepsLeft % STEPS_PER_TURN === 0) await new Promise((resume) => setTimeout(resume));
  }

  /** Goes on with a package that is chosen already, if it fits; an extra may need more. */
  async #extend(
    known: Chosen,
    next: Asked,
    rest: readonly Asked[],
    choices: Choices,
  ): Promise<Choices | undefined> {
    const { distribution, metadata, asked } = known;
    if (!await hasHash(distribution, next.requirement)) {
      this.#fail(this.#conflict([...asked, next]));
      return undefined;
    }
    const before = extrasOf(asked);
    const isNew = next.requirement.extras.some((extra) => !before.includes(extra));
    const needed = isNew ? this.#neededBy(distribution, metadata, next.requirement.extras) : [];
    const chosen = new Map(choices).set(next.requirement.name, { ...known, asked: [...asked, next] });
    return await this.#canBe(needed, chosen) ? await this.#choose([...rest, ...needed], chosen) : undefined;
  }

  /** Packages that fit all that is asked of one name, the best first; none leaves a failure behind. */
  async *#candidates(asked: readonly Asked[]): AsyncGenerator<Candidate> {
    const [first] = asked;
    if (first === undefined) return;
    const all = this.#found.get(first.requirement.name) ?? [];
    const requirements = asked.map(({ requirement }) => requirement);
    const fitting = withoutYanked(inOrder(all, this.#tags), requirements).filter((distribution) =>
      requirements.every((requirement) => takes(distribution, requirement))
    );
    if (fitting.length === 0) this.#fail(this.#conflict(asked));
    const reasons: string[] = [];
    for (const distribution of withoutPrereleases(fitting, requirements)) {
      const result = await this.#examine(distribution, asked);
      if ("distribution" in result) yield result;
      else reasons.push(`${pinOf(distribution, " ")}: ${result.reason}`);
    }
    if (reasons.length === 0) return;
    const shown = reasons.slice(0, MAX_VERSIONS_SHOWN).join("; ");
    this.#fail(new PackageError(`${describe(first)}, is in ${this.#options.place}, but cannot be used (${shown})`));
  }

  async #examine(distribution: Distribution, asked: readonly Asked[]): Promise<Candidate | { reason: string }> {
    const known = this.#usable.get(distribution) ?? this.#metadataOf(distribution);
    this.#usable.set(distribution, known);
    const result = await known;
    if ("reason" in result) return result;
    for (const { requirement } of asked) {
      if (!await hasHash(distribution, requirement)) {
        const reason = distribution.wheelName === undefined ? "a folder has no hash" : "its hash is another one";
        return { reason };
      }
    }
    return result;
  }

  async #metadataOf(distribution: Distribution): Promise<Candidate | { reason: string }> {
    const { version } = this.#options;
    try {
      await distribution.refresh();
      const reason = await distribution.unusableOn(version);
      if (reason !== undefined) return { reason };
      const metadata = await distribution.metadata();
      const python = tryParseVersion(this.#environment.python_full_version);
      if (python !== undefined && !fits(python, metadata.requiresPython)) {
        return { reason: `it is for Python ${formatSpecifiers(metadata.requiresPython)}` };
      }
      return { distribution, metadata };
    } catch (error) {
      if (error instanceof UnusablePackageError) return { reason: error.message };
      throw error;
    }
  }

  #neededBy(distribution: Distribution, metadata: PackageMetadata, extras: readonly string[]): Asked[] {
    return this.#asked(metadata.requires, extras, pinOf(distribution, " "));
  }

  /** What somebody asks for here and now, less what the sandbox has itself. */
  #asked(requirements: readonly Requirement[], extras: readonly string[], by: string | undefined): Asked[] {
    const counts = ({ marker }: Requirement) =>
      marker === undefined || ["", ...extras].some((extra) => holds(marker, this.#environment, extra));
    return requirements.filter((requirement) => !isProvided(requirement.name) && counts(requirement))
      .map((requirement) => ({ requirement, by }));
  }

  #conflict(asked: readonly Asked[]): PackageError {
    const [first, ...others] = asked;
    if (first === undefined) return new PackageError("nothing is asked for");
    const versions = inOrder(this.#found.get(first.requirement.name) ?? [], this.#tags)
      .map(({ version }) => version === undefined ? "one without a version" : formatVersion(version));
    const each = [...new Set(versions)];
    const whole = [describe(first), ...others.map(describe)].join(", and ");
    if (each.length === 0) {
      return new PackageError(`${whole}: ${this.#options.place} has no wheel of it, and nothing is built here`);
    }
    const shown = each.slice(0, MAX_VERSIONS_SHOWN).join(", ");
    const more = each.length > MAX_VERSIONS_SHOWN ? ` and ${each.length - MAX_VERSIONS_SHOWN} more` : "";
    return new PackageError(`${whole}: no version fits, ${this.#options.place} has ${shown}${more}`);
  }

  #fail(failure: PackageError): void {
    this.#failure ??= failure;
  }
}

function takes({ version }: Distribution, { specifiers }: Requirement): boolean {
  return version === undefined ? specifiers.length === 0 : fits(version, specifiers);
}

/** Whether its file is one of those that `--hash` allows. */
async function hasHash(distribution: Distribution, { hashes }: Requirement): Promise<boolean> {
  if (hashes.length === 0) return true;
  for (const hash of hashes) {
    const [algorithm = "", digest] = hash.split(":");
    if (await distribution.digest(algorithm) === digest) return true;
  }
  return false;
}

function extrasOf(asked: readonly Asked[]): string[] {
  return asked.flatMap(({ requirement }) => requirement.extras);
}

function describe({ requirement, by }: Asked): string {
  return `${show(formatRequirement(requirement))}, which ${by ?? "the task"} asks for`;
}
