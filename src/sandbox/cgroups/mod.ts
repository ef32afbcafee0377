/**
 * Control groups: limits on CPU time, memory and processes that the kernel holds, for each sandbox host.
 * @module
 */

import { messageOf } from "../../errors.ts";
import { serviceLogger } from "../../logging/mod.ts";
import { type Controller, CONTROLLERS, type Dialect, DIALECT_V1, DIALECT_V2, type Hierarchy } from "./dialect.ts";
import { type GroupFiles, kernelFiles } from "./files.ts";
import { type ControlGroup, KernelGroup } from "./group.ts";
import { locateOwnGroups, type OwnGroups } from "./locate.ts";
import { GroupRemoval } from "./removal.ts";
import { makeUnifiedRoom, type UnifiedRoom } from "./unified.ts";

export type { Controller } from "./dialect.ts";
export type { GroupFiles } from "./files.ts";
export type { ControlGroup, GroupLimits } from "./group.ts";

const logger = serviceLogger("sandbox");

/** Names of our groups: the service's pid, a number for its use of groups, and what the group is for. */
const NAME = /^rexec-(\d+)-([0-9a-f]{8})-/;
/** What this very process uses: several services may run in it, and a dead one may have had its pid. */
const inUse = new Set<string>();

/** Limits that are tried on an empty group, so that what is said to work does. */
const TRIAL_LIMITS = {
  cpu: { cpuPercent: 50 },
  memory: { memoryBytes: 64 * 1024 * 1024 },
  pids: { maxProcesses: 8 },
} as const;

/** What was found. */
export interface Detection {
  /** Absent where nothing can be limited. */
  readonly groups: ControlGroups | undefined;
  /** One sentence for the log: what is limited through which version, and why the rest is not. */
  readonly description: string;
}

/** On what to look; all but tests look at the kernel. */
export interface DetectOptions {
  readonly files?: GroupFiles;
  readonly pid?: number;
}

interface ControlGroupsParts {
  readonly files: GroupFiles;
  readonly dialect: Dialect;
  readonly prefix: string;
  /** Folders below which groups are made. */
  readonly parents: ReadonlyMap<Hierarchy, string>;
  readonly controllers: ReadonlySet<Controller>;
  readonly room: UnifiedRoom | undefined;
}

/** Makes groups below this process's own. Dispose of it when all of them are gone. */
export class ControlGroups implements AsyncDisposable {
  readonly #parts: ControlGroupsParts;
  readonly #removal: GroupRemoval;

  private constructor(parts: ControlGroupsParts) {
    this.#parts = parts;
    this.#removal = new GroupRemoval(parts.files);
  }

  /**
   * Finds out what this process may limit, by doing it, and removes groups that dead services left behind. It prefers
   * version 2 where that has a controller to offer.
   *
   * @example
   * ```ts ignore
   * const { groups, description } = ControlGroups.detect();
   * using group = groups?.create("host-1");
   * group?.add(child.pid);
   * if (groups?.controllers.has("memory")) group?.setLimits({ memoryBytes: 200 * 1024 * 1024 });
   * ```
   */
  static detect({ files = kernelFiles, pid = Deno.pid }: DetectOptions = {}): Detection {
    let own: OwnGroups;
    try {
      own = locateOwnGroups(files);
    } catch (error) {
      return { groups: undefined, description: `no control groups: ${messageOf(error)}` };
    }
    const instance = crypto.getRandomValues(new Uint8Array(4)).toHex();
    const prefix = `rexec-${pid}-${instance}-`;
    const directories = new Set([...own.byController.values(), ...(own.unified === undefined ? [] : [own.unified])]);
    for (const directory of directories) removeLeftBehind(files, directory, pid);
    const reasons: string[] = [];
    for (const attempt of [detectV2, detectV1]) {
      const { parts, reason } = attempt({ files, pid, prefix, own });
      if (reason !== "") reasons.push(reason);
      if (parts === undefined) continue;
      inUse.add(instance);
      const limited = [...parts.controllers].join(", ");
      const rest = parts.controllers.size === CONTROLLERS.length ? "" : `; ${reason}`;
      const description = `control groups (version ${parts.dialect.version}) for ${limited}${rest}`;
      return { groups: new ControlGroups(parts), description };
    }
    return { groups: undefined, description: `no control groups: ${reasons.join("; ") || "none are mounted"}` };
  }

  /** Version of the kernel's interface. */
  get version(): 1 | 2 {
    return this.#parts.dialect.version;
  }

  /** What can be limited. */
  get controllers(): ReadonlySet<Controller> {
    return this.#parts.controllers;
  }

