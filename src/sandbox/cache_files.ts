/**
 * Files of Deno's cache.
 * @module
 */

/** Names of the files of a warm cache; none where there is none. */
export function cacheFiles(directory: string | null): readonly string[] {
  if (directory === null) return [];
  return Array.from(Deno.readDirSync(directory)).flatMap(({ isFile, name }) => isFile ? [name] : []);
}

/**
 * Where Deno would keep what it made of TypeScript, for the next process that never comes. A link to where nothing can be
 * keeps it from making folders and files, a quarter of what importing a small module takes.
 */
export const TRANSPILED = { name: "gen", target: "/dev/null/gen" } as const;

/** Gives a host a cache of its own, a copy of the warm one. */
export async function copyCache(from: string | null, to: string): Promise<void> {
  const names = cacheFiles(from);
  if (names.length === 0) return;
  await Deno.mkdir(to, { mode: 0o700, recursive: true });
  await Promise.all([
    ...names.map((name) => Deno.copyFile(`${from}/${name}`, `${to}/${name}`)),
    Deno.symlink(TRANSPILED.target, `${to}/${TRANSPILED.name}`),
  ]);
}
