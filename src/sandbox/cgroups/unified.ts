/**
 * Makes room for groups below this process's own one in the unified hierarchy (version 2).
 *
 * There a group has either processes or groups with limits, never both ("no internal processes"). So this process moves
 * into a group below its own, if that holds nobody else: systemd's `Delegate=yes` and containers with a control-group
 * namespace of their own give it one. Groups of others are never touched.
 * @module
 */

import { messageOf } from "../../errors.ts";
import { type Controller, CONTROLLERS } from "./dialect.ts";
import type { GroupFiles } from "./files.ts";

/** A group below which groups can be made. */
export interface UnifiedRoom {
  readonly controllers: ReadonlySet<Controller>;
  /** Why the others are not there. */
  readonly missing: ReadonlyMap<Controller, string>;
  /** Puts everything back as it was found; the groups below must be gone. */
  close(): void;
}

/** What is to be made. */
export interface UnifiedRoomOptions {
  readonly files: GroupFiles;
  /** This process's own group. */
  readonly directory: string;
  readonly pid: number;
  /** Name of the group that this process moves to. */
  readonly leaf: string;
  /** Whether a group is of this service, now or before. */
  readonly isOurs: (name: string) => boolean;
}

/**
 * Makes it.
 * @throws {Error} with the reason when there is none to be had; then all is as before
 */
export function makeUnifiedRoom(options: UnifiedRoomOptions): UnifiedRoom {
  const { files, directory } = options;
  const offered = words(files.read(`${directory}/cgroup.controllers`));
  const missing = new Map<Controller, string>();
  for (const controller of CONTROLLERS) {
    if (!offered.has(controller)) missing.set(controller, `"${directory}/cgroup.controllers" does not list it`);
  }
  if (missing.size === CONTROLLERS.length) throw new Error([...missing.values()][0]);
  // The root of all has no such file, and no rule against processes. What it hands down is the machine's business.
  if (!files.exists(`${directory}/cgroup.events`)) return roomAtRoot(options, missing);

  const others = [...words(files.read(`${directory}/cgroup.procs`))].filter((pid) => pid !== String(options.pid));
  if (others.length > 0) {
    throw new Error(`group "${directory}" has other processes (${others.slice(0, 5).join(", ")})`);
  }
  const foreign = files.groups(directory).filter((name) => !options.isOurs(name));
  if (foreign.length > 0) throw new Error(`group "${directory}" has other groups below (${foreign[0]})`);

  const leaf = `${directory}/${options.leaf}`;
  const enabled: Controller[] = [];
  const close = (): void => {
    if (enabled.length > 0) {
      files.write(`${directory}/cgroup.subtree_control`, enabled.map((name) => `-${name}`).join(" "));
    }
    files.write(`${directory}/cgroup.procs`, String(options.pid));
    files.remove(leaf);
  };
  files.make(leaf);
  try {
    files.write(`${leaf}/cgroup.procs`, String(options.pid));
  } catch (error) {
    files.remove(leaf);
    throw error;
  }
  for (const controller of CONTROLLERS) {
    if (missing.has(controller)) continue;
    try {
      files.write(`${directory}/cgroup.subtree_control`, `+${controller}`);
      enabled.push(controller);
    } catch (error) {
      missing.set(controller, messageOf(error));
    }
  }
  if (enabled.length === 0) {
    close();
    throw new Error(`"${directory}/cgroup.subtree_control" takes none: ${[...missing.values()].at(-1)}`);
  }
  return { controllers: new Set(enabled), missing, close };
}

function roomAtRoot({ files, directory }: UnifiedRoomOptions, missing: Map<Controller, string>): UnifiedRoom {
  const handedDown = words(files.read(`${directory}/cgroup.subtree_control`));
  for (const controller of CONTROLLERS) {
    if (!missing.has(controller) && !handedDown.has(controller)) {
      missing.set(controller, `"${directory}/cgroup.subtree_control" does not list it`);
    }
  }
  const controllers = new Set(CONTROLLERS.filter((controller) => !missing.has(controller)));
  if (controllers.size === 0) throw new Error([...missing.values()].at(-1));
  return { controllers, missing, close: () => {} };
}

function words(text: string): ReadonlySet<string> {
  return new Set(text.split(/\s+/).filter((word) => word !== ""));
}
