/**
 * What an index says of one package: the simple repository API, as JSON
 * (https://packaging.python.org/en/latest/specifications/simple-repository-api/) or as HTML, its older form.
 * @module
 */

import { Parser } from "htmlparser2";
import { TaskError } from "../../task_error.ts";
import { show } from "../limits.ts";
import { parseJson, type RegistryAnswer } from "../registry.ts";

/** What is accepted as an answer, the best first. */
export const PAGE_TYPES =
  "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.5, text/html;q=0.1";

/** A file of a package on an index. */
export interface IndexFile {
  readonly fileName: string;
  readonly url: string;
  /** In hexadecimal digits; `undefined` where the index gives none. */
  readonly sha256: string | undefined;
  /** `Requires-Python` of its metadata; empty for any. */
  readonly requiresPython: string;
  readonly isYanked: boolean;
  /** Digest of the METADATA that lies beside it (PEP 658); `undefined` where none does, or its digest is not given. */
  readonly metadataSha256: string | undefined;
  /** When it was put there, in milliseconds since 1970 (PEP 700); `undefined` where the index does not say. */
  readonly uploadedAtMs: number | undefined;
}

type Fields = Readonly<Record<string, unknown>>;

/** Reads a page. @throws {TaskError} `TASK_FAILED` when it is none */
export function parsePage(answer: RegistryAnswer): IndexFile[] {
  switch (answer.type) {
    case "application/vnd.pypi.simple.v1+json":
    case "application/json":
      return parseJsonPage(answer);
    case "application/vnd.pypi.simple.v1+html":
    case "text/html":
      return parseHtmlPage(answer);
  }
  throw noPage(answer, `its type is ${show(answer.type)}`);
}

function parseJsonPage(answer: RegistryAnswer): IndexFile[] {
  const page = fieldsOf(parseJson(answer));
  const version = textOf(fieldsOf(page["meta"])["api-version"]);
  if (!/^1\.\d+$/.test(version)) throw noPage(answer, `its API has version ${show(version)}, and 1 is known`);
  const files: unknown = page["files"];
  if (!Array.isArray(files)) throw noPage(answer, "it has no list of files");
  return files.flatMap((value: unknown): IndexFile[] => {
    const file = fieldsOf(value);
    const url = URL.parse(textOf(file["url"]), answer.url);
    if (url === null) return [];
    const uploadedAtMs = Date.parse(textOf(file["upload-time"]));
    return [{
      fileName: textOf(file["filename"]),
      url: url.href,
      sha256: sha256Of(file["hashes"]),
      requiresPython: textOf(file["requires-python"]),
      // A reason counts, the empty one too.
      isYanked: file["yanked"] !== undefined && file["yanked"] !== false && file["yanked"] !== null,
      metadataSha256: sha256Of(file["core-metadata"]) ?? sha256Of(file["dist-info-metadata"]),
      uploadedAtMs: Number.isNaN(uploadedAtMs) ? undefined : uploadedAtMs,
    }];
  });
}

/** Anchors are files: the text is the name, the address ends in `#sha256=…`, and attributes say the rest. */
function parseHtmlPage(answer: RegistryAnswer): IndexFile[] {
  const files: IndexFile[] = [];
  let base = answer.url;
  let anchor: Readonly<Record<string, string>> | undefined;
  let text = "";
  const parser = new Parser({
    onopentag(name, attributes) {
      if (name === "base") base = URL.parse(attributes["href"] ?? "", answer.url) ?? base;
      if (name !== "a") return;
      anchor = attributes;
      text = "";
    },
    ontext(piece) {
      if (anchor !== undefined) text += piece;
    },
    onclosetag(name) {
      if (name !== "a" || anchor === undefined) return;
      const url = URL.parse(anchor["href"] ?? "", base);
      if (url !== null) files.push(fileOf(anchor, url, text.trim()));
      anchor = undefined;
    },
  });
  parser.write(new TextDecoder().decode(answer.bytes));
  parser.end();
  return files;
}

function fileOf(anchor: Readonly<Record<string, string>>, url: URL, fileName: string): IndexFile {
  const metadata = anchor["data-core-metadata"] ?? anchor["data-dist-info-metadata"] ?? "";
  const sha256 = digestIn(url.hash.slice(1));
  url.hash = "";
  return {
    fileName,
    url: url.href,
    sha256,
    requiresPython: anchor["data-requires-python"] ?? "",
    isYanked: anchor["data-yanked"] !== undefined,
    metadataSha256: digestIn(metadata),
    uploadedAtMs: undefined,
  };
}

function digestIn(text: string): string | undefined {
  return /(?:^|&)sha256=([0-9a-f]{64})(?:&|$)/i.exec(text)?.[1]?.toLowerCase();
}

function sha256Of(hashes: unknown): string | undefined {
  return /^[0-9a-f]{64}$/i.exec(textOf(fieldsOf(hashes)["sha256"]))?.[0].toLowerCase();
}

function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null ? value as Fields : {}; // an object has fields of any kind
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function noPage({ url }: RegistryAnswer, state: string): TaskError {
  return new TaskError("TASK_FAILED", `Cannot read ${show(url.href)} as the page of a package: ${state}`);
}
