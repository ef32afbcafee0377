/**
 * Entry points of tasks, and requirements beside them.
 * @module
 */

import assert from "node:assert/strict";
import { bytesOf } from "../../support/zip_writer.ts";
import { parseDependencies } from "../../../workers/package/dependencies.ts";
import { type EntryPoint, parseEntryPoint } from "../../../workers/package/entry_point.ts";
import { pureTarget, type Target } from "../engine.ts";
import { mutate } from "../mutate.ts";
import { attempt } from "../task_errors.ts";

const PIECES = [
  "main",
  ".ts",
  ".mjs",
  ".py",
  ".",
  "..",
  "/",
  "./",
  "\\",
  ":",
  "#",
  " ",
  "default",
  "Cls.run",
  "é",
  "\u200d",
  "$x",
  "__proto__",
  "\0",
  "\ud83c",
  "%2e%2e",
  "npm:",
  "@scope/pkg",
  "@^4.1.0",
  "a".repeat(400),
];

/** Text of the request that names what is run. */
export const entryPoint: Target = pureTarget({
  name: "entry_point",
  description: "entry points and dependencies of tasks",
  iterations: 8_000,
  reaches: ["main", "name", "module", "python", "dotted", "INVALID_TASK"],
  generate(random) {
    if (random.chance(0.02)) return bytesOf(random.pick(["", " ", "\n"]));
    const text = Array.from({ length: random.between(1, 6) }, () => random.pick(PIECES)).join("");
    return random.chance(0.2) ? mutate(bytesOf(text), random) : bytesOf(text);
  },
  run(input) {
    const text = new TextDecoder().decode(input);
    attempt(["INVALID_TASK", "SECURITY_VIOLATION"], () => parseDependencies([text]));
    const read = attempt(["INVALID_TASK"], () => parseEntryPoint(text));
    if ("refused" in read) return read.refused;
    check(read.value);
    return read.value.kind;
  },
});

function check(entry: EntryPoint): void {
  switch (entry.kind) {
    case "main":
      return;
    case "name":
      return assert.match(entry.name, /^[^\s./\\:#]+$/u);
    case "module":
      assert.match(entry.name, /^[^\s./\\:#]+$/u);
      assert(entry.path.split("/").every((part) => part !== "" && part !== ".."), entry.path);
      return assert(!entry.path.includes("\\"), entry.path);
    case "python":
      return assert.match(`${entry.module}.${entry.attribute}`, /^[^\s/\\:#]+$/u);
    case "dotted":
      assert(entry.names.length > 1);
      return entry.names.forEach((name) => assert.match(name, /^[^\s./\\:#]+$/u));
  }
}
