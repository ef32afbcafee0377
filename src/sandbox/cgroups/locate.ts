/**
 * Where this process's own control groups lie, from `/proc/self/cgroup` and `/proc/self/mountinfo`; see cgroups(7) and
 * proc(5).
 * @module
 */

import type { GroupFiles } from "./files.ts";

/** Folders of this process's groups. */
export interface OwnGroups {
  /** In the unified hierarchy (version 2). */
  readonly unified: string | undefined;
  /** In those of version 1, by controller. */
  readonly byController: ReadonlyMap<string, string>;
}

interface Mount {
  /** The group that is mounted, as a path in its hierarchy. */
  readonly root: string;
  readonly mountPoint: string;
  readonly type: string;
  readonly superOptions: readonly string[];
}

/** Finds them; what is not mounted, or mounted without this process's own part, is left out. */
export function locateOwnGroups(files: GroupFiles): OwnGroups {
  const mounts = parseMounts(files.read("/proc/self/mountinfo"));
  const byController = new Map<string, string>();
  let unified: string | undefined;
  for (const line of files.read("/proc/self/cgroup").trim().split("\n")) {
    // The path comes last and may hold colons itself.
    const [, controllers = "", path = ""] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers === "") {
      unified = directoryIn(mounts.filter(({ type }) => type === "cgroup2"), path);
      continue;
    }
    for (const controller of controllers.split(",")) {
      const candidates = mounts.filter(({ type, superOptions }) =>
        type === "cgroup" && superOptions.includes(controller)
      );
      const directory = directoryIn(candidates, path);
      if (directory !== undefined) byController.set(controller, directory);
    }
  }
  return { unified, byController };
}

/** The folder of a group, in the mount that was made last and shows it: it covers those before. */
function directoryIn(mounts: readonly Mount[], path: string): string | undefined {
  for (const { root, mountPoint } of mounts.toReversed()) {
    const prefix = root === "/" ? "" : root;
    if (path === prefix || path.startsWith(`${prefix}/`)) {
      const rest = path.slice(prefix.length);
      return rest === "/" ? mountPoint : mountPoint + rest;
    }
  }
  return undefined;
}

function parseMounts(text: string): Mount[] {
  return text.trim().split("\n").flatMap((line) => {
    const [place = "", file = ""] = line.split(" - ", 2);
    const [, , , root, mountPoint] = place.split(" ");
    const [type, , superOptions] = file.split(" ");
    if (root === undefined || mountPoint === undefined || type === undefined || superOptions === undefined) return [];
    return [{ root: unescape(root), mountPoint: unescape(mountPoint), type, superOptions: superOptions.split(",") }];
  });
}

/** Blanks and backslashes are written as `\` and three octal digits. */
function unescape(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
}