  /**
   * Makes a group without limits.
   * @param name letters, digits, `-` and `_`; one that no living group has
   * @throws {ServiceError} `INTERNAL` when the kernel refuses
   */
  create(name: string): ControlGroup {
    if (!/^[\w-]+$/.test(name)) throw new TypeError(`Cannot make control group: "${name}" is no name`);
    return createIn(this.#parts, name, this.#removal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { prefix, room } = this.#parts;
    const instance = NAME.exec(prefix)?.[2] ?? "";
    if (!inUse.has(instance)) return;
    await this.#removal[Symbol.asyncDispose]();
    inUse.delete(instance);
    try {
      room?.close();
    } catch (error) {
      logger.warn("Cannot put control groups back as they were: {reason}", { reason: messageOf(error) });
    }
  }
}

interface Surroundings {
  readonly files: GroupFiles;
  readonly pid: number;
  readonly prefix: string;
  readonly own: OwnGroups;
}

/** What one version gives; `reason` says why it is not all. */
interface Attempt {
  readonly parts?: ControlGroupsParts;
  readonly reason: string;
}

function detectV2({ files, pid, prefix, own: { unified } }: Surroundings): Attempt {
  if (unified === undefined) return { reason: "" };
  let room: UnifiedRoom;
  try {
    room = makeUnifiedRoom({
      files,
      directory: unified,
      pid,
      leaf: `${prefix}server`,
      isOurs: (name) => NAME.test(name),
    });
  } catch (error) {
    return { reason: `version 2: ${messageOf(error)}` };
  }
  const parents = new Map<Hierarchy, string>(
    (["cpu", "memory", "pids", "cpuacct"] as const).map((hierarchy) => [hierarchy, unified]),
  );
  const attempt = tryEach({ files, dialect: DIALECT_V2, prefix, parents, controllers: room.controllers, room }, [
    ...room.missing,
  ]);
  if (attempt.parts === undefined) room.close();
  return attempt;
}

function detectV1({ files, prefix, own: { byController } }: Surroundings): Attempt {
  const parents = new Map<Hierarchy, string>();
  const missing: [Controller, string][] = [];
  for (const hierarchy of [...CONTROLLERS, "cpuacct"] as const) {
    const directory = byController.get(hierarchy);
    if (directory !== undefined) parents.set(hierarchy, directory);
    else if (hierarchy !== "cpuacct") missing.push([hierarchy, "its hierarchy is not mounted"]);
  }
  if (parents.size === 0) return { reason: "" };
  const controllers = new Set(CONTROLLERS.filter((controller) => parents.has(controller)));
  return tryEach({ files, dialect: DIALECT_V1, prefix, parents, controllers, room: undefined }, missing);
}

/** Keeps what works: makes a group in each hierarchy, limits it, and removes it. */
function tryEach(parts: ControlGroupsParts, missing: [Controller, string][]): Attempt {
  const parents = new Map<Hierarchy, string>();
  for (const [hierarchy, parent] of parts.parents) {
    const failure = trial({ ...parts, parents: new Map([[hierarchy, parent]]) }, hierarchy);
    if (failure === undefined) parents.set(hierarchy, parent);
    else if (hierarchy !== "cpuacct" && parts.controllers.has(hierarchy)) missing.push([hierarchy, failure]);
  }
  const controllers = new Set(CONTROLLERS.filter((name) => parts.controllers.has(name) && parents.has(name)));
  const reasons = missing.map(([controller, why]) => `not ${controller}: ${why}`).join(", ");
  const reason = reasons === "" ? "" : `version ${parts.dialect.version}: ${reasons}`;
  return controllers.size === 0 ? { reason } : { parts: { ...parts, parents, controllers }, reason };
}

/** Why a hierarchy cannot be used, `undefined` when it can. */
function trial(parts: ControlGroupsParts, hierarchy: Hierarchy): string | undefined {
  try {
    const group = createIn(parts, "trial", new GroupRemoval(parts.files));
    try {
      if (hierarchy !== "cpuacct" && parts.controllers.has(hierarchy)) group.setLimits(TRIAL_LIMITS[hierarchy]);
    } finally {
      // Nothing has ever been in it.
      for (const parent of parts.parents.values()) parts.files.remove(`${parent}/${parts.prefix}trial`);
    }
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

function createIn(
  { files, dialect, prefix, parents, controllers }: ControlGroupsParts,
  name: string,
  removal: GroupRemoval,
): KernelGroup {
  const directories = new Map([...parents].map(([hierarchy, parent]) => [hierarchy, `${parent}/${prefix}${name}`]));
  return KernelGroup.create({ files, dialect, directories, controllers, removal });
}

/** Removes groups of services that are gone. Those that something still runs in stay. */
function removeLeftBehind(files: GroupFiles, directory: string, ownPid: number): void {
  let names: string[];
  try {
    names = files.groups(directory);
  } catch {
    return;
  }
  for (const name of names) {
    const [, pid = "", instance = ""] = NAME.exec(name) ?? [];
    if (pid === "" || inUse.has(instance) || (pid !== String(ownPid) && files.exists(`/proc/${pid}`))) continue;
    try {
      files.remove(`${directory}/${name}`);
      logger.debug("Removed control group {name} that a killed service left behind", { name });
    } catch (error) {
      logger.debug("Cannot remove control group {name}: {reason}", { name, reason: messageOf(error) });
    }
  }
}
