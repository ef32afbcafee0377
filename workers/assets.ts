/**
 * Files that sandboxed code needs and that its worker may not read: WebAssembly, say. They stay out of the bundle, which
 * every host holds in memory from its start, and come when the first task asks for them.
 *
 * @module
 */

import type { AssetName } from "./protocol.ts";
import { TaskError } from "./task_error.ts";

/** Gets an asset's bytes; rejects when it cannot, with the reason as message. */
export type AssetLoader = (name: AssetName) => Promise<Uint8Array<ArrayBuffer>>;

let loader: AssetLoader | undefined;
const modules = new Map<AssetName, Promise<WebAssembly.Module>>();

/** Says where assets come from: the host in a worker, the folder itself in a test. What has been compiled is forgotten. */
export function setAssetLoader(load: AssetLoader): void {
  loader = load;
  modules.clear();
}

/**
 * Gives an asset's bytes, which the caller should not keep for longer than it must: nothing here does.
 * @throws {TaskError} `TASK_FAILED` naming the asset and why there is none
 */
export async function loadAsset(name: AssetName): Promise<Uint8Array<ArrayBuffer>> {
  try {
    if (loader === undefined) throw new Error("nothing loads assets here");
    return await loader(name);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new TaskError("TASK_FAILED", `Cannot load "${name}": ${reason}`, { cause });
  }
}

/**
 * Gives an asset as compiled WebAssembly, once for all who ask; a failure is not kept, so that the next task tries anew.
 * @throws {TaskError} `TASK_FAILED` as {@linkcode loadAsset}, `RESOURCE_LIMIT` when there is no memory to compile it
 */
export function loadWasm(name: AssetName): Promise<WebAssembly.Module> {
  let module = modules.get(name);
  if (module === undefined) {
    module = compile(name);
    modules.set(name, module);
    module.catch(() => {
      if (modules.get(name) === module) modules.delete(name);
    });
  }
  return module;
}

async function compile(name: AssetName): Promise<WebAssembly.Module> {
  const bytes = await loadAsset(name);
  try {
    // In place: V8 compiles lazily, so there is nothing in it that would be worth another thread.
    return new WebAssembly.Module(bytes);
  } catch (cause) {
    if (cause instanceof WebAssembly.CompileError) {
      throw new TaskError("TASK_FAILED", `Cannot load "${name}": it is damaged`, { cause });
    }
    throw new TaskError("RESOURCE_LIMIT", `Cannot load "${name}": no memory to compile it`, { cause });
  }
}
