/**
 * The host's side of assets.
 * @module
 */

import type { AssetName, AssetReply } from "./protocol.ts";

/**
 * Reads an asset for the worker. Never rejects: what the worker is told of a failure names no path, since it may come to
 * a caller's eyes.
 *
 * @param folder where the assets lie, with a slash at its end
 */
export async function readAsset(name: AssetName, folder: URL): Promise<AssetReply> {
  try {
    return { name, bytes: await Deno.readFile(new URL(name, folder)) };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return { name, error: "the sandbox was built without it" };
    return {
      name,
      error: `the sandbox host cannot read it (${error instanceof Error ? error.name : "unknown error"})`,
    };
  }
}
