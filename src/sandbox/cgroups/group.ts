/**
 * One control group: the processes of a sandbox host, what they may use and what they have used.
 * @module
 */

import { messageOf, ServiceError } from "../../errors.ts";
import type { Controller, Dialect, Hierarchy, Reading, Setting } from "./dialect.ts";
import type { GroupFiles } from "./files.ts";
import type { GroupRemoval } from "./removal.ts";

/** Limits of a group; those that are absent stay as they are. */
export interface GroupLimits {
  /** CPU time per wall time, in percent of one core. */
  readonly cpuPercent?: number;
  /** Memory and swap together, files in memory and page cache included, in bytes. */
  readonly memoryBytes?: number;
  /** Processes and threads at once. */
  readonly maxProcesses?: number;
}

/**
 * A group of processes. Numbers are the kernel's, and there until it is disposed of, which removes the group, at once or
 * later when the processes in it that have been killed are gone.
 */
export interface ControlGroup extends Disposable {
  /** `cgroup.procs` of each folder: a process that writes its pid to all of them is in, with all that it then starts. */
  readonly procsFiles: readonly string[];
  /** What it can limit. */
  readonly controllers: ReadonlySet<Controller>;
  /**
   * Moves a process and its threads here, but not the children that it has already.
   * @throws {ServiceError} `INTERNAL` when the kernel refuses
   */
  add(pid: number): void;
  /**
   * Sets limits; they hold at once, for what the group already uses too.
   * @throws {ServiceError} `INTERNAL` when the kernel refuses: the caller must not go on as if they held
   * @throws {TypeError} for a limit whose controller is not at hand
   */
  setLimits(limits: GroupLimits): void;
  /** Processes that were killed since memory had run out. */
  readonly oomKills: number;
  /** Processes and threads that were not started since there were too many. */
  readonly pidsRefused: number;
  /** Periods of 100 ms in which it had to wait, since its CPU time was used up. */
  readonly cpuThrottled: number;
  /** Most memory at once, `undefined` where the kernel does not keep it. */
  readonly memoryPeakBytes: number | undefined;
  /** CPU time of all that is or was in it, `undefined` where the kernel does not keep it. */
  readonly cpuMs: number | undefined;
}

/** What a group is made of. */
export interface GroupParts {
  readonly files: GroupFiles;
  readonly dialect: Dialect;
  /** Folder of the group in each hierarchy, which this makes. */
  readonly directories: ReadonlyMap<Hierarchy, string>;
  readonly controllers: ReadonlySet<Controller>;
  /** Removes folders, some of them later. */
  readonly removal: GroupRemoval;
}

/** A group in the kernel. */
export class KernelGroup implements ControlGroup {
  readonly #parts: GroupParts;
  /** Hierarchies may share a folder. */
  readonly #directories: readonly string[];
  #memoryBytes = Infinity;

  private constructor(parts: GroupParts) {
    this.#parts = parts;
    this.#directories = [...new Set(parts.directories.values())];
  }

  /**
   * Makes the group, in all hierarchies or in none.
   * @throws {ServiceError} `INTERNAL` when the kernel refuses
   */
  static create(parts: GroupParts): KernelGroup {
    const group = new KernelGroup(parts);
    const made: string[] = [];
    try {
      for (const directory of group.#directories) {
        parts.files.make(directory);
        made.push(directory);
      }
      return group;
    } catch (cause) {
      for (const directory of made) parts.files.remove(directory);
      throw refused(`Cannot make control group "${group.#directories[made.length]}"`, cause);
    }
  }

  get controllers(): ReadonlySet<Controller> {
    return this.#parts.controllers;
  }

  get procsFiles(): readonly string[] {
    return this.#directories.map((directory) => `${directory}/cgroup.procs`);
  }

  add(pid: number): void {
    for (const path of this.procsFiles) this.#write(path, String(pid));
  }

  setLimits({ cpuPercent, memoryBytes, maxProcesses }: GroupLimits): void {
    const { dialect } = this.#parts;
    if (cpuPercent !== undefined) this.#apply("cpu", dialect.limitCpu(cpuPercent));
    if (maxProcesses !== undefined) this.#apply("pids", dialect.limitProcesses(maxProcesses));
    if (memoryBytes !== undefined) {
      this.#apply("memory", dialect.limitMemory(memoryBytes, memoryBytes > this.#memoryBytes));
      this.#memoryBytes = memoryBytes;
    }
  }

  get oomKills(): number {
    return this.#read(this.#parts.dialect.oomKills) ?? 0;
  }

  get pidsRefused(): number {
    return this.#read(this.#parts.dialect.pidsRefused) ?? 0;
  }

  get cpuThrottled(): number {
    return this.#read(this.#parts.dialect.cpuThrottled) ?? 0;
  }

  get memoryPeakBytes(): number | undefined {
    return this.#read(this.#parts.dialect.memoryPeakBytes);
  }

  get cpuMs(): number | undefined {
    const units = this.#read(this.#parts.dialect.cpuTime);
    return units === undefined ? undefined : units * this.#parts.dialect.cpuTimeUnitMs;
  }

  [Symbol.dispose](): void {
    for (const directory of this.#directories) this.#parts.removal.remove(directory);
  }

  #apply(controller: Controller, settings: readonly Setting[]): void {
    const directory = this.#parts.controllers.has(controller) ? this.#parts.directories.get(controller) : undefined;
    if (directory === undefined) throw new TypeError(`Cannot limit ${controller}: its controller is not at hand`);
    for (const { file, value, optional } of settings) {
      const path = `${directory}/${file}`;
      if (optional && !this.#parts.files.exists(path)) continue;
      this.#write(path, value);
    }
  }

  #write(path: string, value: string): void {
    try {
      this.#parts.files.write(path, value);
    } catch (cause) {
      throw refused(`Cannot write "${value}" to "${path}"`, cause);
    }
  }

  #read({ hierarchy, file, key }: Reading): number | undefined {
    const directory = this.#parts.directories.get(hierarchy);
    if (directory === undefined) return undefined;
    try {
      const text = this.#parts.files.read(`${directory}/${file}`);
      if (key === undefined) return Number(text);
      const line = text.split("\n").find((candidate) => candidate.startsWith(`${key} `));
      return line === undefined ? undefined : Number(line.slice(key.length + 1));
    } catch {
      return undefined;
    }
  }
}

function refused(what: string, cause: unknown): ServiceError {
  return new ServiceError("INTERNAL", `${what}: ${messageOf(cause)}`, { cause });
}
