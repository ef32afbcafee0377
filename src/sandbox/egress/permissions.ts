/**
 * What Deno itself must permit so that a task can ask the egress proxy. The second line: the first is that user code gets
 * no function that goes past the proxy. It matters in the process jail only, where there is a network to go past it to.
 *
 * Measured on Deno 2.9.3: `fetch` and `startTls` check the name that they are asked for, though the proxy connects; names
 * are resolved, and their addresses checked against the denied ones, for direct connections only. `*.example.com` is
 * understood; ranges of IPv6 addresses are not, neither allowed nor denied.
 *
 * @module
 */

import { BlockList } from "node:net";
import { NON_PUBLIC_IPV4 } from "./addresses.ts";
import type { HostRule, HostRules } from "./rules.ts";

/**
 * Where the relay in the sandbox host listens: a loopback address of its own, so that all others can be denied, with
 * whatever else listens on 127.0.0.1. Only Linux has more than that one.
 */
export const RELAY_HOSTNAME = Deno.build.os === "linux" ? "127.114.101.120" : "127.0.0.1";

/** Values for the host's flags, and for its worker's permissions. */
export interface EgressPermissions {
  /**
   * Value for `--allow-net`, to be joined with commas, beside the host's `unix:` sockets; `null` stands for the flag
   * without a value, which includes those.
   */
  readonly hostAllow: readonly string[] | null;
  /** Value for `--deny-net`; a worker inherits it. */
  readonly hostDeny: readonly string[];
  /** The worker's `net` permission, once the relay's port is known. */
  readonly worker: (relayPort: number) => true | string[];
}

/** What the flags and permissions must be for a task with these rules. */
export function egressPermissions({ rules }: HostRules): EgressPermissions {
  const names = [...new Set(rules.map(permissionHost))];
  const needsAll = names.includes(undefined);
  const hosts = names.filter((name) => name !== undefined);
  // A worker may have a range only where its host may have all.
  const hostNeedsAll = needsAll || hosts.some((host) => host.includes("/"));
  return {
    hostAllow: hostNeedsAll ? null : [RELAY_HOSTNAME, ...hosts],
    hostDeny: deniedAddresses(rules),
    worker: (relayPort) => needsAll ? true : [`${RELAY_HOSTNAME}:${relayPort}`, ...hosts],
  };
}

/** Without the port, which the proxy checks: `startTls` knows a name only. `undefined` when only all will do. */
function permissionHost(rule: HostRule): string | undefined {
  switch (rule.kind) {
    case "all":
      return undefined;
    case "below":
      return `*${rule.suffix}`;
    case "name":
      return rule.name;
    case "range": {
      const { text, family } = rule.network;
      if (family === 4) return rule.prefix === 32 ? text : `${text}/${rule.prefix}`;
      return rule.prefix === 128 ? `[${text}]` : undefined;
    }
  }
}

/** All that is not public, less what the rules give as addresses: Deno would not even ask the proxy for that. */
function deniedAddresses(rules: readonly HostRule[]): string[] {
  const ranges = rules.filter((rule) => rule.kind === "range");
  const loopback = RELAY_HOSTNAME === "127.0.0.1" ? [] : complement(127, RELAY_HOSTNAME);
  const ipv4 = [...NON_PUBLIC_IPV4.filter(([network]) => network !== "127.0.0.0"), ...loopback];
  const ipv6 = [["::1", 128], ["::", 128]] as const;
  return [
    ...ipv4.filter(([network, prefix]) =>
      !ranges.some(({ network: named, prefix: namedPrefix }) =>
        named.family === 4 && overlap([network, prefix], [named.text, namedPrefix])
      )
    ).map(([network, prefix]) => `${network}/${prefix}`),
    ...ipv6.filter(([address]) => !ranges.some(({ list }) => list.check(address, "ipv6"))).map(([address]) =>
      `[${address}]`
    ),
  ];
}

type Ipv4Range = readonly [network: string, prefix: number];

/** Whether one IPv4 range lies in the other. */
function overlap(left: Ipv4Range, right: Ipv4Range): boolean {
  const contains = ([network, prefix]: Ipv4Range, [address]: Ipv4Range): boolean => {
    const list = new BlockList();
    list.addSubnet(network, prefix, "ipv4");
    return list.check(address, "ipv4");
  };
  return contains(left, right) || contains(right, left);
}

/** The ranges that make up `first.0.0.0/8` without one address: for each further bit, the half that it is not in. */
function complement(first: number, address: string): Ipv4Range[] {
  const value = address.split(".").reduce((sum, octet) => sum * 256 + Number(octet), 0);
  return Array.from({ length: 24 }, (_, index) => {
    const bit = 2 ** (23 - index);
    // Without the bits behind this one, and with this one flipped.
    const other = Math.floor(value / bit) % 2 === 0 ? Math.floor(value / bit) + 1 : Math.floor(value / bit) - 1;
    const network = other * bit;
    const octets = [first, Math.floor(network / 65_536) % 256, Math.floor(network / 256) % 256, network % 256];
    return [octets.join("."), 9 + index] as const;
  });
}
