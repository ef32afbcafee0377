/**
 * From a target that the rules grant to a connection, by way of addresses that were checked.
 * @module
 */

import { lookup } from "node:dns/promises";
import { abortable } from "../../async/abortable.ts";
import { messageOf } from "../../errors.ts";
import { type IpAddress, isWithin, parseIp, type Reach } from "./addresses.ts";
import { type Target, targetText } from "./rules.ts";

/** Gives the addresses of a name. Must reject when there are none. */
export type Resolve = (name: string) => Promise<readonly string[]>;

/** A connection, or why there is none; the codes are those of RFC 9209 §2.3. */
export type DialResult =
  | { readonly kind: "connected"; readonly connection: Deno.TcpConn; readonly address: string }
  | {
    readonly kind: "refused";
    readonly code: "destination_ip_prohibited";
    /** Without the addresses: a task should not learn what names mean in the operator's network. */
    readonly reason: string;
    readonly addresses: readonly string[];
  }
  | {
    readonly kind: "failed";
    readonly code: "dns_error" | "dns_timeout" | "destination_unavailable" | "connection_timeout";
    readonly reason: string;
  };

/** No host needs more to be reached, and each costs time. */
const MAX_ADDRESSES = 4;

/** As the system resolves names, /etc/hosts included. */
export async function resolveBySystem(name: string): Promise<readonly string[]> {
  return (await lookup(name, { all: true })).map(({ address }) => address);
}

/** How to reach a target. */
export interface DialOptions {
  readonly reach: Reach;
  readonly resolve: Resolve;
  /** For name and connection together. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/**
 * Resolves a name once, and connects to one of the addresses that it may have: it is never resolved a second time, so it
 * cannot become another one in between (DNS rebinding).
 */
export async function dial(target: Target, { reach, resolve, timeoutMs, signal }: DialOptions): Promise<DialResult> {
  const deadline = performance.now() + timeoutMs;
  const found = target.address === undefined
    ? await addressesOf(target.host, resolve, timeoutMs, signal)
    : [target.address];
  if ("code" in found) return found;
  const checked = found.filter((address) => isWithin(reach, address)).slice(0, MAX_ADDRESSES);
  if (checked.length === 0) {
    const reason = target.address === undefined
      ? `"${target.host}" leads to an address ${unnamed(reach)}`
      : `${target.host} is not a public address, and the policy does not name it`;
    const addresses = found.slice(0, MAX_ADDRESSES).map(({ text }) => text);
    return { kind: "refused", code: "destination_ip_prohibited", reason, addresses };
  }
  let last: DialResult | undefined;
  for (const [index, { text }] of checked.entries()) {
    // An address that does not answer leaves time for those behind it.
    const leftMs = Math.max(1, (deadline - performance.now()) / (checked.length - index));
    const timeout = new Timeout(leftMs, signal);
    try {
      const connection = await Deno.connect({ hostname: text, port: target.port, signal: timeout.signal });
      return { kind: "connected", connection, address: targetText({ host: text, port: target.port }) };
    } catch (error) {
      last = timeout.passed
        ? { kind: "failed", code: "connection_timeout", reason: `${text} does not answer` }
        : { kind: "failed", code: "destination_unavailable", reason: `cannot connect to ${text}: ${messageOf(error)}` };
    } finally {
      timeout.clear();
    }
  }
  return last ?? { kind: "failed", code: "destination_unavailable", reason: "there is no address" };
}

function unnamed(reach: Reach): string {
  return reach === "private"
    ? "that a name may never lead to; the policy would have to give the address itself"
    : "that is not public, and the policy does not name the host in full";
}

async function addressesOf(
  name: string,
  resolve: Resolve,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<IpAddress[] | Extract<DialResult, { kind: "failed" }>> {
  const timeout = new Timeout(timeoutMs, signal);
  try {
    const found = (await abortable(resolve(name), timeout.signal)).map(parseIp);
    const addresses = found.filter((address) => address !== undefined);
    if (addresses.length > 0) return addresses;
    return { kind: "failed", code: "dns_error", reason: `"${name}" has no address` };
  } catch (error) {
    return timeout.passed
      ? { kind: "failed", code: "dns_timeout", reason: `"${name}" is not resolved in time` }
      : { kind: "failed", code: "dns_error", reason: `cannot resolve "${name}": ${messageOf(error)}` };
  } finally {
    timeout.clear();
  }
}

/** A timeout whose timer can be taken back, unlike that of `AbortSignal.timeout`. */
class Timeout {
  readonly #abort = new AbortController();
  readonly #timer: ReturnType<typeof setTimeout>;
  readonly signal: AbortSignal;
  passed = false;

  constructor(timeoutMs: number, signal: AbortSignal) {
    this.signal = AbortSignal.any([signal, this.#abort.signal]);
    this.#timer = setTimeout(() => {
      this.passed = true;
      this.#abort.abort();
    }, timeoutMs);
  }

  clear(): void {
    clearTimeout(this.#timer);
  }
}
