/**
 * An index of Python packages on the loopback interface, with wheels that a test makes up.
 * @module
 */

import { createHash } from "node:crypto";
import { normalizeName } from "../../workers/package/python/name.ts";
import { parseHeaders } from "../../workers/package/python/metadata.ts";
import { readZip } from "../../workers/package/read_zip.ts";
import { DEFAULT_PACKAGE_LIMITS } from "../../workers/package/limits.ts";
import { wheelBytes, type WheelSource } from "../support/wheels.ts";

/** A file of an index. */
export interface FakeFile extends WheelSource {
  /** Days since it was put there; `undefined` for an index that does not say. */
  readonly ageDays?: number | undefined;
  readonly yanked?: string;
  /** Instead of its own, `null` for none. */
  readonly sha256?: string | null;
  /** Whether its METADATA lies beside it, and which text instead of its own. */
  readonly metadata?: boolean | string;
  /** Where the index says that it lies, in place of where it does. */
  readonly url?: string;
}

/** Answers a path in a way of its own. */
export type SpecialAnswer = (path: string) => Response | Promise<Response> | undefined;

/** How pages are written. */
export type PageForm = "json" | "html";

interface Entry {
  readonly fileName: string;
  readonly file: FakeFile;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly metadata: string;
}

const DAY_MS = 86_400_000;

/** See the module. */
export class FakeIndex implements AsyncDisposable {
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #entries: readonly Entry[];
  readonly #form: PageForm;
  readonly #special: SpecialAnswer;
  /** Paths that were asked for, in order. */
  readonly requests: string[] = [];

  private constructor(entries: readonly Entry[], form: PageForm, special: SpecialAnswer) {
    this.#entries = entries;
    this.#form = form;
    this.#special = special;
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {} },
      async (request) => await this.#answer(decodeURIComponent(new URL(request.url).pathname)),
    );
  }

  /** @param files by name; a list stands for the requirements of a wheel */
  static async serve(
    files: Readonly<Record<string, FakeFile | readonly string[]>>,
    { form = "json", special = () => undefined }: { readonly form?: PageForm; readonly special?: SpecialAnswer } = {},
  ): Promise<FakeIndex> {
    const entries = await Promise.all(
      Object.entries(files).map(async ([fileName, source]) => await entryOf(fileName, source)),
    );
    return new FakeIndex(entries, form, special);
  }

  /** What a policy names. */
  get url(): string {
    return `${this.#origin}/simple`;
  }

  /** `127.0.0.1:port`. */
  get host(): string {
    return `127.0.0.1:${this.#server.addr.port}`;
  }

  /** Where a file lies. */
  fileUrl(fileName: string): string {
    return `${this.#origin}/files/${fileName}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }

  get #origin(): string {
    return `http://${this.host}`;
  }

  async #answer(path: string): Promise<Response> {
    this.requests.push(path);
    const special = await this.#special(path);
    if (special !== undefined) return special;
    const [, name] = /^\/simple\/([^/]+)\/$/.exec(path) ?? [];
    const [, fileName, suffix] = /^\/files\/(.+?)(\.metadata)?$/.exec(path) ?? [];
    if (name !== undefined) return this.#page(name);
    const entry = this.#entries.find((entry) => entry.fileName === fileName);
    if (entry === undefined) return new Response("", { status: 404 });
    return new Response(suffix === undefined ? entry.bytes : metadataOf(entry));
  }

  #page(name: string): Response {
    const entries = this.#entries.filter(({ fileName }) => normalizeName(fileName.split("-")[0] ?? "") === name);
    if (entries.length === 0) return new Response("", { status: 404 });
    return this.#form === "json" ? this.#jsonPage(name, entries) : this.#htmlPage(entries);
  }

  #jsonPage(name: string, entries: readonly Entry[]): Response {
    const files = entries.map((entry) => {
      const { fileName, file: { ageDays, yanked, url } } = entry;
      const metadata = entry.file.metadata === undefined ? {} : { "core-metadata": { sha256: sha256(entry.metadata) } };
      const age = ageDays === undefined ? {} : { "upload-time": new Date(Date.now() - ageDays * DAY_MS).toISOString() };
      const digest = digestOf(entry);
      return {
        filename: fileName,
        url: url ?? `../../files/${fileName}`,
        hashes: digest === null ? {} : { sha256: digest },
        yanked: yanked ?? false,
        ...requiresPythonOf(entry),
        ...metadata,
        ...age,
      };
    });
    return Response.json({ meta: { "api-version": "1.1" }, name, files }, {
      headers: { "content-type": "application/vnd.pypi.simple.v1+json" },
    });
  }

  #htmlPage(entries: readonly Entry[]): Response {
    const anchors = entries.map((entry) => {
      const { fileName, file: { yanked, url, metadata } } = entry;
      const digest = digestOf(entry);
      const attributes = {
        href: `${url ?? `../../files/${fileName}`}${digest === null ? "" : `#sha256=${digest}`}`,
        ...(yanked === undefined ? {} : { "data-yanked": yanked }),
        ...(metadata === undefined ? {} : { "data-core-metadata": `sha256=${sha256(entry.metadata)}` }),
      };
      const text = Object.entries(attributes).map(([name, value]) => ` ${name}="${value.replaceAll("&", "&amp;")}"`);
      return `<a${text.join("")}>${fileName}</a><br>`;
    });
    return new Response(`<!DOCTYPE html><html><body><h1>Links</h1>${anchors.join("\n")}</body></html>`, {
      headers: { "content-type": "text/html; charset=utf-8" },
    });
  }
}

async function entryOf(fileName: string, source: FakeFile | readonly string[]): Promise<Entry> {
  const isList = (value: FakeFile | readonly string[]): value is readonly string[] => Array.isArray(value);
  const file: FakeFile = { ageDays: 100, ...isList(source) ? { requires: source } : source };
  if (!fileName.endsWith(".whl")) return { fileName, file, bytes: new Uint8Array(1), metadata: "" };
  const bytes = (await wheelBytes(fileName, file)).slice();
  // Wheels may be what no reader takes; then nothing lies beside them.
  const files = file.metadata === undefined ? [] : [...readZip(bytes, DEFAULT_PACKAGE_LIMITS)];
  const found = files.find(([path]) => path.endsWith(".dist-info/METADATA"))?.[1];
  return { fileName, file, bytes, metadata: new TextDecoder().decode(found) };
}

function digestOf({ file, bytes }: Entry): string | null {
  return file.sha256 === undefined ? sha256(bytes) : file.sha256;
}

function metadataOf({ file, metadata }: Entry): string {
  return typeof file.metadata === "string" ? file.metadata : metadata;
}

function requiresPythonOf({ file }: Entry): { readonly "requires-python"?: string } {
  const found = parseHeaders(file.headers ?? "").find(([name]) => name === "requires-python")?.[1];
  return found === undefined ? {} : { "requires-python": found };
}

function sha256(data: string | Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}
