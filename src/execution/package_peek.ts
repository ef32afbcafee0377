/**
 * Which sandbox a code package should go to: of TypeScript, or of which version of Python. A hint for placing tasks and
 * nothing else: the sandbox reads and validates the package again, and refuses it where it was sent to the wrong place.
 *
 * Bounded in what it looks at; it never throws. What cannot be read goes to the sandbox of TypeScript, which says what is
 * wrong with it.
 *
 * @module
 */

import { PYTHON_VERSIONS, type PythonVersion } from "../../workers/protocol.ts";
import { evidenceInBase64 } from "./python_evidence.ts";
import { listZip, readZipMember, type ZipMember } from "./zip_names.ts";

/** Where a package should go. */
export type PackageHint = DenoHint | PythonHint | PythonFault;

interface DenoHint {
  readonly runtime: "deno";
  /** Whether its manifest may name packages of npm. */
  readonly declares: boolean;
}

interface PythonHint {
  readonly runtime: "python";
  readonly version: PythonVersion;
  /** Whether it brings a pickle. */
  readonly hasPickle: boolean;
  /** Python requirements of its manifest and its `requirements.txt`, as they are written there. */
  readonly requirements: readonly string[];
}

/** It asks for a Python that there is not. */
interface PythonFault {
  readonly runtime: "python";
  readonly fault: string;
}

/** What a package is looked at with. */
export interface PeekOptions {
  readonly entryPoint: string;
  /** Version of Python where nothing tells. */
  readonly defaultVersion: PythonVersion;
  /** Files that a package may have. */
  readonly maxFiles: number;
}

const DENO: PackageHint = { runtime: "deno", declares: false };

const MANIFEST_BOUNDS = { maxPacked: 256 * 1024, maxBytes: 256 * 1024 };
const OBJECT_BOUNDS = { maxPacked: 128 * 1024, maxBytes: 1024 * 1024 };

/** As a manifest may have. */
const MAX_REQUIREMENTS = 1_000;
const MAX_LINE_LENGTH = 1_000;

const MODULE_FILE = /\.(?:[cm]?[jt]s|[jt]sx)$/;

/** Says where a package should go. */
export function peekPackage(bytes: Uint8Array, { entryPoint, defaultVersion, maxFiles }: PeekOptions): PackageHint {
  // A zip's directory also lists its folders.
  const members = listZip(bytes, 2 * maxFiles + 10);
  if (members === undefined) return DENO;
  const find = (name: string) => members.find((member) => member.name === name);
  const manifest = readManifest(bytes, find("manifest.json"));
  const object = find("serialized_object.pkl");
  const runtime = manifest["runtime"] ?? inferRuntime(members, entryPoint, object !== undefined);
  if (runtime !== "python") return { runtime: "deno", declares: Array.isArray(manifest["dependencies"]) };
  const wanted = manifest["python_version"];
  const pickle = object && readZipMember(bytes, object, OBJECT_BOUNDS);
  const chosen = typeof wanted === "string"
    ? ofManifest(wanted)
    : pickle === undefined
    ? defaultVersion
    : ofPickle(pickle, defaultVersion);
  if (typeof chosen !== "string") return chosen;
  const listed = find("requirements.txt");
  const requirements = [
    ...linesOf(manifest["pip_requirements"]),
    ...requirementsOf(listed && readZipMember(bytes, listed, MANIFEST_BOUNDS)),
  ];
  return { runtime, version: chosen, hasPickle: object !== undefined, requirements: [...new Set(requirements)] };
}

/**
 * Where a pickle that is given as base64 text should go.
 * @param pickle its text, or the beginning of it
 */
export function ofPickle(pickle: Uint8Array, defaultVersion: PythonVersion): PythonVersion | PythonFault {
  const evidence = evidenceInBase64(pickle);
  const version = evidence === undefined ? defaultVersion : PYTHON_VERSIONS.find((known) => known === evidence);
  if (version !== undefined) return version;
  const maker = evidence === "another" ? "a Python before 3.11 or after 3.14" : `Python ${evidence}`;
  return {
    runtime: "python",
    fault: `its serialized object was made by ${maker}, whose bytecode runs on no other; there are ${VERSIONS}. ` +
      "Make it with one of those, or send its class as source",
  };
}

const VERSIONS = PYTHON_VERSIONS.join(" and ");

/** `3.11.2` is 3.11. */
function ofManifest(wanted: string): PythonVersion | PythonFault {
  const minor = /^\d+\.\d+/.exec(wanted)?.[0];
  const version = PYTHON_VERSIONS.find((known) => known === minor);
  if (version !== undefined) return version;
  const shown = wanted.length > 20 ? `${wanted.slice(0, 20)}…` : wanted;
  return {
    runtime: "python",
    fault: `its manifest asks for Python ${JSON.stringify(shown)} (python_version); there are ${VERSIONS}`,
  };
}

function readManifest(bytes: Uint8Array, member: ZipMember | undefined): Readonly<Record<string, unknown>> {
  const content = member && readZipMember(bytes, member, MANIFEST_BOUNDS);
  if (content === undefined) return {};
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(content));
    return typeof value === "object" && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}

/** Lines of a list that may be anything. */
function linesOf(value: unknown): string[] {
  if (!Array.isArray(value)) return [];
  return value.slice(0, MAX_REQUIREMENTS).filter((line) => typeof line === "string" && line.length <= MAX_LINE_LENGTH);
}

/** Lines of a requirements file without comments, as the sandbox reads them. */
function requirementsOf(content: Uint8Array | undefined): string[] {
  if (content === undefined) return [];
  const lines = new TextDecoder().decode(content).split(/\r?\n/, MAX_REQUIREMENTS);
  return linesOf(lines.map((line) => line.replace(/(?:^|\s)#.*$/, "").trim()).filter((line) => line !== ""));
}

/** As the sandbox infers it: from the object, then from the files, then from the entry point's form. */
function inferRuntime(members: readonly ZipMember[], entryPoint: string, hasObject: boolean): "deno" | "python" {
  if (hasObject) return "python";
  const sources = members.filter(({ name }) => name.startsWith("code/"));
  const files = sources.length > 0 ? sources : members;
  if (!files.some(({ name }) => name.endsWith(".py"))) return "deno";
  if (!files.some(({ name }) => MODULE_FILE.test(name))) return "python";
  const target = entryPoint.trim().split(/[:#]/, 1)[0] ?? "";
  return !MODULE_FILE.test(target) && /[.:]/.test(entryPoint) ? "python" : "deno";
}
