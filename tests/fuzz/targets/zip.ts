/**
 * Zips: damaged ones, and well-formed ones that lie.
 * @module
 */

import assert from "node:assert/strict";
import { unzipSync } from "fflate";
import packages from "../../data/packages.json" with { type: "json" };
import { concat, extra, u, writeZip, type ZipOptions, type ZipSource } from "../../support/zip_writer.ts";
import { DEFAULT_PACKAGE_LIMITS, type PackageLimits } from "../../../workers/package/limits.ts";
import { openPackage } from "../../../workers/package/mod.ts";
import { readZip } from "../../../workers/package/read_zip.ts";
import { pureTarget, type Target } from "../engine.ts";
import { EDGES, mutate } from "../mutate.ts";
import type { Random } from "../random.ts";
import { attempt } from "../task_errors.ts";

const LIMITS: PackageLimits = {
  ...DEFAULT_PACKAGE_LIMITS,
  maxCompressedBytes: 100_000,
  maxUnpackedBytes: 400_000,
  maxFiles: 20,
};

const CODES = ["INVALID_TASK", "SECURITY_VIOLATION", "RESOURCE_LIMIT"] as const;

const SEEDS = [
  ...Object.values(packages.good),
  ...Object.values(packages.corpus).map((entry) => entry.package),
].map((text) => Uint8Array.fromBase64(text));

/** Names that are fine, and such as become another file, another folder or nothing at all somewhere. */
const NAMES = [
  "main.ts",
  "code/main.ts",
  "a/b/c.json",
  "folder/",
  "MAIN.TS",
  "main.ts/below",
  "é.txt",
  "e\u0301.txt",
  "..",
  "../up",
  "a/../../up",
  "/etc/passwd",
  "C:\\x",
  "a\\b",
  "a//b",
  "./a",
  "a/.",
  "%2e%2e/x",
  "nul\0l",
  "x\u202etxt",
  "con.",
  "",
  "/",
  "a".repeat(600),
  "d/".repeat(40) + "x",
  "__proto__",
];

/** Readers and writers of zips: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT */
export const zip: Target = pureTarget({
  name: "zip",
  description: "zips of code packages",
  iterations: 2_500,
  reaches: ["fine", "INVALID_TASK", "SECURITY_VIOLATION", "RESOURCE_LIMIT"],
  generate(random) {
    const made = random.chance(0.5) ? random.pick(SEEDS) : lyingZip(random);
    return random.chance(0.6) ? mutate(made, random, { donor: random.pick(SEEDS) }) : made;
  },
  run(input) {
    const read = attempt(CODES, () => readZip(input, LIMITS));
    attempt(CODES, () => openPackage(input, { limits: LIMITS }));
    if ("refused" in read) return read.refused;
    checkFiles(read.value);
    checkAgainstOther(read.value, input);
    return "fine";
  },
});

/** Limits hold, and every path names a file below the folder that it is unpacked in. */
function checkFiles(files: ReadonlyMap<string, Uint8Array>): void {
  assert(files.size <= LIMITS.maxFiles, `${files.size} files`);
  let total = 0;
  for (const [path, content] of files) {
    total += content.length;
    // A URL parser takes out dot segments, percent-encoded too, and turns backslashes.
    const { pathname } = new URL(`file:///root/${path.replaceAll("?", "%3f").replaceAll("#", "%23")}`);
    assert(pathname.startsWith("/root/") && pathname.split("/").length === path.split("/").length + 2, path);
    assert(path.split("/").every((segment) => segment !== "" && segment !== "." && segment !== ".."), path);
    // deno-lint-ignore no-control-regex -- these are the characters that no name may have
    assert(!/[\\\0-\x1f:]/.test(path), path);
  }
  assert(total <= LIMITS.maxUnpackedBytes, `${total} bytes`);
  const folded = new Set(Array.from(files.keys(), (path) => path.normalize("NFKC").toLowerCase()));
  assert.equal(folded.size, files.size, "two paths are one where case does not count");
}

/** What is accepted is understood alike by a reader that believes the directory. */
function checkAgainstOther(files: ReadonlyMap<string, Uint8Array>, input: Uint8Array): void {
  const other = Object.entries(unzipSync(input)).filter(([path]) => !path.endsWith("/"));
  assert.deepEqual(other.map(([path]) => path).toSorted(), [...files.keys()].toSorted());
  for (const [path, content] of other) assert.deepEqual(content, files.get(path), path);
}

/** A zip whose parts say now and then what is not so. */
function lyingZip(random: Random): Uint8Array {
  const sources = Array.from({ length: random.skewed(30) }, () => lyingEntry(random));
  const options: ZipOptions = {};
  const lies = random.chance(0.7) ? 0 : random.between(1, 2);
  for (let count = 0; count < lies; count++) {
    const number = random.pick(EDGES);
    switch (random.below(6)) {
      case 0:
        options.before = random.bytes(random.between(1, 30));
        break;
      case 1:
        options.beforeDirectory = random.bytes(random.between(1, 30));
        break;
      case 2:
        options.comment = random.bytes(random.between(0, 60));
        break;
      case 3:
        options.end = { [random.pick(["count", "countHere", "size", "start", "disk", "commentLength"])]: number };
        break;
      case 4:
        options.zip64 = random.chance(0.5) ? {} : { [random.pick(["count", "size", "start", "at"])]: number };
        break;
      default: // a record of the directory comes twice
        sources.push(...sources.slice(0, 1));
    }
  }
  return writeZip(sources, options);
}

function lyingEntry(random: Random): ZipSource {
  const name = random.chance(0.6) ? `f${random.below(1_000)}.ts` : random.pick(NAMES);
  const source: ZipSource = {
    name,
    data: name.endsWith("/") ? "" : "x".repeat(random.skewed(random.chance(0.02) ? 2_000_000 : 5_000)),
    method: random.pick([0, 8]),
    ...name.endsWith("/") ? { mode: 0o040700, method: 0 } : {},
  };
  if (random.chance(0.8)) return source;
  const number = random.pick(EDGES);
  const field = random.pick(["flags", "method", "crc", "packedSize", "size"]);
  switch (random.below(7)) {
    case 0:
      return { ...source, local: { [field]: number } };
    case 1:
      return { ...source, central: { [random.pick([field, "offset", "disk"])]: number } };
    case 2: // a zip64 field, needed or not
      return {
        ...source,
        extra: extra(1, concat(...Array.from({ length: random.below(4) }, () => u(8, random.pick(EDGES))))),
        ...random.chance(0.5) ? { central: { size: 0xffff_ffff } } : {},
      };
    case 3:
      return { ...source, extra: extra(random.pick([0x7075, 0x9901, 0x5455]), random.bytes(random.below(12))) };
    case 4:
      return { ...source, mode: random.pick([0o120777, 0o020666, 0o040755, 0]), flags: random.pick(EDGES) & 0xffff };
    case 5:
      return { ...source, packed: random.bytes(random.below(40)), method: 8 };
    default:
      return { ...source, local: { name: random.pick(NAMES) } };
  }
}
