/**
 * The folder that a running service keeps its sockets and caches in.
 * @module
 */

import { messageOf } from "../errors.ts";
import { serviceLogger } from "../logging/mod.ts";

const logger = serviceLogger("sandbox");
const NAME = /^rexec-(\d+)-/;

/** Folder of this process, removed with it. Readable by its own user only. */
export class RuntimeDirectory implements AsyncDisposable {
  private constructor(readonly path: string) {}

  /** Makes it, and removes what services left behind that were killed. */
  static async create(): Promise<RuntimeDirectory> {
    const path = await Deno.realPath(await Deno.makeTempDir({ prefix: `rexec-${Deno.pid}-` }));
    await removeLeftBehind(path.slice(0, path.lastIndexOf("/")));
    return new RuntimeDirectory(path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

/** A folder whose process is gone belongs to nobody. Others' folders cannot be removed, and are left alone. */
async function removeLeftBehind(directory: string): Promise<void> {
  for await (const { name, isDirectory } of Deno.readDir(directory)) {
    const pid = Number(NAME.exec(name)?.[1]);
    if (!isDirectory || !Number.isInteger(pid) || pid === Deno.pid || await isAlive(pid)) continue;
    await Deno.remove(`${directory}/${name}`, { recursive: true }).then(
      () => logger.info("Removed what a killed service left behind: {name}", { name }),
      (error) => logger.debug("Cannot remove {name}: {error}", { name, error: messageOf(error) }),
    );
  }
}

/** Without `/proc` there is no telling, and nothing is removed. */
async function isAlive(pid: number): Promise<boolean> {
  try {
    await Deno.stat(`/proc/${Deno.pid}`);
  } catch {
    return true;
  }
  return await Deno.stat(`/proc/${pid}`).then(() => true, () => false);
}
