/**
 * Asks a registry of packages, and no other host.
 * @module
 */

import { show } from "./limits.ts";
import { joinPieces } from "../protocol.ts";
import { TaskError } from "../task_error.ts";

/** Answers that send on to another place, one after the other, that are followed. */
const MAX_REDIRECTS = 3;

/** What a registry answers. */
export interface RegistryAnswer {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Its media type in lower case, without parameters. */
  readonly type: string;
  /** Where it came from in the end. */
  readonly url: URL;
}

/** What a {@linkcode Registry} is asked through. */
export interface RegistryOptions {
  /** Base URL, with or without a slash at its end. */
  readonly url: string;
  /** Hosts where files may lie, too: `name`, or `name:port`. */
  readonly fileHosts?: readonly string[];
  /** The policy's rule for where files may lie, for messages. */
  readonly rule: string;
  readonly fetch: typeof fetch;
}

/** A registry: a host with documents and files. */
export class Registry {
  readonly #base: URL;
  readonly #options: RegistryOptions;

  constructor(options: RegistryOptions) {
    const { url } = options;
    this.#base = new URL(url.endsWith("/") ? url : `${url}/`);
    this.#options = options;
  }

  /** For messages. */
  get name(): string {
    return this.#base.href;
  }

  /**
   * Gets a JSON document below the base URL.
   * @returns `undefined` when there is none
   * @throws {TaskError} `TASK_FAILED` when the registry does not answer as one, `RESOURCE_LIMIT` for a document that is too long
   */
  async tryJson(path: string, options: { readonly accept: string; readonly maxBytes: number }): Promise<unknown> {
    const answer = await this.tryGet(path, options);
    return answer && parseJson(answer);
  }

  /**
   * Gets a document below the base URL.
   * @returns `undefined` when there is none
   * @throws {TaskError} as {@linkcode tryJson}
   */
  tryGet(
    path: string,
    options: { readonly accept: string; readonly maxBytes: number },
  ): Promise<RegistryAnswer | undefined> {
    return this.#get(new URL(path, this.#base), options);
  }

  /**
   * Gets a file, which must lie on the registry itself, or where files may lie.
   * @throws {TaskError} `SECURITY_VIOLATION` when it lies elsewhere, and as {@linkcode tryJson}
   */
  async bytes(address: string, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
    const url = URL.parse(address);
    if (url === null) throw new TaskError("TASK_FAILED", `Cannot get ${show(address)}: it is no URL`);
    const answer = await this.#get(url, { accept: "*/*", maxBytes });
    if (answer === undefined) throw new TaskError("TASK_FAILED", `Cannot get ${show(address)}: it is not there`);
    return answer.bytes;
  }

  async #get(
    start: URL,
    { accept, maxBytes }: { readonly accept: string; readonly maxBytes: number },
  ): Promise<RegistryAnswer | undefined> {
    let url = start;
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      if (!this.#mayAsk(url)) {
        throw new TaskError(
          "SECURITY_VIOLATION",
          `Cannot get ${show(url.href)}: it lies on another host than the registry (policy: ${this.#options.rule})`,
        );
      }
      const response = await this.#request(url, accept);
      const location = response.status >= 300 && response.status < 400 ? response.headers.get("location") : null;
      if (location === null) return await this.#body(url, response, maxBytes);
      await response.body?.cancel();
      const next = URL.parse(location, url);
      if (next === null) throw new TaskError("TASK_FAILED", `Cannot get ${show(url.href)}: it leads to no URL`);
      url = next;
    }
    throw new TaskError("TASK_FAILED", `Cannot get ${show(start.href)}: it leads on more than ${MAX_REDIRECTS} times`);
  }

  #mayAsk(url: URL): boolean {
    if (url.origin === this.#base.origin) return true;
    // Never less safely than the registry itself.
    const isAsSafe = url.protocol === "https:" || url.protocol === this.#base.protocol;
    return isAsSafe && (this.#options.fileHosts ?? []).includes(url.host);
  }

  async #request(url: URL, accept: string): Promise<Response> {
    try {
      return await this.#options.fetch(url, { redirect: "manual", headers: { accept } });
    } catch (cause) {
      throw unreachable(url, cause);
    }
  }

  async #body(url: URL, response: Response, maxBytes: number): Promise<RegistryAnswer | undefined> {
    if (response.status === 404 || response.status === 405) {
      await response.body?.cancel();
      return undefined;
    }
    if (response.status !== 200 || response.body === null) {
      await response.body?.cancel();
      throw new TaskError("TASK_FAILED", `Cannot get ${show(url.href)}: the registry answers ${response.status}`);
    }
    const chunks: Uint8Array<ArrayBuffer>[] = [];
    let length = 0;
    const reader = response.body.getReader();
    try {
      for (let next = await reader.read(); !next.done; next = await reader.read()) {
        length += next.value.length;
        if (length > maxBytes) {
          throw new TaskError("RESOURCE_LIMIT", `Cannot get ${show(url.href)}: it has more than ${maxBytes} bytes`);
        }
        chunks.push(next.value);
      }
    } catch (cause) {
      await reader.cancel().catch(() => {});
      if (cause instanceof TaskError) throw cause;
      throw unreachable(url, cause);
    }
    const [type = ""] = (response.headers.get("content-type") ?? "").toLowerCase().split(";");
    return { bytes: joinPieces(chunks, length), type: type.trim(), url };
  }
}

/** Reads an answer as JSON. @throws {TaskError} `TASK_FAILED` when it is none */
export function parseJson({ bytes, url }: RegistryAnswer): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new TaskError("TASK_FAILED", `Cannot read ${show(url.href)}: it is not JSON`, { cause });
  }
}

function unreachable(url: URL, cause: unknown): TaskError {
  // Deno says why in the cause of what it throws.
  const innermost = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  const reason = (innermost instanceof Error ? innermost.message : String(innermost)).slice(0, 300);
  return new TaskError("TASK_FAILED", `Cannot get ${show(url.href)}: ${reason}`, { cause });
}
