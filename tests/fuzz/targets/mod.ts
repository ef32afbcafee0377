/**
 * All that is fuzzed.
 * @module
 */

import type { Target } from "../engine.ts";
import { entryPoint } from "./entry_point.ts";
import { frames } from "./frames.ts";
import { host } from "./host.ts";
import { json } from "./json.ts";
import { literal } from "./literal.ts";
import { manifest } from "./manifest.ts";
import { module } from "./module.ts";
import { pickle } from "./pickle.ts";
import { service } from "./service.ts";
import { zip } from "./zip.ts";

/** The quick ones first. */
export const TARGETS: readonly Target[] = [
  frames,
  json,
  literal,
  pickle,
  manifest,
  entryPoint,
  zip,
  module,
  host,
  service,
];
