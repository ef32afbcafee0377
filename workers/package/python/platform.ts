/**
 * What each version of Python in the sandbox is to a package: its markers, and which files it can load.
 *
 * A version's line is what its Pyodide says of itself: `sysconfig.get_platform()`, `PYODIDE_ABI_VERSION`, `platform.*` and
 * the tags of the wheels in its `pyodide-lock.json`.
 *
 * @module
 */

import type { PythonVersion } from "../../protocol.ts";
import type { MarkerEnvironment } from "./marker.ts";

/** A version of Python in the sandbox. */
export interface PythonPlatform {
  readonly environment: MarkerEnvironment;
  /** Platform tags of wheels that hold code for it, the best first. */
  readonly platformTags: readonly string[];
  /** What the name of an extension module of its own ends with. */
  readonly extensionSuffix: string;
}

/** Python's full version, Emscripten's, and platform tags. */
const RUNTIMES: Readonly<Record<PythonVersion, { python: string; emscripten: string; tags: readonly string[] }>> = {
  // Pyodide 0.25.1 is from before tags of an ABI of Pyodide's.
  "3.11": { python: "3.11.3", emscripten: "3.1.46", tags: ["emscripten_3_1_46_wasm32"] },
  // Pyodide 314.0.7: PEP 783, and what its tags were called while that was a draft.
  "3.14": {
    python: "3.14.2",
    emscripten: "5.0.3",
    tags: ["pyemscripten_2026_0_wasm32", "pyodide_2026_0_wasm32", "emscripten_5_0_3_wasm32"],
  },
};

/** The platform of a version. */
export function platformOf(version: PythonVersion): PythonPlatform {
  const { python, emscripten, tags } = RUNTIMES[version];
  return {
    environment: {
      python_version: version,
      python_full_version: python,
      os_name: "posix",
      sys_platform: "emscripten",
      platform_release: emscripten,
      platform_system: "Emscripten",
      platform_version: "#1",
      platform_machine: "wasm32",
      platform_python_implementation: "CPython",
      implementation_name: "cpython",
      implementation_version: python,
    },
    platformTags: tags,
    extensionSuffix: `.cpython-${version.replace(".", "")}-wasm32-emscripten.so`,
  };
}

/**
 * Tags of wheels that a version can use, the best first, as pip orders them
 * (https://packaging.python.org/en/latest/specifications/platform-compatibility-tags/).
 */
export function supportedTags(version: PythonVersion): string[] {
  const [major, minor = "0"] = version.split(".");
  const interpreter = `cp${major}${minor}`;
  const { platformTags } = platformOf(version);
  const onPlatforms = (pythonAndAbi: string) => platformTags.map((platform) => `${pythonAndAbi}-${platform}`);
  const minors = Array.from({ length: Number(minor) }, (_, index) => Number(minor) - 1 - index);
  const pythons = [`py${major}${minor}`, `py${major}`, ...minors.map((older) => `py${major}${older}`)];
  return [
    ...onPlatforms(`${interpreter}-${interpreter}`),
    ...onPlatforms(`${interpreter}-abi3`),
    ...onPlatforms(`${interpreter}-none`),
    // The stable ABI begins with 3.2.
    ...minors.filter((older) => older >= 2).flatMap((older) => onPlatforms(`cp${major}${older}-abi3`)),
    ...pythons.flatMap((python) => onPlatforms(`${python}-none`)),
    `${interpreter}-none-any`,
    ...pythons.map((python) => `${python}-none-any`),
  ];
}

/**
 * Whether a package comes with the sandbox: what asks for it needs nothing more. These are our own library in place of
 * the RemoteMedia SDK, and backports of what is in the standard library by now.
 */
export function isProvided(name: string): boolean {
  return PROVIDED.has(name);
}

const PROVIDED: ReadonlySet<string> = new Set([
  "remotemedia",
  "asyncio",
  "contextvars",
  "dataclasses",
  "enum34",
  "pathlib",
  "typing",
]);
