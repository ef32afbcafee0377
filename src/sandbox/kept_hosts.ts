/**
 * Sandbox hosts that are kept warm for the caller and the code that they ran last.
 * @module
 */

import { pause } from "../async/pause.ts";
import type { HostProcess } from "./host_process.ts";

/** How long what a task has left behind may take to go, and how often that is looked at, in milliseconds. */
const SETTLE_MS = 1_000;
const SETTLE_INTERVAL_MS = 10;

/** How long hosts are kept. */
export interface KeptHostsOptions {
  /** Longest time without a task, in milliseconds. */
  readonly idleMs: number;
  /** How long a host may take to start its next worker, in milliseconds. */
  readonly renewTimeoutMs: number;
  /** Called when a host may be taken. */
  readonly onRenewed: () => void;
}

interface KeptHost {
  readonly key: string;
  readonly host: HostProcess;
  readonly expiry: ReturnType<typeof setTimeout>;
  /** Whether its new worker waits for a task. */
  isRenewed: boolean;
}

/**
 * Hosts by key, each with a fresh worker. One whose threads, files or memory are not back at the baseline is thrown
 * away instead of given out. Owned by the pool, which is told of the end of each host.
 */
export class KeptHosts implements AsyncDisposable {
  readonly #options: KeptHostsOptions;
  /** The oldest first. */
  readonly #kept = new Map<HostProcess, KeptHost>();
  readonly #renewals = new Set<Promise<void>>();
  readonly #closing = new AbortController();

  constructor(options: KeptHostsOptions) {
    this.#options = options;
  }

  get hosts(): readonly HostProcess[] {
    return [...this.#kept.keys()];
  }

  get size(): number {
    return this.#kept.size;
  }

  /** How many may be taken; the others start their next worker. */
  get renewed(): number {
    return [...this.#kept.values()].filter(({ isRenewed }) => isRenewed).length;
  }

  /** Keeps a host whose task has ended, and has it start its next worker at once. */
  keep(key: string, host: HostProcess): void {
    const expiry = setTimeout(() => this.#discard(host), this.#options.idleMs);
    const kept: KeptHost = { key, host, expiry, isRenewed: false };
    this.#kept.set(host, kept);
    const renewal = this.#renew(kept).finally(() => this.#renewals.delete(renewal));
    this.#renewals.add(renewal);
  }

  /** A host for a task of this key, if one is ready. */
  take(key: string): HostProcess | undefined {
    for (const kept of this.#kept.values()) {
      if (kept.key !== key || !kept.isRenewed) continue;
      const { host } = kept;
      if (host.isServing && host.isAtBaseline) {
        this.forget(host);
        return host;
      }
      this.#discard(host);
    }
    return undefined;
  }

  /** The host that has waited longest. */
  takeOldest(): HostProcess | undefined {
    const [oldest] = this.#kept.keys();
    if (oldest !== undefined) this.forget(oldest);
    return oldest;
  }

  /** It is kept no more. */
  forget(host: HostProcess): void {
    clearTimeout(this.#kept.get(host)?.expiry);
    this.#kept.delete(host);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    for (const host of this.hosts) this.#discard(host);
    await Promise.all(this.#renewals);
  }

  async #renew(kept: KeptHost): Promise<void> {
    const { host } = kept;
    const timeout = AbortSignal.timeout(this.#options.renewTimeoutMs);
    const isRenewed = await host.renew({ signal: AbortSignal.any([timeout, this.#closing.signal]) });
    if (!isRenewed || !await this.#settles(host)) return this.#discard(host);
    kept.isRenewed = true;
    this.#options.onRenewed();
    if (this.#kept.has(host)) host.warmUp();
  }

  /** The old worker's thread ends some time after the worker, and nothing tells when: the kernel has to be asked. */
  async #settles(host: HostProcess): Promise<boolean> {
    for (const startedAt = performance.now(); performance.now() - startedAt < SETTLE_MS;) {
      if (host.isAtBaseline) return true;
      await pause(SETTLE_INTERVAL_MS, this.#closing.signal);
      if (this.#closing.signal.aborted) return false;
    }
    return false;
  }

  #discard(host: HostProcess): void {
    this.forget(host);
    host.kill("retired");
  }
}
