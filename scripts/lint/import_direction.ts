/**
 * Lint plugin: imports point one way, `cli → supervisor → main.ts → rpc → execution → packages → sandbox → metrics, logging,
 * config, async → errors`.
 *
 * `deno.json` names it, so that `deno lint` and editors report an upward import with its file and line.
 *
 * @module
 */

import { dirname, normalize, relative } from "node:path/posix";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** The layers of `src/`, the lowest first. A file may import from its own layer and from those below. */
const LAYERS: readonly (readonly string[])[] = [
  ["errors.ts", "units.ts", "v8_flags.ts", "version.ts", "runtime_check.ts"],
  ["async", "config", "logging", "metrics"],
  ["sandbox"],
  ["packages"],
  ["execution"],
  ["rpc"],
  ["main.ts", "stop_signal.ts"],
  ["supervisor"],
  ["cli"],
];
const LAYER_NAMES =
  "cli → supervisor → main.ts → rpc → execution → packages → sandbox → metrics, logging, config, async → errors.ts";

/** The client library stands beside the layers: it runs in other people's programs, without the server. */
const CLIENT = "client";
const CLIENT_USES: ReadonlySet<string> = new Set(["errors.ts", "version.ts", "async"]);

/** What each part of `src/` may see of the sandbox's code; the others see none of it. */
const USES_OF_WORKERS: Readonly<Record<string, readonly string[]>> = {
  config: ["workers/protocol.ts"],
  sandbox: ["workers/protocol.ts"],
  execution: ["workers/protocol.ts"],
  packages: [
    "workers/protocol.ts",
    "workers/install_protocol.ts",
    "workers/package/entry_name.ts",
    "workers/package/limits.ts",
    "workers/package/python/",
    "workers/package/read_zip.ts",
    "workers/task_error.ts",
  ],
  client: ["workers/values.ts", "workers/codecs/", "workers/media/"],
  cli: ["workers/values.ts", "workers/codecs/", "workers/media/"],
};

/** Parts that speak the wire contract. Those below them must work without it. */
const USES_PROTOS: ReadonlySet<string> = new Set(["execution", "rpc", "main.ts", "cli", CLIENT]);

/** Folders that are no part of the program; they may import all of it, and it nothing of them. */
const AROUND: ReadonlySet<string> = new Set(["scripts", "tests", "benchmarks"]);

/**
 * The rule that an import breaks.
 *
 * @param importer path of the importing file from the repository's root
 * @param target path of the imported file from the repository's root
 * @returns one sentence, or `undefined` when the import is fine
 */
export function brokenRule(importer: string, target: string): string | undefined {
  const [area = "", part = ""] = importer.split("/");
  const [targetArea = "", targetPart = ""] = target.split("/");
  if (AROUND.has(area)) return undefined;
  if (AROUND.has(targetArea)) return `${area}/ is the program and must not need ${targetArea}/`;
  switch (area) {
    case "workers":
      return targetArea === "workers" ? undefined : "workers/ runs inside sandboxes and sees nothing but workers/";
    case "protos":
      return targetArea === "protos" ? undefined : "protos/ is the contract and sees nothing but protos/";
    case "src":
      break;
    default:
      return undefined;
  }
  switch (targetArea) {
    case "workers":
      return ruleForWorkers(part, target);
    case "protos":
      return USES_PROTOS.has(part) ? undefined : `src/${part} must not know the wire contract`;
    case "src":
      return ruleForSource(part, targetPart);
    default:
      return undefined;
  }
}

function ruleForWorkers(part: string, target: string): string | undefined {
  const allowed = USES_OF_WORKERS[part] ?? [];
  if (allowed.some((prefix) => prefix.endsWith("/") ? target.startsWith(prefix) : target === prefix)) return undefined;
  if (allowed.length === 0) return `src/${part} must not see the sandbox's code`;
  return `of the sandbox's code src/${part} may see only ${allowed.join(", ")}`;
}

function ruleForSource(part: string, targetPart: string): string | undefined {
  if (part === targetPart) return undefined;
  if (part === CLIENT) {
    if (CLIENT_USES.has(targetPart)) return undefined;
    return `src/client runs without the server and may see only ${[...CLIENT_USES].join(", ")} of src/`;
  }
  const from = layerOf(part);
  if (from === undefined) return `src/${part} has no layer yet: give it one in scripts/lint/import_direction.ts`;
  if (targetPart === CLIENT) return part === "cli" ? undefined : "src/client is for programs that call the server";
  const to = layerOf(targetPart);
  if (to === undefined) return `src/${targetPart} has no layer yet: give it one in scripts/lint/import_direction.ts`;
  return to <= from ? undefined : `imports point one way: ${LAYER_NAMES}`;
}

function layerOf(part: string): number | undefined {
  const index = LAYERS.findIndex((names) => names.includes(part));
  return index === -1 ? undefined : index;
}

/**
 * Whether an import reaches for another folder's private file: `_name.ts`, or what lies in a folder `_name/`, belongs to
 * the folder that it is in.
 */
export function isPrivateElsewhere(importer: string, target: string): boolean {
  const area = importer.slice(0, importer.indexOf("/"));
  if (area !== "src" && area !== "workers") return false;
  const segments = target.split("/");
  const at = segments.findIndex((segment) => segment.startsWith("_"));
  if (at === -1) return false;
  const owner = segments.slice(0, at).join("/");
  return !`${dirname(importer)}/`.startsWith(`${owner}/`);
}

interface ImportingNode {
  readonly range: [number, number];
}

function checkImport(context: Deno.lint.RuleContext, node: ImportingNode, specifier: unknown): void {
  if (typeof specifier !== "string" || !/^\.\.?\//.test(specifier)) return;
  const importer = relative(ROOT, context.filename);
  const target = normalize(`${dirname(importer)}/${specifier}`);
  const rule = brokenRule(importer, target) ??
    (isPrivateElsewhere(importer, target) ? "files and folders named _… are private to their folder" : undefined);
  if (rule !== undefined) {
    context.report({ range: node.range, message: `${importer} imports ${target}: ${rule}` });
  }
}

const plugin: Deno.lint.Plugin = {
  name: "rexec",
  rules: {
    "import-direction": {
      create: (context) => ({
        ImportDeclaration: (node) => checkImport(context, node, node.source.value),
        ExportAllDeclaration: (node) => checkImport(context, node, node.source.value),
        ExportNamedDeclaration: (node) => checkImport(context, node, node.source?.value),
        ImportExpression: (node) => checkImport(context, node, literalValue(node.source)),
        TSImportType: (node) => checkImport(context, node, literalValue(node.argument)),
      }),
    },
  },
};
export default plugin;

/** The value of a literal, or of the type of one; a computed specifier cannot be judged. */
function literalValue(node: unknown): unknown {
  if (typeof node !== "object" || node === null) return undefined;
  return Reflect.get(node, "value") ?? literalValue(Reflect.get(node, "literal"));
}
