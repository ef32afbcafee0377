/**
 * Files of Deno's cache.
 * @module
 */

/** Names of the files of a warm cache; none where there is none. */
export function cacheFiles(directory: string | null): readonly string[] {
  if (directory === null) return [];
  return Array.from(Deno.readDirSync(directory)).flatMap(({ isFile, name }) => isFile ? [name] : []);
}

/** Gives a host a cache of its own, a copy of the warm one. */
export async function copyCache(from: string | null, to: string): Promise<void> {
  const names = cacheFiles(from);
  if (names.length === 0) return;
  await Deno.mkdir(to, { mode: 0o700, recursive: true });
  await Promise.all(names.map((name) => Deno.copyFile(`${from}/${name}`, `${to}/${name}`)));
}
