/**
 * A kernel's control groups in memory, with the rules that matter: who may be where, which files a group has, when one
 * can be removed. See cgroups(7).
 * @module
 */

import type { GroupFiles } from "../../src/sandbox/cgroups/mod.ts";

interface Group {
  readonly hierarchy: Hierarchy;
  readonly files: Map<string, string>;
  readonly pids: Set<string>;
  /** Controllers that it hands down (version 2). */
  readonly handsDown: Set<string>;
}

/** A hierarchy; its controllers say what files its groups have. */
interface Hierarchy {
  readonly version: 1 | 2;
  readonly controllers: readonly string[];
  /** The root of all has fewer files, and no rule against processes beside groups. */
  readonly rootOfAll: boolean;
  readonly top: string;
}

const FILES_V1: Readonly<Record<string, readonly string[]>> = {
  cpu: ["cpu.cfs_period_us", "cpu.cfs_quota_us", "cpu.stat"],
  cpuacct: ["cpuacct.usage"],
  memory: ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.oom_control", "memory.max_usage_in_bytes"],
  pids: ["pids.max", "pids.events"],
};
const FILES_V2: Readonly<Record<string, readonly string[]>> = {
  cpu: ["cpu.max"],
  memory: ["memory.max", "memory.swap.max", "memory.events", "memory.peak"],
  pids: ["pids.max", "pids.events"],
};

/** Such a kernel. */
export class FakeKernelGroups implements GroupFiles {
  readonly #groups = new Map<string, Group>();
  readonly #texts = new Map<string, string>();
  readonly #alive = new Set<string>();
  /** Paths, or beginnings of paths, that may not be written to, and the error. */
  readonly refuses = new Map<string, Error>();
  /** How often a busy group is to be removed before its processes have left; by default they stay. */
  leavesAfter = Infinity;
  /** What was written, in order. */
  readonly writes: string[] = [];

  /** @param membership contents of `/proc/self/cgroup` */
  constructor(membership: readonly string[], mounts: readonly string[]) {
    this.#texts.set("/proc/self/cgroup", membership.join("\n") + "\n");
    this.#texts.set("/proc/self/mountinfo", mounts.join("\n") + "\n");
  }

  /** Adds a hierarchy whose topmost visible group is at a path. */
  addHierarchy(top: string, options: Partial<Omit<Hierarchy, "top">> & { readonly pids?: readonly number[] }): void {
    const { version = 1, controllers = [], rootOfAll = false, pids = [] } = options;
    this.#add(top, { version, controllers, rootOfAll, top });
    for (const pid of pids) this.enter(top, pid);
  }

  /** Lets a process be in a group, without any rule. */
  enter(path: string, pid: number): void {
    this.#alive.add(String(pid));
    this.#group(path).pids.add(String(pid));
  }

  /** Sets what the kernel says in a group's file. */
  set(path: string, text: string): void {
    this.#group(parentOf(path)).files.set(nameOf(path), text);
  }

