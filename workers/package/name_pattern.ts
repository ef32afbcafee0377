/**
 * Patterns of package names, as policies have them.
 * @module
 */

/** Whether a name is one that a pattern stands for; `*` is any text, the empty one too. */
export function matchesPattern(name: string, pattern: string): boolean {
  return new RegExp(`^${pattern.split("*").map(RegExp.escape).join(".*")}$`, "s").test(name);
}
