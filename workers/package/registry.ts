/**
 * Asks a registry of npm, and no other host.
 * @module
 */

import { show } from "../limits.ts";
import { TaskError } from "../../task_error.ts";

/** Answers that send on to another place, one after the other, that are followed. */
const MAX_REDIRECTS = 3;

/** A registry. @see https://github.com/npm/registry/blob/main/docs/REGISTRY-API.md */
export class Registry {
  readonly #base: URL;
  readonly #fetch: typeof fetch;

  /** @param url Base URL, with or without a slash at its end */
  constructor(url: string, fetchFunction: typeof fetch) {
    this.#base = new URL(url.endsWith("/") ? url : `${url}/`);
    this.#fetch = fetchFunction;
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
    const bytes = await this.#get(new URL(path, this.#base), options);
    if (bytes === undefined) return undefined;
    try {
      return JSON.parse(new TextDecoder().decode(bytes));
    } catch (cause) {
      throw new TaskError("TASK_FAILED", `Cannot read ${this.name}${path}: it is not JSON`, { cause });
    }
  }

  /**
   * Gets an archive, which must lie on the registry itself.
   * @throws {TaskError} `SECURITY_VIOLATION` when it lies elsewhere, and as {@linkcode tryJson}
   */
  async bytes(address: string, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
    const url = URL.parse(address);
    if (url === null) throw new TaskError("TASK_FAILED", `Cannot get ${show(address)}: it is no URL`);
    const bytes = await this.#get(url, { accept: "*/*", maxBytes });
    if (bytes === undefined) throw new TaskError("TASK_FAILED", `Cannot get ${show(address)}: it is not there`);
    return bytes;
  }

  async #get(
    start: URL,
    { accept, maxBytes }: { readonly accept: string; readonly maxBytes: number },
  ): Promise<Uint8Array<ArrayBuffer> | undefined> {
    let url = start;
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      if (url.origin !== this.#base.origin) {
        throw new TaskError(
          "SECURITY_VIOLATION",
          `Cannot get ${show(url.href)}: it lies on another host than the registry (policy: packages.npm.registry)`,
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

  async #request(url: URL, accept: string): Promise<Response> {
    try {
      return await this.#fetch(url, { redirect: "manual", headers: { accept } });
    } catch (cause) {
      throw unreachable(url, cause);
    }
  }

  async #body(url: URL, response: Response, maxBytes: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (response.status === 404 || response.status === 405) {
      await response.body?.cancel();
      return undefined;
    }
    if (response.status !== 200 || response.body === null) {
      await response.body?.cancel();
      throw new TaskError("TASK_FAILED", `Cannot get ${show(url.href)}: the registry answers ${response.status}`);
    }
    const chunks: Uint8Array[] = [];
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
    const bytes = new Uint8Array(length);
    let at = 0;
    for (const chunk of chunks) {
      bytes.set(chunk, at);
      at += chunk.length;
    }
    return bytes;
  }
}

function unreachable(url: URL, cause: unknown): TaskError {
  // Deno says why in the cause of what it throws.
  const innermost = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  const reason = (innermost instanceof Error ? innermost.message : String(innermost)).slice(0, 300);
  return new TaskError("TASK_FAILED", `Cannot get ${show(url.href)}: ${reason}`, { cause });
}