  /** Paths of all groups. */
  get paths(): string[] {
    return [...this.#groups.keys()].sort();
  }

  /** Processes in a group. */
  pidsIn(path: string): string[] {
    return [...this.#group(path).pids];
  }

  read(path: string): string {
    const text = this.#texts.get(path);
    if (text !== undefined) return text;
    const group = this.#group(parentOf(path));
    switch (nameOf(path)) {
      case "cgroup.procs":
        return [...group.pids].map((pid) => `${pid}\n`).join("");
      case "cgroup.controllers":
        return this.#controllersOf(parentOf(path)).join(" ") + "\n";
      case "cgroup.subtree_control":
        return [...group.handsDown].join(" ") + "\n";
      default: {
        const value = group.files.get(nameOf(path));
        if (value === undefined) throw new Deno.errors.NotFound(`No such file: ${path}`);
        return value;
      }
    }
  }

  write(path: string, text: string): void {
    this.#refuse(path);
    this.writes.push(`${path} ${text}`);
    const directory = parentOf(path);
    const group = this.#group(directory);
    switch (nameOf(path)) {
      case "cgroup.procs":
        return this.#move(text, group);
      case "cgroup.subtree_control":
        for (const change of text.split(" ")) this.#handDown(directory, group, change);
        return;
      default:
        if (!group.files.has(nameOf(path))) throw new Deno.errors.NotFound(`No such file: ${path}`);
        this.#checkMemory(group, nameOf(path), text);
        group.files.set(nameOf(path), text);
    }
  }

  exists(path: string): boolean {
    const alive = /^\/proc\/(\d+)$/.exec(path)?.[1];
    if (alive !== undefined) return this.#alive.has(alive);
    if (nameOf(path) === "cgroup.events") {
      const { hierarchy } = this.#group(parentOf(path));
      return hierarchy.version === 2 && !(hierarchy.rootOfAll && hierarchy.top === parentOf(path));
    }
    return this.#groups.has(path) || (this.#groups.get(parentOf(path))?.files.has(nameOf(path)) ?? false);
  }

  groups(path: string): string[] {
    this.#group(path);
    return this.paths.filter((candidate) => parentOf(candidate) === path).map(nameOf);
  }

  make(path: string): void {
    this.#refuse(path);
    if (this.#groups.has(path)) throw new Deno.errors.AlreadyExists(path);
    this.#add(path, this.#group(parentOf(path)).hierarchy);
  }

  remove(path: string): void {
    const group = this.#group(path);
    if (group.pids.size > 0 && this.leavesAfter-- <= 0) group.pids.clear();
    if (group.pids.size > 0 || this.groups(path).length > 0) {
      throw new Deno.errors.Busy(`Device or resource busy: ${path}`);
    }
    this.#groups.delete(path);
  }

  #add(path: string, hierarchy: Hierarchy): void {
    const group: Group = { hierarchy, files: new Map(), pids: new Set(), handsDown: new Set() };
    this.#groups.set(path, group);
    const { version, controllers } = hierarchy;
    if (version === 2) group.files.set("cpu.stat", "usage_usec 0\n");
    const names = version === 1 ? controllers : this.#controllersOf(path);
    for (const name of names) {
      for (const file of (version === 1 ? FILES_V1 : FILES_V2)[name] ?? []) group.files.set(file, "0");
    }
  }

  /** What a group of version 2 may limit: what its parent hands down. */
  #controllersOf(path: string): readonly string[] {
    const { hierarchy } = this.#group(path);
    return path === hierarchy.top ? hierarchy.controllers : [...this.#group(parentOf(path)).handsDown];
  }

  #move(pid: string, target: Group): void {
    if (!this.#alive.has(pid)) throw new Error("No such process (os error 3)");
    if (target.handsDown.size > 0 && !target.hierarchy.rootOfAll) throw new Deno.errors.Busy("No internal processes");
    for (const group of this.#groups.values()) if (group.hierarchy === target.hierarchy) group.pids.delete(pid);
    target.pids.add(pid);
  }

  #handDown(directory: string, group: Group, change: string): void {
    const name = change.slice(1);
    if (change.startsWith("-")) return void group.handsDown.delete(name);
    if (!this.#controllersOf(directory).includes(name)) throw new Deno.errors.NotFound(`No controller ${name}`);
    if (group.pids.size > 0 && !group.hierarchy.rootOfAll) throw new Deno.errors.Busy("No internal processes");
    group.handsDown.add(name);
  }

  /** Version 1: memory and swap together may not be below memory alone. */
  #checkMemory({ files }: Group, name: string, text: string): void {
    const limit = (file: string, value = files.get(file)): number => value === "0" ? Infinity : Number(value);
    const memory = limit("memory.limit_in_bytes", name === "memory.limit_in_bytes" ? text : undefined);
    const both = limit("memory.memsw.limit_in_bytes", name === "memory.memsw.limit_in_bytes" ? text : undefined);
    if (memory > both) throw new Error("Invalid argument (os error 22)");
  }

  #refuse(path: string): void {
    for (const [start, error] of this.refuses) if (path.startsWith(start)) throw error;
  }

  #group(path: string): Group {
    const group = this.#groups.get(path);
    if (group === undefined) throw new Deno.errors.NotFound(`No such group: ${path}`);
    return group;
  }
}

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf("/"));
const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);
