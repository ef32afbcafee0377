/**
 * Where the configuration comes from, read once for all fronts.
 * @module
 */

import { type Config, loadConfig, readConfigFile } from "../config/mod.ts";

/** What the configuration is read from, besides the files. */
export interface SourceOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly configDir: string | undefined;
  readonly overrides: Readonly<Record<string, unknown>> | undefined;
}

/** A configuration with the files that it is from, so that every front reads the same, whenever it starts. */
export interface ConfigSnapshot {
  readonly config: Config;
  /** By path; null for one that does not exist. */
  readonly files: Readonly<Record<string, string | null>>;
}

/**
 * Reads and checks the configuration.
 * @throws {ServiceError} `CONFIG_INVALID`
 */
export function takeSnapshot(options: SourceOptions): ConfigSnapshot {
  const files: Record<string, string | null> = {};
  const readFile = (path: string) => {
    const text = readConfigFile(path);
    files[path] = text ?? null;
    return text;
  };
  return { config: loadConfig({ ...options, readFile }).config, files };
}

/** Settings that the supervisor itself works with, and reads at its start alone. */
const OF_SUPERVISOR: readonly (readonly [key: string, read: (config: Config) => unknown])[] = [
  ["server.processes", ({ server }) => server.processes],
  ["server.host", ({ server }) => server.host],
  ["server.port", ({ server }) => server.port],
  ["metrics", ({ metrics }) => JSON.stringify(metrics)],
];

/** Settings that differ although they take effect at the next start only. */
export function settingsForLater(before: Config, after: Config): string[] {
  return OF_SUPERVISOR.filter(([, read]) => read(before) !== read(after)).map(([key]) => key);
}
