/**
 * Runs something, and again whenever files change.
 * @module
 */

import { basename, dirname, relative, resolve, sep } from "node:path";
import { isLeftOut } from "../client/read_folder.ts";
import { UsageError } from "./errors.ts";
import { fileProblem } from "./session.ts";

/** Time without another change after which files count as saved, in milliseconds: editors write them in steps. */
const QUIET_MS = 50;

/** What is watched. */
export interface WatchOptions {
  /** Files and folders; of folders all but what a package leaves out. */
  readonly paths: readonly string[];
  /** Files whose changes do not count: those that the run itself writes. */
  readonly except: readonly string[];
  /** Ends the watch. */
  readonly signal: AbortSignal;
}

/**
 * Runs `run`, waits for a change, aborts what still runs, and begins anew, until the signal aborts.
 *
 * @param run Has to end soon after its signal aborts; what it throws ends the watch
 * @throws {UsageError} for a path that is not there
 * @throws the signal's reason when it aborts
 */
export async function runOnChange(
  run: (signal: AbortSignal) => Promise<void>,
  { paths, except, signal }: WatchOptions,
): Promise<never> {
  // Opened before the first run, so that no change is missed between a run and the wait for its end.
  using changes = new Changes(paths, except);
  const onAbort = () => changes.close();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    while (true) {
      signal.throwIfAborted();
      const round = new AbortController();
      const running = run(AbortSignal.any([signal, round.signal]));
      // What it throws must also end the wait for a change.
      const failed = running.then(() => new Promise<never>(() => {}));
      const goesOn = await Promise.race([changes.next(), failed]);
      round.abort(new DOMException("The files have changed", "AbortError"));
      await running;
      if (!goesOn) signal.throwIfAborted();
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** Changes of files and folders. */
class Changes implements Disposable {
  readonly #watchers: Deno.FsWatcher[] = [];
  readonly #except: ReadonlySet<string>;
  #closed = false;
  #pending = false;
  #wake = Promise.withResolvers<void>();

  constructor(paths: readonly string[], except: readonly string[]) {
    this.#except = new Set(except.map(realPath));
    for (const path of paths) {
      try {
        this.#watch(Deno.realPathSync(path));
      } catch (cause) {
        this.close();
        throw new UsageError(`Cannot watch ${path}: ${fileProblem(cause)}`, undefined, { cause });
      }
    }
  }

  /** Waits for a change and for the quiet after it. @returns false when it was closed instead */
  async next(): Promise<boolean> {
    while (!this.#pending && !this.#closed) await this.#wake.promise;
    while (this.#pending && !this.#closed) {
      this.#pending = false;
      await new Promise((done) => setTimeout(done, QUIET_MS));
    }
    return !this.#closed;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const watcher of this.#watchers) watcher.close();
    this.#notify();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #watch(path: string): void {
    const { isDirectory } = Deno.statSync(path);
    // Editors replace a file by another one, and a watch goes with the one that it was made for.
    const watcher = Deno.watchFs(isDirectory ? path : dirname(path), { recursive: isDirectory });
    this.#watchers.push(watcher);
    const counts = (changed: string) =>
      !this.#except.has(changed) &&
      (isDirectory ? !relative(path, changed).split(sep).some(isLeftOut) : basename(changed) === basename(path));
    void this.#follow(watcher, counts);
  }

  async #follow(watcher: Deno.FsWatcher, counts: (path: string) => boolean): Promise<void> {
    for await (const { kind, paths } of watcher) {
      if (kind === "access" || !paths.some(counts)) continue; // Where reads count as well, packaging would.
      this.#pending = true;
      this.#notify();
    }
  }

  #notify(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers<void>();
  }
}

/** The real path of a file that need not be there yet. */
function realPath(path: string): string {
  const full = resolve(path);
  try {
    return Deno.realPathSync(full);
  } catch {
    try {
      return `${Deno.realPathSync(dirname(full))}${sep}${basename(full)}`;
    } catch {
      return full;
    }
  }
}
